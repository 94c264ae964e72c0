"""The local cluster that ships, really started: a suite goes there from outside, is followed, stopped, and its records
are in the store. It runs in namespaces of its own, so that it neither meets nor ends anybody else's Ray."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.records.provenance import git_state
from harness.records.store import Store
from tests.distributions import both, put
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


def test_a_suite_goes_to_the_local_cluster_and_its_records_come_back(
    cluster: tuple[subprocess.Popen[str], Path], tmp_path: Path
) -> None:
    process, folder = cluster
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said.startswith("A head and 1 workers of 1 CPUs"), (folder / "head.log").read_text()
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    inside = psutil.Process(process.pid).children()[0]
    store, suites = tmp_path / "store", tmp_path
    for name, epochs in (("tiny", 1), ("endless", 100_000)):
        (suites / f"{name}.yaml").write_text(tiny_suite(epochs))

    packages = tmp_path / "packages"  # which the cluster has not
    put(packages, "other", both("other"))

    def call(*words: str, token: bool = True, fails: bool = False, address: bool = True) -> str:
        variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token")} if token else {}
        network = ["nsenter", f"--target={inside.pid}", "--net"]
        command = [*network, sys.executable, "-m", "harness.cli", *words, *(("--address", ADDRESS) if address else ())]
        environment = {**os.environ, **variables, "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    assert "asks for its token: set RAY_AUTH_MODE=token" in call("jobs", token=False, fails=True)
    assert "There is no job raysubmit_x" in call("jobs", "logs", "raysubmit_x", "--follow", fails=True)

    followed = call("submit", "tiny.yaml", "--store", str(store), "--set", "seeds=[3]", "--follow")
    assert "tiny: 1 runs, 1 succeeded, 0 failed, 0 without a record" in followed
    [record] = Store(store).records()
    assert (record.status, record.spec.seed, record.suite) == ("succeeded", 3, "tiny")
    of_git = git_state(ROOT / "harness")[0] is not None
    assert (record.provenance["git_commit"] is not None) == of_git  # though no git goes along
    assert "/_ray_pkg_" in record.provenance["command"][0]  # the code that was sent, and not this checkout's
    [tiny] = json.loads(call("jobs", "--json"))
    assert (tiny["status"], tiny["suite"], tiny["store"]) == ("SUCCEEDED", "tiny", str(store))
    assert call("jobs", "logs", tiny["id"]) in followed

    (suites / "other.yaml").write_text(tiny_suite(1, "other_egnn"))
    followed = call("submit", "other.yaml", "--store", str(store), "--follow")
    assert "Sent along: other 1.0" in followed and "other: 1 runs, 1 succeeded" in followed
    [theirs] = [record for record in Store(store).records() if record.suite == "other"]
    [plugin] = theirs.provenance["plugins"].values()
    assert plugin["used"] and "/_ray_pkg_" in theirs.provenance["command"][0]
    assert "1 have a record" in (planned := call("plan", "other.yaml", "--store", str(store), address=False))
    assert "Other code" not in planned
    (packages / "other_cards.py").write_text((packages / "other_cards.py").read_text() + "# edited\n")
    assert "Other code of the plug-in other" in call("plan", "other.yaml", "--store", str(store), address=False)

    (suites / "rate.yaml").write_text(SEARCH)
    found = call("submit", "rate.yaml", "--store", str(store), "--follow")
    assert "2 runs to do" in found and "Next: symbench run" in found
    again = call("search", "rate.yaml", "--store", str(store), address=False)  # which starts no Ray
    assert "0 runs to do, 2 have a record already" in again and found.split("Trials:")[0].endswith(
        again.split("\n", 2)[2].split("Trials:")[0]
    )

    environment = suites / "environment.yaml"
    environment.write_text("py_modules: ['gcs://_ray_pkg_0123456789abcdef.zip']\n")  # which nobody has sent there
    words = ("submit", "tiny.yaml", "--store", str(store), "--runtime-env", str(environment))
    told = call(*words, "--follow", fails=True)
    broken = told.split()[1].rstrip(":")
    for said in (told, call("jobs", "logs", broken), call("jobs", "logs", broken, "--follow", fails=True)):
        assert "_ray_pkg_0123456789abcdef" in said, said

    line = call("submit", "endless.yaml", "--store", str(store)).splitlines()[0]
    endless = line.split()[1].rstrip(":")
    waits(lambda: any(store.glob("checkpoints/*")))
    assert "is being stopped" in call("jobs", "stop", endless)
    assert states(call)[endless] in ("RUNNING", "STOPPED")
    waits(lambda: states(call)[endless] == "STOPPED")
    assert "has ended already (STOPPED)" in call("jobs", "stop", endless)
    launches = [json.loads(path.read_text()) for path in sorted(store.glob("launches/*.json"))]
    assert [launch["status"] for launch in launches] == ["succeeded", "succeeded", "interrupted"]
    assert len(Store(store).searches()) == 1
    assert len(list(Store(store).records())) == 2

    token = (folder / "token").read_text()
    assert not [path for path in store.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    inside.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not psutil.pid_exists(inside.pid)


def states(call: Callable[..., str]) -> dict[str, str]:
    return {job["id"]: job["status"] for job in json.loads(call("jobs", "--json"))}


def waits(happened: Callable[[], Any], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.2)
