"""``symbench plan``: what a launch would do, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from harness.suites.loading import load
from harness.training.weights import kept_weights
from tests.harness.cli.conftest import Call


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
        "suite": "mine",
        "total": 4,
        "done": 2,
        "failed": 1,
        "todo": 2,
    }
    assert [(pair["task"], pair["method"]) for pair in plan["misfits"]] == [("graph8c", "egnn")]


def test_the_size_of_the_weights_that_are_kept_is_printed(folder: Path, call: Call, generated_data: Path) -> None:
    data = "task_params: {train: 20, validation: 10, test: 10}"
    (folder / "mine.yaml").write_text(
        "protocol: quick\nseeds: 2\nsettings: {batch_size: 10}\n"
        f"experiments: [{{tasks: nbody, methods: [egnn, mlp-ga], {data}}}]\n"
    )
    assert "kept" not in call("plan", "mine.yaml")[1]
    keep = ("--set", "resources.keep_weights=true")
    assert call("plan", "mine.yaml", *keep)[1].splitlines()[-1].startswith("weights of 4 runs are kept: ")
    weights = json.loads(call("plan", "mine.yaml", "--json", *keep)[1])["weights"]
    assert weights == kept_weights(job.spec for job in load("mine.yaml").expand().jobs)._asdict()


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
        ("nbody", "2", "lr=0.001"),
        ("nbody", "2", "lr=0.01"),
        ("nbody(nodes=8)", "2", "lr=0.001"),
        ("nbody(nodes=8)", "2", "lr=0.01"),
    ]


def test_no_time_is_told_without_a_record(folder: Path, call: Call) -> None:
    said = call("plan", "mine.yaml", "--cost")[1].splitlines()[-1]
    assert said.startswith("unknown time on one worker") and said.endswith("4 without an estimate")


def test_a_suite_of_misfits_is_planned_and_not_run(folder: Path, call: Call) -> None:
    (folder / "mine.yaml").write_text("protocol: quick\nexperiments: [{tasks: graph8c, methods: egnn}]\n")
    assert call("plan", "mine.yaml")[0] == 0
    code, out, err = call("run", "mine.yaml")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert err.startswith("mine: no pair fits, so there is nothing to run (graph8c x egnn: egnn needs points, which")
