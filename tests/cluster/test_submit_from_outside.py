"""The local cluster that ships, really started: a suite goes there from outside, is followed, stopped, and its records
are in the store. It runs in namespaces of its own, so that it neither meets nor ends anybody else's Ray."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.records.provenance import git_state
from harness.records.store import Store
from tests.distributions import both, put
from tests.plugin_files import TASK, write
from tests.tiny_suite import tiny_suite

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "ray_configs" / "clusters" / "local.sh"
ADDRESS = "http://127.0.0.1:8265"
NAMESPACES = ["unshare", "--pid", "--net", "--mount", "--fork", "--kill-child", "--mount-proc"]
ALONE = 'ip link set lo up; mount -t tmpfs tmpfs /dev/shm; exec bash "$0" 1 1'

SEARCH = """
{task: nbody, method: gnn-none, protocol: quick, task_params: {nodes: 4, train: 20, validation: 10, test: 10},
 settings: {epochs: 2, batch_size: 10}, space: {settings.lr: {loguniform: [1.0e-3, 1.0e-2]}}, trials: 2,
 algorithm: random}
"""

pytestmark = [
    pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs namespaces of its own"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs the command ip to bring up loopback"),
]


@pytest.fixture
def cluster() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The process that holds the namespaces, and the folder of token and logs; killing it ends all that is inside."""
    with tempfile.TemporaryDirectory(prefix="sb", dir="/tmp", ignore_cleanup_errors=True) as name:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "SYMBENCH_CLUSTER": name, "OMP_NUM_THREADS": "1"}
        words = [*NAMESPACES, "bash", "-c", ALONE, str(SCRIPT)]
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            yield process, Path(name)
        finally:
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class Outside:
    """A machine that sees the cluster: a folder with suites, a store that both share, and packages of its own."""

    inside: psutil.Process
    token: Path
    folder: Path
    packages: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def suite(self, name: str, text: str) -> str:
        (self.folder / f"{name}.yaml").write_text(text)
        return f"{name}.yaml"

    def call(self, *words: str, token: bool = True, fails: bool = False, address: bool = True) -> str:
        """What a command prints, in the network of the cluster."""
        variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)} if token else {}
        network = ["nsenter", f"--target={self.inside.pid}", "--net"]
        command = [*network, sys.executable, "-m", "harness.cli", *words, *(("--address", ADDRESS) if address else ())]
        environment = {**os.environ, **variables, "PYTHONPATH": f"{ROOT}{os.pathsep}{self.packages}"}
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def submit(self, suite: str, *words: str, fails: bool = False) -> str:
        return self.call("submit", suite, "--store", str(self.store), *words, fails=fails)


def test_a_suite_goes_to_the_local_cluster_and_its_records_come_back(
    cluster: tuple[subprocess.Popen[str], Path], tmp_path: Path
) -> None:
    process, folder = cluster
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said.startswith("A head and 1 workers of 1 CPUs"), (folder / "head.log").read_text()
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    inside = psutil.Process(process.pid).children()[0]
    packages = tmp_path / "packages"  # which the cluster has not
    put(packages, "other", both("other"))
    outside = Outside(inside, folder / "token", tmp_path, packages)

    assert "asks for its token: set RAY_AUTH_MODE=token" in outside.call("jobs", token=False, fails=True)
    assert "There is no job raysubmit_x" in outside.call("jobs", "logs", "raysubmit_x", "--follow", fails=True)
    check_that_code_and_suite_travel(outside)
    check_that_a_plug_in_travels(outside)
    check_that_a_plug_in_file_travels(outside)
    check_that_a_search_travels(outside)
    check_that_a_broken_environment_is_named(outside)
    check_that_a_job_is_stopped(outside)
    store = outside.store
    launches = [json.loads(path.read_text()) for path in sorted(store.glob("launches/*.json"))]
    assert [launch["status"] for launch in launches] == ["succeeded"] * 3 + ["interrupted"]
    assert len(Store(store).searches()) == 1
    assert len(list(Store(store).records())) == 3

    token = (folder / "token").read_text()
    assert not [path for path in store.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    inside.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not psutil.pid_exists(inside.pid)


def check_that_code_and_suite_travel(outside: Outside) -> None:
    followed = outside.submit(outside.suite("tiny", tiny_suite(1)), "--set", "seeds=[3]", "--follow")
    assert "tiny: 1 runs, 1 succeeded, 0 failed, 0 without a record" in followed
    [record] = Store(outside.store).records()
    assert (record.status, record.spec.seed, record.suite) == ("succeeded", 3, "tiny")
    of_git = git_state(ROOT / "harness")[0] is not None
    assert (record.provenance["git_commit"] is not None) == of_git  # though no git goes along
    assert "/_ray_pkg_" in record.provenance["command"][0]  # the code that was sent, and not this checkout's
    [tiny] = json.loads(outside.call("jobs", "--json"))
    assert (tiny["status"], tiny["suite"], tiny["store"]) == ("SUCCEEDED", "tiny", str(outside.store))
    assert outside.call("jobs", "logs", tiny["id"]) in followed


def check_that_a_plug_in_travels(outside: Outside) -> None:
    store, cards = outside.store, outside.packages / "other_cards.py"
    followed = outside.submit(outside.suite("other", tiny_suite(1, "other_egnn")), "--follow")
    assert "Sent along: other 1.0" in followed and "other: 1 runs, 1 succeeded" in followed
    [theirs] = [record for record in Store(store).records() if record.suite == "other"]
    [plugin] = theirs.provenance["plugins"].values()
    assert plugin["used"] and "/_ray_pkg_" in theirs.provenance["command"][0]
    planned = outside.call("plan", "other.yaml", "--store", str(store), address=False)
    assert "1 have a record" in planned and "Other code" not in planned
    cards.write_text(cards.read_text() + "# edited\n")
    planned = outside.call("plan", "other.yaml", "--store", str(store), address=False)
    assert "other or unknown code of the plug-in other" in planned


def check_that_a_plug_in_file_travels(outside: Outside) -> None:
    """The suite names one file, the command another; on the cluster neither is where it was."""
    hidden = outside.folder / "hidden"
    write(hidden / "cards")
    task = write(hidden, "my_task.py", TASK)
    suite = tiny_suite(1, "mine").replace("[nbody]", "[my_bodies]")
    (hidden / "files.yaml").write_text(f"plugins: cards/my_net.py\n{suite}")
    followed = outside.submit("hidden/files.yaml", "--plugin", str(task), "--follow")
    assert re.search(r"Sent along: .*my_task\.py \w{12}, my_net\.py \w{12}\n", followed)
    assert "files: 1 runs, 1 succeeded" in followed
    [record] = [record for record in Store(outside.store).records() if record.suite == "files"]
    used = {name: one["used"] for name, one in record.provenance["plugins"].items()}
    assert used == {"other": False, "my_task.py": True, "my_net.py": True}
    words = ("plan", "hidden/files.yaml", "--plugin", str(task), "--store", str(outside.store))
    planned = outside.call(*words, address=False)
    assert "1 have a record" in planned and "other or unknown code" not in planned


def check_that_a_search_travels(outside: Outside) -> None:
    found = outside.submit(outside.suite("rate", SEARCH), "--follow")
    assert "2 runs to do" in found and "Next: symbench run" in found
    again = outside.call("search", "rate.yaml", "--store", str(outside.store), address=False)  # which starts no Ray
    assert "0 runs to do, 2 have a record already" in again
    assert found.split("Trials:")[0].endswith(again.split("\n", 2)[2].split("Trials:")[0])


def check_that_a_broken_environment_is_named(outside: Outside) -> None:
    environment = outside.folder / "environment.yaml"
    environment.write_text("py_modules: ['gcs://_ray_pkg_0123456789abcdef.zip']\n")  # which nobody has sent there
    message = outside.submit("tiny.yaml", "--runtime-env", str(environment), "--follow", fails=True)
    broken = message.split()[1].rstrip(":")
    logs = outside.call("jobs", "logs", broken), outside.call("jobs", "logs", broken, "--follow", fails=True)
    for said in (message, *logs):
        assert "_ray_pkg_0123456789abcdef" in said, said


def check_that_a_job_is_stopped(outside: Outside) -> None:
    line = outside.submit(outside.suite("endless", tiny_suite(100_000))).splitlines()[0]
    endless = line.split()[1].rstrip(":")
    waits(lambda: any(outside.store.glob("checkpoints/*")))
    assert "is being stopped" in outside.call("jobs", "stop", endless)
    assert states(outside.call)[endless] in ("RUNNING", "STOPPED")
    waits(lambda: states(outside.call)[endless] == "STOPPED")
    assert "has ended already (STOPPED)" in outside.call("jobs", "stop", endless)


def states(call: Callable[..., str]) -> dict[str, str]:
    return {job["id"]: job["status"] for job in json.loads(call("jobs", "--json"))}


def waits(happened: Callable[[], Any], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.2)
