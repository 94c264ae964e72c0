"""The command symbench: what it prints, what it returns, and what it must not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import harness
from harness import registry
from harness.cli import root
from harness.errors import SymbenchError
from harness.records.store import Store
from tests.harness.cli.conftest import SUITE, Call

ROOT = Path(harness.__file__).resolve().parents[1]


def script(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The console script in a process of its own, from the current folder."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "harness.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300)


# What is registered


def test_tasks_for_machines(call: Call) -> None:
    code, out, err = call("tasks", "--json")
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["name"] for row in rows] == list(registry.tasks())
    for row in rows:
        assert list(row) == [
            *("name", "group", "metric", "direction", "protocols", "version", "plugin", "source", "deviations")
        ]
        assert row["direction"] in ("max", "min")
        assert "quick" in row["protocols"]


def test_methods_for_machines(call: Call) -> None:
    code, out, err = call("methods", "--json")
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["name"] for row in rows] == list(registry.methods())
    for row in rows:
        assert list(row) == [*("name", "kind", "base_model", "sampler", "version", "plugin", "source", "deviations")]
        assert (row["kind"] == "equivariant") == (row["sampler"] is None)
        assert row["name"] == "-".join(filter(None, [row["base_model"], row["sampler"]]))


@pytest.mark.parametrize("command", ["tasks", "methods"])
def test_one_line_each(call: Call, command: str) -> None:
    table, _, deviations = call(command)[1].partition("\n\n")
    header, *lines = table.splitlines()
    known: dict[str, Any] = {**(registry.tasks() if command == "tasks" else registry.methods())}
    assert header.split()[0] == "name"
    assert [line.split()[0] for line in lines] == list(known)
    if command == "tasks":
        assert "\npcqm_contact: Half of equal scores count as higher; the official code ranks" in deviations
    else:
        assert deviations.count("\nfa: A frame of S_n sorts nodes by their signature in descending order") == 1
    for line, card in zip(lines, known.values(), strict=True):
        assert line.endswith(card.source)
        if command == "tasks":
            assert card.group_name(card.params) in line and card.metric in line
        else:
            assert card.kind in line


# Launches


def test_exit_code_is_zero_only_if_every_run_succeeded(
    folder: Path, call: Call, launching: Callable[..., None]
) -> None:
    launching("succeeded", "failed", "succeeded", "nothing")
    code, out, _ = call("run", "mine.yaml")
    assert code == 1
    assert "4 runs to do, 0 have a record already" in out
    assert "failed: graph8c x gin, seed 1: It broke." in out
    assert "mine: 4 runs, 2 succeeded, 1 failed, 1 without a record" in out
    launching("succeeded", "failed")
    assert call("run", "mine.yaml")[0] == 1
    launching("succeeded")
    code, out, _ = call("run", "mine.yaml")
    assert code == 0
    assert "1 runs to do, 3 have a record already" in out
    assert "mine: 4 runs, 4 succeeded, 0 failed, 0 without a record" in out
    assert f"Records: {Path('results/store')}\nNext: symbench report\n" in out


def test_a_run_with_nothing_to_do_starts_nothing(
    folder: Path, call: Call, launching: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    launching(*["succeeded"] * 4)
    assert call("run", "mine.yaml", "--store", "kept")[0] == 0
    monkeypatch.setitem(sys.modules, "harness.execution.launch", None)
    code, out, _ = call("run", "mine.yaml", "--store", "kept")
    assert code == 0
    assert "Next: symbench report --store kept" in out


def test_only_judges_what_it_lets_through(folder: Path, call: Call, launching: Callable[..., None]) -> None:
    launching("succeeded", "succeeded")
    code, out, _ = call("run", "mine.yaml", "--only", "method=gin")
    assert code == 0
    assert "mine: 2 runs, 2 succeeded" in out


def test_an_interrupt_keeps_what_is_finished(folder: Path, call: Call, launching: Callable[..., None]) -> None:
    launching("succeeded", "interrupt", "nothing", "nothing")
    code, out, _ = call("run", "mine.yaml")
    assert code == 130
    assert "the same command resumes from there" in out
    assert len(Store(folder / "results/store").statuses()) == 1


def test_two_launches_on_one_store(folder: Path, call: Call) -> None:
    with Store(folder / "results/store").lock():
        code, _, err = call("run", "mine.yaml")
    assert code == 2
    assert "Another launch" in err and str(os.getpid()) in err


# Mistakes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["run", "mine.yaml", "--set", "sedes=1"],
            "--set sedes=1: there is no key 'sedes' here: did you mean 'seeds'?",
        ),
        (["plan", "mine.yaml", "--only", "method=gi"], "has no method 'gi': did you mean 'gin'?"),
        (["plan", "quik"], "There is no suite file 'quik': did you mean 'quick'?"),
        (["collate"], "There is no store at results/store: make one with 'symbench run quick'"),
        (["report", "--store", "elsewhere"], "There is no store at elsewhere"),
        (["plan", "mine.yaml", "--store", "mine.yaml"], "mine.yaml is a file, and a store is a folder"),
        (["export", "s3://bucket/x.zip"], "s3://bucket/x.zip is an address: name a file or a folder on this machine."),
        (["report", "--out", "s3://bucket"], "s3://bucket is an address"),
        (["search", "nbody_eggn"], "There is no search file 'nbody_eggn': did you mean 'nbody_egnn'?"),
        (["submit", "mine.yaml", "--address", "http://127.0.0.1:9"], "--store is missing: name a folder that every"),
        (["sync"], "There is no store"),
        (["ui"], "There is no store"),
    ],
)
def test_a_mistake_is_one_sentence_on_stderr(folder: Path, call: Call, words: list[str], sentence: str) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert not (folder / "results").exists()


def test_a_mistake_in_the_file_comes_before_anything_starts(folder: Path, call: Call) -> None:
    (folder / "mine.yaml").write_text(SUITE.replace("gin", "gni"))
    code, _, err = call("run", "mine.yaml")
    assert (code, err) == (2, "mine.yaml, line 3: there is no method 'gni': did you mean 'gin'?\n")
    assert not (folder / "results").exists()


def test_a_store_that_cannot_be_written(folder: Path, call: Call) -> None:
    (folder / "taken").write_text("a file")
    code, _, err = call("run", "mine.yaml", "--store", "taken/store")
    assert code == 2
    assert len(err.splitlines()) == 1 and "choose another --store" in err


# Looking without touching


def test_doctor_for_machines(folder: Path, call: Call) -> None:
    code, out, _ = call("doctor", "--json")
    found = {finding["name"]: finding for finding in json.loads(out)}
    assert code == 0
    assert {"python", "torch", "extra cluster", "cpu", "gpu", "mlflow store", "disk", "store", "data"} <= set(found)
    assert f"ray {version('ray')}, mlflow {version('mlflow')}, " in found["extra cluster"]["text"]
    assert all(finding["advice"] for finding in found.values() if finding["status"] != "ok")
    assert not (folder / "results").exists()


def test_doctor_says_what_is_wrong(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    began = time.monotonic()
    code, out, _ = call("doctor")
    assert time.monotonic() - began < 30
    assert code == 1
    assert any(line.startswith("problem   disk") and "make room" in line for line in out.splitlines())
    assert any(line.startswith("warning   mlflow store") and "cannot be reached" in line for line in out.splitlines())
    assert "secret" not in out


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"], ["tasks"], ["methods", "--json"]])
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    heavy = ("torch", "torch_geometric", "ray", "mlflow", "polars", "plotly", "pandas", "numpy", "scipy", "networkx")
    program = (
        "import sys\nfrom harness import cli\n"
        f"sys.argv = ['symbench', *{words!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ended.stderr.strip() == "[]"
    assert ended.stdout


def test_planning_imports_neither_torch_nor_ray() -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom harness.suites import loading, plan\n"
        "from harness.records import store\n"
        "plan.plan(loading.load('quick'), None)\n"
        "print([name for name in ('torch', 'ray', 'mlflow', 'polars', 'plotly') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


# The whole way


def test_from_a_suite_to_a_leaderboard(folder: Path) -> None:
    (folder / "tasks").mkdir()
    (folder / "tasks" / "__init__.py").write_text("raise RuntimeError('the wrong tasks')")
    settings = ["--set", "settings.initialisations=1", "--set", "settings.curve_samples=[1]", "--set", "seeds=1"]
    arguments = ["mine.yaml", "--only", "method=gin", *settings]
    command = "import sys; from harness.cli import main; sys.exit(main())"

    def symbench(*words: str) -> subprocess.CompletedProcess[str]:
        # not "-m": it would put the current folder, with the wrong tasks, first on this process's own path
        start = f"import sys; sys.path[0] = {str(ROOT)!r}; {command}"
        return subprocess.run(
            [sys.executable, "-c", start, *words], capture_output=True, text=True, cwd=folder, timeout=300
        )

    first = symbench("run", *arguments)
    assert (first.returncode, first.stderr) == (0, "")
    assert "1/1 done, 0 running, 0 failed" in first.stdout
    began = time.monotonic()
    second = symbench("run", *arguments)
    assert time.monotonic() - began < 10
    assert second.returncode == 0 and "done," not in second.stdout
    plan = json.loads(symbench("plan", *arguments, "--json").stdout)
    assert (plan["total"], plan["done"], plan["todo"]) == (1, 1, 0)
    assert symbench("collate").stdout == f"Tables: {Path('results/tables')}\n"
    report = symbench("report")
    assert report.stdout.splitlines()[-3:] == [f"Report: results/leaderboard.{kind}" for kind in ("html", "md", "tex")]
    assert "gin" in (folder / "results/leaderboard.md").read_text()
    assert symbench("sync").stdout.startswith("MLflow: 0 runs logged")


def test_errors_are_mendable_ones_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours keeps its traceback; one of the user's does not."""

    def fail(error: Exception) -> Callable[..., None]:
        def app(prog_name: str) -> None:
            raise error

        return app

    monkeypatch.setattr(root, "app", fail(SymbenchError("Do this.")))
    with pytest.raises(SystemExit, match="2"):
        root.main()
    monkeypatch.setattr(root, "app", fail(RuntimeError("ours")))
    with pytest.raises(RuntimeError, match="ours"):
        root.main()
