"""What travels to a cluster with a suite or a search (no Ray is started)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import cli, registry
from harness.errors import SymbenchError
from harness.execution import jobs
from harness.execution.submission import Submission, job_folder, runtime_environment, sendable
from harness.records.plugin_code import plugin_code, used_by
from harness.records.provenance import ORIGIN, git_state
from harness.registry import resolve
from harness.suites.loading import FOLDER, load, locate
from tests.distributions import CARDS, both, found_in, put
from tests.plugin_files import TASK, forgotten, write

pytestmark = pytest.mark.usefixtures("no_cluster_is_known")

SUITE = "protocol: quick\nexperiments:\n  - {tasks: [nbody], methods: [egnn]}\n"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "my suite.yaml"
    path.write_text(SUITE)
    return path


def test_code_and_suite_travel_and_nothing_else(suite: Path) -> None:
    root = Path(jobs.__file__).parents[2]
    with job_folder(Submission(file=suite, store="/shared")) as folder:
        sent = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        assert (folder / "submitted" / suite.name).read_text() == SUITE
        assert json.loads((folder / ORIGIN).read_text()) == dict(
            zip(("commit", "dirty"), git_state(root / "harness"), strict=True)
        )
        assert git_state(folder / "harness") == git_state(root / "harness")
    assert not folder.exists()
    ours = {
        path.relative_to(root)
        for part in ("harness", "baselines", "tasks")
        for path in (root / part).rglob("*.py")
        if not path.name.startswith(".")
    }
    assert ours <= sent
    assert {path.parts[0] for path in sent} == {
        "harness",
        "baselines",
        "tasks",
        "ray_configs",
        "pyproject.toml",
        "constraints.txt",
        "submitted",
        ORIGIN,
    }
    assert not any("__pycache__" in path.parts for path in sent)


ASK = """
import json
from harness import registry
from harness.records.plugin_code import plugin_code
print(json.dumps([{name: code.digest for name, code in plugin_code().items()}, list(registry.tasks())[-3:]]))
"""
PACKAGES = {
    "single": ("single_cards", None),
    "Inner.Pack-age": ("inner.cards", {"inner/__init__.py": "", "inner/cards.py": CARDS, "inner/data.json": "{}"}),
    "shared": ("common.ours.cards", {"common/ours/__init__.py": "", "common/ours/cards.py": CARDS}),
}


def test_plug_ins_travel_with_their_code(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "installed"
    for number, (name, (module, sources)) in enumerate(PACKAGES.items()):
        texts = {path: text.replace("NAME", f"p{number}") for path, text in (sources or {}).items()}
        put(installed, name, both(name, module), texts or None)
    (installed / "inner" / ".gitignore").write_text("*.json\n")
    with found_in(installed, monkeypatch):
        ours = {name: code.digest for name, code in plugin_code().items()}
        assert ours.keys() == PACKAGES.keys()
        with job_folder(Submission(file=suite, store="/shared"), sendable({})) as folder:
            assert (folder / "inner" / "data.json").is_file() and not (folder / "inner" / ".gitignore").exists()
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            done = subprocess.run(
                [sys.executable, "-c", ASK], cwd=folder, env=environment, capture_output=True, text=True, check=True
            )
    assert done.stderr == ""
    theirs, tasks = json.loads(done.stdout)
    assert theirs == ours
    assert set(tasks) == {"single_nbody", "p1_nbody", "p2_nbody"}


def test_a_plug_in_that_cannot_travel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("zipped_cards.py", CARDS.replace("NAME", "zipped"))
    put(tmp_path, "zipped", both("zipped"), {})
    put(tmp_path, "taken", both("taken", "submitted.cards"), {"submitted/cards.py": CARDS.replace("NAME", "taken")})
    put(tmp_path, "plain", both("plain"))
    (put(tmp_path, "nameless", both("nameless")) / "METADATA").unlink()
    monkeypatch.syspath_prepend(str(archive))
    with found_in(tmp_path, monkeypatch):
        assert [code.distribution for code in sendable({})] == ["plain"]  # the others are used by no run
        for name, reason in {
            "zipped": r"zipped_cards is in the archive .*zipped\.zip",
            "taken": "submitted.cards has the name of a folder of symbench",
            "(no name)": "its metadata has no name",
        }.items():
            with pytest.raises(SymbenchError, match=rf"plug-in {re.escape(name)} .*cannot be sent along: .*{reason}"):
                sendable({name: plugin_code()[name]})
        nowhere = replace(plugin_code()["plain"], roots=())
        with pytest.raises(SymbenchError, match="its modules are not found"):
            sendable({"plain": nowhere})


def test_the_command_says_on_the_cluster_what_was_said_here(suite: Path) -> None:
    made = Submission(
        file=suite,
        store="s3://bucket/a store",
        overrides=["seeds=[0, 1]", "protocol=quick"],
        only=["task=nbody", "method=gnn"],
        slots=3,
    )
    shell, *words = shlex.split(made.entrypoint)
    assert shell == "exec"
    assert words == [
        "python",
        "-m",
        "harness.cli",
        "run",
        "submitted/my suite.yaml",
        "--address",
        "auto",
        "--store",
        "s3://bucket/a store",
        "--set",
        "seeds=[0, 1]",
        "--set",
        "protocol=quick",
        "--only",
        "task=nbody",
        "--only",
        "method=gnn",
        "--slots",
        "3",
    ]
    assert "submitted/quick.yaml" in Submission(file=locate("quick"), store="/shared").entrypoint


def test_plug_in_files_travel_in_place_of_those_that_the_suite_names(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"plugins: [cards/my_net.py]\n{SUITE.replace('egnn', 'mine')}")
    write(tmp_path / "cards")
    other = write(tmp_path, "my task.py", TASK)
    with forgotten():
        registry.add_plugin(other)
        load(tmp_path / "mine.yaml")
        ours = plugin_code()
        made = Submission(file=tmp_path / "mine.yaml", store="/shared", plugin_files=registry.files())
        assert sendable(used_by([resolve("my_bodies", "mine", "quick", 0)])) == []
    shutil.rmtree(tmp_path / "cards")
    with job_folder(made) as folder:
        _, program, *words = shlex.split(made.entrypoint)
        assert program == "python"
        words[words.index("run") : words.index("auto") + 1] = ["plan", "submitted/mine.yaml"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["SYMBENCH_STORE"] = words[words.index("--store") + 1]
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        assert "mine: 1 runs" in done.stdout
        with forgotten():
            for name in ("my task.py", "my_net.py"):
                registry.add_plugin(folder / "plugin_files" / name)
            assert plugin_code() == ours


@pytest.mark.parametrize("store", ["results/store", "", "~/store"])
def test_a_store_that_nodes_cannot_find_is_refused(store: str, suite: Path) -> None:
    with pytest.raises(SymbenchError, match="name a folder that every node of the cluster sees by its whole path"):
        Submission(file=suite, store=store)


def test_the_runtime_environment_is_rays_own(tmp_path: Path) -> None:
    path = tmp_path / "env.yaml"
    path.write_text("pip: [egg]\nenv_vars: {SYMBENCH_DATA: /data}\n")
    found = runtime_environment(path)
    assert found["pip"] == ["egg"]
    assert found["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "30", "SYMBENCH_DATA": "/data"}
    path.write_text("env_vars: {FLAG: yes, TIME: 1:30, DAY: 2026-01-01}\n")  # texts, as in a suite
    assert runtime_environment(path)["env_vars"].items() >= {"FLAG": "yes", "TIME": "1:30", "DAY": "2026-01-01"}.items()
    path.write_text("env_vars: {RAY_JOB_STOP_WAIT_TIME_S: '120'}\n")
    assert runtime_environment(path) == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "120"}}
    assert runtime_environment(None) == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "30"}}
    for text, sentence in {
        "- a": "write a mapping",
        "working_dir: .": "no working_dir",
        "env_vars: {A: 1}": "put numbers in quotes",
        "a: [": "line 1: this is not YAML",
        "env_vars: {A: 1, A: 2}": "line 1: 'A' is given twice",
        "a: &a [*a]": "line 1: this value contains itself",
        "a: " + "[" * 1000: "nested more than 50 deep",
        "env_vars: {A: !!python/object:os.system {}}": "could not determine a constructor",
    }.items():
        path.write_text(text)
        with pytest.raises(SymbenchError, match=sentence):
            runtime_environment(path)
    with pytest.raises(SymbenchError, match="cannot be read: No such file"):
        runtime_environment(tmp_path / "missing.yaml")


def test_a_suite_that_does_not_load_never_leaves(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SUITE.replace("egnn", "egnnn"))
    words = ["submit", str(path), "--address", "http://127.0.0.1:1", "--store", "/shared"]
    result = CliRunner().invoke(cli.app, words)
    assert isinstance(result.exception, SymbenchError)
    assert "egnnn" in str(result.exception) and "line 3" in str(result.exception)


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("name", ["nbody_egnn", str(FOLDER / "search" / "nbody_egnn.yaml")])
def test_a_search_is_no_suite(command: str, name: str, tmp_path: Path) -> None:
    words = [command, name, "--store", str(tmp_path / "store")]
    result = CliRunner().invoke(cli.app, words)
    assert isinstance(result.exception, SymbenchError)
    assert "nbody_egnn.yaml is a search, not a suite: 'symbench search" in str(result.exception)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["nbody_egnn", str(FOLDER / "search" / "nbody_egnn.yaml")])
def test_a_search_is_sent_as_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    class Server:
        address = "http://head:8265"

        def submit(self, folder: Path, entrypoint: str, environment: Any, *about: str) -> str:
            copied = (folder / "submitted" / "nbody_egnn.yaml").read_bytes()
            sent.append((shlex.split(entrypoint), about, copied))
            return "raysubmit_1"

    monkeypatch.setattr(jobs, "JobServer", lambda address: Server())
    words = ["submit", name, "--store", "s3://bucket/it", "--set", "trials=3", "--slots", "2"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    [(entrypoint, about, copied)] = sent
    assert entrypoint == [
        *("exec", "python", "-m", "harness.cli", "search", "submitted/nbody_egnn.yaml", "--address", "auto"),
        *("--store", "s3://bucket/it", "--set", "trials=3", "--slots", "2"),
    ]
    assert about == ("search/nbody_egnn", "s3://bucket/it")
    assert copied == (FOLDER / "search" / "nbody_egnn.yaml").read_bytes()
    assert "Job raysubmit_1: search/nbody_egnn, 13 runs, records in s3://bucket/it" in result.output
    assert f"symbench search {name} --set trials=3 --store s3://bucket/it shows its results here" in result.output


def test_runs_of_a_search_cannot_be_picked() -> None:
    result = CliRunner().invoke(cli.app, ["submit", "nbody_egnn", "--store", "/shared", "--only", "task=nbody"])
    assert str(result.exception) == "--only picks runs of a suite, and nbody_egnn is a search: leave it out."
