"""The steps of a trial, what a search leaves in its store, and its table, without a cluster."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness import registry
from harness.errors import SymbenchError
from harness.execution.placement import Shape
from harness.execution.run_job import failed_record, now
from harness.execution.same_code import worker_info
from harness.records.record import Failure
from harness.records.store import Store
from harness.search import searching
from harness.search import trial as trial_module
from harness.search.callbacks import Watch
from harness.search.journal import Journal
from harness.search.model import Search
from harness.search.results import TrialResult, _frame, _short, conclude, table
from harness.search.searching import run_search
from harness.search.trial import Trial, TrialConfig
from harness.search.trial_training import Report
from harness.suites import loading
from tasks.shapes import Shapes
from tasks.task import Dataset, Split
from tests.harness.disk import Disk
from tests.harness.search.conftest import HIGH
from tests.harness.search.test_searching import Watcher


def test_data_that_cannot_be_used_end_a_search_before_anything_starts(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Shapes):
        def data(self, split: Split) -> Dataset:
            found = super().data(split)
            assert split != "test"
            return Dataset(found.inputs, torch.full_like(found.targets, torch.nan)) if split == "validation" else found

    monkeypatch.setattr("harness.search.trial_training.load", lambda implementation: Broken)
    with pytest.raises(SymbenchError, match="Example 0 of the validation split has targets that are not finite"):
        run_search(searched(), tmp_path / "store", address=None, progress=Watcher())


def watched(search: Search, store: Store) -> TrialConfig:
    return TrialConfig(search=search, store=store.address, since=now(), driver=worker_info(), command=["symbench"])


def started(search: Search, store: Store, lr: float, since: str | None = None) -> Trial:
    one = Trial.__new__(Trial)
    config = TrialConfig(
        search=search, store=store.address, since=since or now(), driver=worker_info(), command=["symbench"]
    )
    one.setup({"settings.lr": lr}, config)
    return one


def steps(one: Trial, most: int | None = None) -> list[tuple[int, float]]:
    """Epochs and score of each step until it is done, or of ``most``."""
    found = []
    for _ in range(most) if most is not None else count():
        step = one.step()
        if step["done"]:
            break
        found.append((step["epochs"], step["score"]))
    one.cleanup()
    return found


def test_a_step_is_a_validation_and_the_table_has_the_highest_first(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 5, "batch_size": 20, "validate_every": 2, "monitor": "metric"}
    search, store = searched(settings=settings), Store(tmp_path / "store")
    journal = Journal(store, search)
    measured = {0.1: [0.2, 0.5, 0.4], 0.2: [0.3, 0.3, 0.9], 0.3: [0.6, 0.7, 0.8]}
    results = {}
    for lr, accuracies in measured.items():
        journal.add({"settings.lr": lr})
        values = iter(accuracies)
        monkeypatch.setattr(Shapes, "metrics", lambda self, predictions, targets, v=values: {"accuracy": next(v)})
        results[lr] = steps(started(search, store, lr), 2 if lr == 0.3 else None)
    assert results == {
        0.1: [(2, 0.2), (4, 0.5), (5, 0.5)],  # of the weights that are kept
        0.2: [(2, 0.3), (4, 0.3), (5, 0.9)],
        0.3: [(2, 0.6), (4, 0.7)],
    }
    result = conclude(search, store, journal.points)
    found = [(trial.values["settings.lr"], trial.score, trial.status, trial.epochs) for trial in result.trials]
    assert found == [(0.2, 0.9, "finished", 5), (0.3, 0.7, "stopped", 4), (0.1, 0.5, "finished", 5)]
    assert result.suite is not None
    assert {job.spec.settings.lr for job in loading.load(result.suite).expand().jobs} == {0.2}


def test_only_a_trial_that_failed_before_this_search_began_is_run_again(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, store = searched(settings={"epochs": 2, "batch_size": 20, "validate_every": 1}), Store(tmp_path / "store")
    ran: list[float] = []
    run_job = trial_module.run_job

    def counted(job: Any, *args: Any, **more: Any) -> Any:
        ran.append(job.spec.settings.lr)
        return run_job(job, *args, **more)

    monkeypatch.setattr(trial_module, "run_job", counted)
    jobs = {lr: search.trial({"settings.lr": lr}) for lr in (0.1, 0.2, 0.3)}
    results = steps(started(search, store, 0.1))
    began = datetime.now(UTC)
    for lr, age in ((0.2, -60.0), (0.3, 60.0)):
        finished = (began + timedelta(seconds=age)).isoformat()
        store.write(replace(failed_record(jobs[lr], Failure(sentence="It broke.")), finished=finished), [])
    assert ran == [0.1]
    since = began.isoformat()
    assert steps(started(search, store, 0.1, since)) == results  # of the record
    assert len(steps(started(search, store, 0.2, since))) == 2
    assert steps(started(search, store, 0.3, since)) == []
    assert ran == [0.1, 0.2]
    assert store.statuses() == {
        jobs[0.1].spec.digest: "succeeded",
        jobs[0.2].spec.digest: "succeeded",
        jobs[0.3].spec.digest: "failed",
    }


def test_one_that_takes_too_long_gets_a_failed_record(searched: Any, tmp_path: Path, monkeypatch: Any) -> None:
    search, store = searched(resources={"timeout": 0.2}), Store(tmp_path / "store")
    monkeypatch.setattr(trial_module, "run_job", lambda *args, **more: time.sleep(5))
    one = started(search, store, 0.1)
    with pytest.raises(TimeoutError):
        one.step()
    one.cleanup()
    record = store.read(search.trial({"settings.lr": 0.1}).spec.digest)
    assert record is not None and record.failure is not None
    assert record.failure.sentence == "The trial took longer than 0.2 s."


def test_the_journal_has_each_point_once_and_forgets_half_a_line(searched: Any, tmp_path: Path) -> None:
    search, store = searched(), Store(tmp_path / "store")
    journal = Journal(store, search)
    for lr in (0.1, 0.2, 0.1):
        journal.add({"settings.lr": lr})
    path = store.root / "trials.jsonl"
    path.write_text(path.read_text() + '{"settings.lr": 0.')
    again = Journal(store, search)
    assert again.points == [{"settings.lr": 0.1}, {"settings.lr": 0.2}]
    again.add({"settings.lr": 0.3})
    assert Journal(store, search).points == [{"settings.lr": lr} for lr in (0.1, 0.2, 0.3)]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"metric": "loss"},
        {"protocol": "standard"},
        {"settings": {"epochs": 9}},
        {"space": {"settings.lr": {"uniform": [1e-4, 0.5]}}},
        {"task_params": {**HIGH["task_params"], "points": 9}},
    ],
)
def test_a_folder_is_of_one_search(searched: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    store = Store(tmp_path / "store")
    Journal(store, searched())
    Journal(store, searched(trials=9, scheduler="none", confirm=3))  # how long and how is no part of it
    [changed] = changes
    with pytest.raises(SymbenchError, match=f"has other {changed}: give this one another name"):
        Journal(store, searched(**changes))


def test_the_watch_tells_of_each_trial_that_had_no_record_and_of_how_it_ended(searched: Any, tmp_path: Path) -> None:
    search, store = searched(settings={"epochs": 2, "batch_size": 20}), Store(tmp_path / "store")
    old, good, bad, dead = (search.trial({"settings.lr": lr}) for lr in (0.1, 0.2, 0.3, 0.4))
    steps(started(search, store, 0.1))
    progress, journal = Watcher(), Journal(store, search)
    watch = Watch(watched(search, store), journal, store, progress)  # type: ignore[arg-type]
    store.write(failed_record(bad, Failure(sentence="It broke.")), [])

    def tuned(lr: float, score: float) -> Any:
        return SimpleNamespace(config={"settings.lr": lr}, last_result={"score": score}, error_file=None)

    for trial in (tuned(0.1, 0.5), tuned(0.2, 0.5), tuned(0.3, float("nan"))):
        watch.on_trial_start(1, [], trial)
        watch.on_trial_complete(1, [], trial)
    watch.on_trial_error(1, [], tuned(0.4, 0.5))
    assert progress.starts == {good.spec.digest: 1, bad.spec.digest: 1}
    assert progress.ends == {good.spec.digest: 1, bad.spec.digest: 1, dead.spec.digest: 1}
    assert progress.sentences == [None, "It broke.", "The trial did not run: its process died"]
    assert [point["settings.lr"] for point in journal.points] == [0.1, 0.2, 0.3, 0.4]
    record = store.read(dead.spec.digest)
    assert record is not None and record.status == "failed"
    assert store.read(old.spec.digest) is not None


def test_a_trial_has_its_time_as_a_whole_and_the_next_one_its_own(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process takes one trial after the other."""
    clock, given = [1000.0], list[float]()
    monkeypatch.setattr(trial_module.time, "monotonic", lambda: clock[0])
    search, store = searched(resources={"timeout": 100.0}), Store(tmp_path / "store")

    class Emitted:
        def __init__(self, work: Any) -> None:
            self.ended = False
            threads.append(self)

        def next(self, timeout: float) -> Report:
            given.append(timeout)
            clock[0] += 30.0
            return Report(1, 0.5)

        def end(self) -> None:
            self.ended = True

    threads: list[Emitted] = []
    monkeypatch.setattr(trial_module, "StepwiseThread", Emitted)
    one = started(search, store, 0.1)
    one.step(), one.step()
    assert one.reset_config({"settings.lr": 0.2})
    one.step()
    assert given == [100.0, 70.0, 100.0]
    assert [thread.ended for thread in threads] == [True, False]  # the first has its record before the next runs


def test_a_trial_that_fails_midway_has_no_score_and_stands_last(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 4, "batch_size": 20, "validate_every": 1, "monitor": "metric"}
    search, store = searched(settings=settings), Store(tmp_path / "store")
    values: Any = iter([0.9, 0.99])

    def metrics(self: Shapes, predictions: Any, targets: Any) -> dict[str, float]:
        return {"accuracy": next(values)}

    monkeypatch.setattr(Shapes, "metrics", metrics)
    one = started(search, store, 0.1)
    results = [one.step() for _ in range(3)]
    assert [step["score"] for step in results[:2]] == [0.9, 0.99] and math.isnan(results[2]["score"])
    assert [step["done"] for step in results] == [False, False, True]
    one.cleanup()
    values = count(0.1, 0.1)
    steps(started(search, store, 0.2))
    points = [{"settings.lr": 0.1}, {"settings.lr": 0.2}, {"settings.lr": 0.9}]
    result = conclude(search, store, points)
    assert [(trial.number, trial.status, trial.score) for trial in result.trials] == [
        (1, "finished", pytest.approx(0.4)),
        (0, "failed", None),
    ]
    assert table(result)[1][1][1:] == ["-", "0.1", "2", "failed"]


def test_the_table_keeps_what_was_chosen_as_it_was_written(searched: Any, tmp_path: Path) -> None:
    space = {
        "settings.drop_last": {"choice": [True, False]},
        "base.width": {"choice": [8, 16]},
        "settings.lr": {"uniform": [0.1, 0.2]},
        "base.layers": {"integer": [1, 2]},
    }
    search = searched(space=space, settings={"epochs": 2, "batch_size": 20})
    point = {"settings.drop_last": True, "base.width": 8, "settings.lr": 0.15, "base.layers": 1}
    trial = TrialResult(number=0, digest="d", values=point, status="finished", score=0.5, epochs=1, seconds=None)
    row = _frame(search, [trial]).select(list(search.space)).row(0, named=True)
    assert row == {**point, "settings.drop_last": "true"} and type(row["base.width"]) is int
    assert _short(["settings.lr", "base.width", "sampler.width"]) == ["lr", "base.width", "sampler.width"]


def test_a_point_is_on_disk_before_its_trial_goes_on(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    journal = Journal(store, searched())
    disk = Disk(store.root, monkeypatch)
    journal.add({"settings.lr": 0.1})
    assert disk.events == ["sync trials.jsonl"]


def test_a_search_whose_card_has_another_version_is_another_search(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, store = searched(), Store(tmp_path / "store")
    Journal(store, search)
    card = registry.task(search.task)
    monkeypatch.setattr(registry, "task", lambda name: replace(card, version="of tomorrow"))
    with pytest.raises(SymbenchError, match="has other versions: give this one another name"):
        Journal(store, search)


def test_the_record_of_a_trial_that_failed_is_not_written_over(searched: Any, tmp_path: Path) -> None:
    """And a search whose store another has taken ends at its next step."""
    search, store = searched(), Store(tmp_path / "store")
    job = search.trial({"settings.lr": 0.1})
    store.write(failed_record(job, Failure(sentence="It took too long.")), [])
    progress = Watcher()
    watch = Watch(watched(search, store), Journal(store, search), store, progress)  # type: ignore[arg-type]
    watch.on_trial_error(1, [], SimpleNamespace(config={"settings.lr": 0.1}, error_file=None))
    assert progress.sentences == ["It took too long."]

    def taken() -> None:
        raise SymbenchError("Another launch has the store.")

    store.check_lock = taken  # type: ignore[method-assign]
    with pytest.raises(SymbenchError, match="Another launch"):
        watch.on_step_end(1, [])


@pytest.mark.parametrize("fails", [False, True])
def test_a_search_tells_of_itself_as_a_launch_and_asks_for_what_a_trial_takes(
    fails: bool, searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, store = searched(resources={"cpus": 2, "gpus": 1, "memory": 2**30}), Store(tmp_path / "store")
    ended: list[bool] = []
    tracker = SimpleNamespace(lost=None, finish=lambda: ended.append(True))
    monkeypatch.setattr(searching.LaunchTracker, "start", lambda *words: tracker)

    def fit(*words: Any, **more: Any) -> None:
        if fails:
            raise KeyboardInterrupt

    monkeypatch.setattr(searching, "_fit", fit)
    journal = Journal(store, search)
    tune = lambda: searching._tune(search, store, journal, Watcher(), address=None, slots=None, uri="u")  # noqa: E731
    if fails:
        with pytest.raises(KeyboardInterrupt):
            tune()
    else:
        tune()
    [path] = store.root.glob("launches/*.json")
    said = json.loads(path.read_text())
    assert ended == [True] and said["status"] == ("interrupted" if fails else "succeeded")
    assert (said["runs"], said["suite"]) == (4 + 2 * 5, "search/high")
    monkeypatch.setattr(searching, "living_nodes", lambda: [Shape(1, 2, 2**31)])
    assert searching._grants(search) == {"cpu": 2, "gpu": 1, "memory": 2.0**30}
    monkeypatch.setattr(searching, "living_nodes", lambda: [Shape(0, 2, 2**31)])
    with pytest.raises(SymbenchError, match="No node has what a run asks for"):
        searching._grants(search)


def test_trials_that_failed_are_still_to_be_done(searched: Any, tmp_path: Path) -> None:
    search, store = searched(trials=4), Store(tmp_path / "store")
    journal = Journal(store, search)
    for lr, succeeded in ((0.1, True), (0.2, False), (0.3, False)):
        journal.add({"settings.lr": lr})
        record = failed_record(search.trial({"settings.lr": lr}), Failure(sentence="no"))
        store.write(replace(record, status="succeeded", failure=None) if succeeded else record, [])
    begun: list[tuple[int, int]] = []
    progress: Any = SimpleNamespace(begin=lambda todo, done: begun.append((todo, done)), end=lambda: None)
    with searching._reported(progress, search, store, journal) as missing:
        assert missing == 3 + 2 * search.compare
    assert begun == [(3 + 2 * search.compare, 1)]
