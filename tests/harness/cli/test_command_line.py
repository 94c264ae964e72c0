"""The command symbench: what it prints, what it returns, and what it must not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import harness
from harness import registry
from harness.cli import root
from harness.errors import SymbenchError
from harness.execution.progress import LiveProgress, PlainProgress, label, progress_for
from harness.records.description import describe
from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.spec import Job
from harness.suites.model import load

ROOT = Path(harness.__file__).resolve().parents[1]
SUITE = """\
protocol: quick
seeds: 2
experiments: [{tasks: [graph8c], methods: [gin, mlp-ga, egnn]}]
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a suite in it and no store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(SUITE)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The console script in this process: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["symbench", *words])
        with pytest.raises(SystemExit) as ended:
            root.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def script(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The console script in a process of its own, from the current folder."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "harness.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300)


def pretend(outcomes: Sequence[str]) -> Callable[..., None]:
    """A launch that trains nothing: each job gets the next outcome, and with "nothing" no record."""

    def launch(jobs: Sequence[Job], store: Store, *, progress: Any, **_: Any) -> None:
        for job, outcome in zip(jobs, outcomes, strict=True):
            progress.started(job)
            if outcome == "interrupt":
                raise KeyboardInterrupt
            if outcome != "nothing":
                now = datetime.now(UTC).isoformat()
                failure = Failure(sentence="It broke.") if outcome == "failed" else None
                described = describe(job.spec)
                record = Record(
                    spec=job.spec, suite=job.suite, status=outcome, description=described, started=now, finished=now,
                    metrics={} if failure else {described.metric: 1.0}, failure=failure,
                )  # fmt: skip
                store.write(record, [])
                progress.finished(job, outcome, failure.sentence if failure else None)

    return launch


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    from harness.execution import launch

    return lambda *outcomes: monkeypatch.setattr(launch, "launch", pretend(outcomes))


# What is registered


def test_tasks_for_machines(call: Call) -> None:
    code, out, err = call("tasks", "--json")
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["name"] for row in rows] == list(registry.tasks())
    for row in rows:
        assert list(row) == ["name", "group", "metric", "direction", "protocols", "version", "source", "deviations"]
        assert row["direction"] in ("max", "min")
        assert "quick" in row["protocols"]


def test_methods_for_machines(call: Call) -> None:
    code, out, err = call("methods", "--json")
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["name"] for row in rows] == list(registry.methods())
    for row in rows:
        assert list(row) == ["name", "kind", "base_model", "sampler", "version", "source", "deviations"]
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
        assert "\npcqm_contact: Of equal scores half count as higher; officially a sort ranks" in deviations
    else:
        assert deviations.count("fa: A frame of S_n sorts nodes by their signature in descending order") == 1
    for line, card in zip(lines, known.values(), strict=True):
        assert line.endswith(card.source)
        if command == "tasks":
            assert card.group_name(card.params) in line and card.metric in line
        else:
            assert card.kind in line


# Plans


def test_plan_names_runs_and_misfits(folder: Path, call: Call) -> None:
    code, out, _ = call("plan", "mine.yaml")
    lines = out.splitlines()
    assert code == 0
    assert any(line.split()[:5] == ["graph8c", "gin", "quick", "2", "0"] for line in lines)
    assert "does not fit: graph8c x egnn: egnn needs points, which" in out
    assert lines[-1].startswith("mine: 4 runs, 0 have a record, 4 to do")
    assert not (folder / "results").exists()


def test_plan_for_machines(folder: Path, call: Call, launching: Callable[..., None]) -> None:
    launching("succeeded", "failed", "nothing", "succeeded")
    assert call("run", "mine.yaml")[0] == 1
    plan = json.loads(call("plan", "mine.yaml", "--json")[1])
    jobs = load("mine.yaml").expand().jobs
    assert [run["digest"] for run in plan["runs"]] == [job.spec.digest for job in jobs]
    assert [run["state"] for run in plan["runs"]] == ["done", "failed", "new", "done"]
    assert {name: plan[name] for name in ("suite", "total", "done", "failed", "todo")} == {
        "suite": "mine", "total": 4, "done": 2, "failed": 1, "todo": 2,
    }  # fmt: skip
    assert [(pair["task"], pair["method"]) for pair in plan["misfits"]] == [("graph8c", "egnn")]


def test_runs_with_other_settings_have_their_own_line(folder: Path, call: Call) -> None:
    (folder / "mine.yaml").write_text(
        "protocol: quick\nexperiments: [{tasks: nbody, methods: egnn, grid: {task_params.nodes: [5, 8]}}]\n"
    )
    lines = call("plan", "mine.yaml")[1].splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["nbody", "nbody(nodes=8)"]


def test_lines_of_one_pair_are_told_apart_by_what_differs(folder: Path, call: Call) -> None:
    grid = "grid: {settings.lr: [0.001, 0.01], task_params.nodes: [5, 8]}"
    (folder / "mine.yaml").write_text(
        f"protocol: quick\nseeds: 2\nexperiments: [{{tasks: nbody, methods: egnn, {grid}}}]\n"
    )
    lines = [line.split() for line in call("plan", "mine.yaml")[1].splitlines()[1:-1]]
    assert [(line[0], line[3], line[6]) for line in lines] == [
        ("nbody", "2", "lr=0.001"), ("nbody", "2", "lr=0.01"),
        ("nbody(nodes=8)", "2", "lr=0.001"), ("nbody(nodes=8)", "2", "lr=0.01"),
    ]  # fmt: skip


def test_no_time_is_told_without_a_record(folder: Path, call: Call) -> None:
    said = call("plan", "mine.yaml", "--cost")[1].splitlines()[-1]
    assert said.startswith("unknown time on one worker") and said.endswith("4 without any record to go by")


def test_a_suite_of_misfits_is_planned_and_not_run(folder: Path, call: Call) -> None:
    (folder / "mine.yaml").write_text("protocol: quick\nexperiments: [{tasks: graph8c, methods: egnn}]\n")
    assert call("plan", "mine.yaml")[0] == 0
    code, out, err = call("run", "mine.yaml")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert err.startswith("mine: no pair fits, so there is nothing to run (graph8c x egnn: egnn needs points, which")


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
    assert "the same command goes on from there" in out
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
    assert {"python", "torch", "ray", "mlflow", "cpu", "gpu", "mlflow store", "disk", "store", "data"} <= set(found)
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
        "import sys\nfrom pathlib import Path\nfrom harness.suites import model, plan\n"
        "from harness.records import store\n"
        "plan.plan(model.load('quick'), None)\n"
        "print([name for name in ('torch', 'ray', 'mlflow', 'polars', 'plotly') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


# Progress


@pytest.fixture
def jobs(folder: Path) -> list[Job]:
    return load("mine.yaml").expand().jobs


def watch(progress: Any, jobs: Sequence[Job]) -> None:
    progress.begin(len(jobs), 7)
    for index, job in enumerate(jobs):
        progress.started(job)
        progress.finished(job, "failed" if index == 1 else "succeeded", "It broke." if index == 1 else None)
    progress.note("[bold]as it is[/bold]")
    progress.end()


def test_plain_progress_is_whole_lines(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    watch(PlainProgress(Console(width=20), seconds=0), jobs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 runs to do, 7 have a record already"
    assert f"failed: {label(jobs[1])}: It broke." in lines
    counts = [line for line in lines if "running" in line]
    assert [line.split(" done")[0] for line in counts] == ["1/4", "2/4", "3/4", "4/4"]
    assert counts[-1] == "4/4 done, 0 running, 1 failed, about 0 s left"
    assert lines[-1] == "[bold]as it is[/bold]"


def test_a_run_that_takes_the_place_of_another_counts_as_running(
    jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = PlainProgress(Console(width=80), seconds=0)
    progress.begin(len(jobs), 0)
    for job in jobs[:2]:
        progress.started(job)
    for ending, starting in zip(jobs[:2], jobs[2:], strict=True):
        progress.finished(ending, "succeeded", None)
        progress.started(starting)
    for job in jobs[2:]:
        progress.finished(job, "succeeded", None)
    counts = [line.partition(", 0 failed")[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert counts == ["1/4 done, 2 running", "2/4 done, 2 running", "3/4 done, 1 running", "4/4 done, 0 running"]


def test_plain_progress_is_not_chatty(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    watch(PlainProgress(Console(), seconds=3600), jobs)
    assert sum("running" in line for line in capsys.readouterr().out.splitlines()) == 1


def test_live_progress_shows_counts_and_failures(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(force_terminal=True, width=120)
    progress = progress_for(console)
    assert isinstance(progress, LiveProgress)
    watch(progress, jobs)
    shown = capsys.readouterr().out
    assert "4/4 done, 0 running, 1 failed" in shown
    assert f"failed: {label(jobs[1])}: It broke." in shown
    assert shown.count("It broke.") == 1


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

    def fail(error: Exception) -> Callable[[], None]:
        def app() -> None:
            raise error

        return app

    monkeypatch.setattr(root, "app", fail(SymbenchError("Do this.")))
    with pytest.raises(SystemExit, match="2"):
        root.main()
    monkeypatch.setattr(root, "app", fail(RuntimeError("ours")))
    with pytest.raises(RuntimeError, match="ours"):
        root.main()
