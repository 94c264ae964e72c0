"""What a launch writes of itself and how it ends in MLflow, whichever way it ends (no Ray)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SymbenchError
from harness.execution import launch as launching
from harness.execution.launch import launch_here
from harness.records.store import Store
from harness.spec import Job

MakeJob = Callable[..., Job]


class Tracker:
    """Stands for a launch's run in MLflow."""

    def __init__(self) -> None:
        self.ended = 0
        self.handle = object()

    def finish(self) -> None:
        self.ended += 1


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Tracker:
    made = Tracker()
    monkeypatch.setattr(launching, "_tracker", lambda *words: made)
    monkeypatch.setattr("harness.execution.heartbeat.PERIOD_SECONDS", 0.02)
    monkeypatch.setattr(launching, "usage", lambda: {"nodes": 1})
    return made


def account(store: Store) -> dict[str, Any]:
    [path] = store.root.glob("launches/*.json")
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def dispatched(monkeypatch: pytest.MonkeyPatch, work: Callable[..., None]) -> list[list[Job]]:
    """The jobs that were handed to a dispatcher that does ``work``."""
    handed = []

    def dispatch(jobs: Sequence[Job], store: Store, config: Any, progress: Any, **options: Any) -> None:
        handed.append(list(jobs))
        assert config.root == store.address and config.tracker is not None
        assert account(store)["status"] == "running"
        work(jobs, store, progress, options["on_end"])

    monkeypatch.setattr("harness.execution.dispatch.dispatch", dispatch)
    return handed


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("all succeed", "succeeded"),
        ("one fails", "failed"),
        (KeyboardInterrupt, "interrupted"),
        (SymbenchError("the head is gone"), "interrupted"),
    ],
    ids=str,
)
def test_the_account_and_mlflow_say_how_a_launch_ended(
    outcome: Any,
    status: str,
    tmp_path: Path,
    job: MakeJob,
    watcher: Any,
    tracker: Tracker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, jobs = Store(tmp_path), [job(seed=seed) for seed in range(3)]

    def work(jobs: Sequence[Job], store: Store, progress: Any, on_end: Callable[..., None]) -> None:
        on_end(jobs[0].spec.digest, "succeeded", None)
        if not isinstance(outcome, str):
            raise outcome
        ending = ("failed", "no") if outcome == "one fails" else ("succeeded", None)
        on_end(jobs[1].spec.digest, *ending)

    handed = dispatched(monkeypatch, work)
    call = lambda: launch_here([*jobs, *jobs], store, suite="tests", progress=watcher, address="auto")  # noqa: E731
    if isinstance(outcome, str):
        result = call()
        assert result.failed == ({jobs[1].spec.digest: "no"} if outcome == "one fails" else {})
    else:
        with pytest.raises((KeyboardInterrupt, SymbenchError)):
            call()
    assert handed == [jobs]  # each once
    said = account(store)
    assert said["status"] == status and tracker.ended == 1
    assert said["succeeded"] == (2 if outcome == "all succeed" else 1)
    assert said["digests"] == [one.spec.digest for one in jobs]
    assert (said["suite"], said["address"]) == ("tests", "auto")
    assert said["started"] <= said["finished"]


def test_the_account_tells_how_far_it_is_while_it_goes_on(
    tmp_path: Path, job: MakeJob, watcher: Any, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    def work(jobs: Sequence[Job], store: Store, progress: Any, on_end: Callable[..., None]) -> None:
        progress.started(jobs[0])
        until = time.monotonic() + 10
        while not (account(store).get("progress") or {}).get("running"):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert list(account(store)["progress"]["running"]) == [jobs[0].spec.digest]

    dispatched(monkeypatch, work)
    launch_here([job(seed=0)], Store(tmp_path), suite="tests", progress=watcher)


def test_a_full_disk_at_the_end_hides_nothing(
    tmp_path: Path, job: MakeJob, watcher: Any, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)

    def work(jobs: Sequence[Job], store: Store, progress: Any, on_end: Callable[..., None]) -> None:
        monkeypatch.setattr(store, "write_launch", full)
        raise KeyboardInterrupt

    def full(*words: Any) -> None:
        raise SymbenchError("no space left")

    dispatched(monkeypatch, work)
    with pytest.raises(KeyboardInterrupt):
        launch_here([job(seed=0)], store, suite="tests", progress=watcher)
    assert tracker.ended == 1


def test_a_launch_hands_on_all_that_it_is_told(
    tmp_path: Path, job: MakeJob, watcher: Any, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def dispatch(jobs: Sequence[Job], store: Store, config: Any, progress: Any, **options: Any) -> None:
        given.update(options, executor=config.executor, jobs=list(jobs), launch=config.launch_id)

    monkeypatch.setattr("harness.execution.dispatch.dispatch", dispatch)
    monkeypatch.setattr(launching, "cluster", lambda address: nullcontext(f"beware of {address}"))
    store, run = Store(tmp_path), job(seed=0)
    options = {"address": "head:6379", "suite": "tests", "progress": watcher, "slots": 3, "executor": "a:b"}
    result = launching.launch([run], store, **options)
    assert (given["slots"], given["executor"], given["jobs"]) == (3, "a:b", [run])
    assert account(store)["address"] == "head:6379" and watcher.notes == ["beware of head:6379"]
    assert account(store)["id"] == result.launch_id == given["launch"]


def test_names_of_launches_sort_by_time_and_none_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [
        datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 1, tzinfo=UTC),
        datetime(2026, 1, 2, tzinfo=UTC),
        datetime(2026, 2, 1, tzinfo=UTC),
    ]
    now = iter(moments)
    monkeypatch.setattr(launching, "datetime", type("Clock", (), {"now": lambda zone: next(now)}))
    names = [launching.new_launch_id() for _ in moments]
    assert names == sorted(names)
    monkeypatch.setattr(launching, "datetime", type("Clock", (), {"now": lambda zone: moments[0]}))
    assert len({launching.new_launch_id() for _ in range(50)}) == 50
