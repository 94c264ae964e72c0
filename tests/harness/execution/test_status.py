"""`symbench status`: what a launch says of itself as it goes, and what others make of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.errors import SymbenchError
from harness.execution import heartbeat
from harness.execution.heartbeat import Heartbeat
from harness.execution.run_job import failed_record
from harness.execution.status import SILENT_SECONDS, LaunchState, watch
from harness.records.record import Failure
from harness.records.store import Store
from harness.spec import Job

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FOLDER = Path(__file__).parent
USAGE = {"nodes": 3, "cpus": [4.0, 8.0], "gpus": [0.0, 0.0]}
MakeJob = Callable[..., Job]


def moment(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat(timespec="seconds")


def put_launch(store: Store, jobs: list[Job], name: str = "one", **changes: Any) -> None:
    """A launch that began five minutes ago, ended 4 runs since, and is at two others."""
    progress = {
        "host": "elsewhere",
        "pid": 1,
        "updated": moment(10),
        "began": moment(130),
        "succeeded": 3,
        "failed": 1,
        "running": {jobs[n].spec.digest: {"run": f"run {n}", "since": moment(20 + n)} for n in (4, 5)},
        "usage": USAGE,
    }
    values = {"id": name, "suite": "tests", "started": moment(300), "status": "running", "progress": progress}
    store.write_launch(name, {**values, "digests": [job.spec.digest for job in jobs], **changes})


@pytest.fixture
def jobs(job: MakeJob) -> list[Job]:
    return [job(seed=seed) for seed in range(10)]


@pytest.fixture
def store(tmp_path: Path, jobs: list[Job]) -> Store:
    """Three of the runs have a record that succeeded and one has one that failed."""
    made = Store(tmp_path / "store")
    for index in range(4):
        record = failed_record(jobs[index], Failure(sentence="no"))
        if index < 3:
            changes = {"status": "succeeded", "failure": None}
            record = type(record)(**{**vars(record), **changes})
        made.write(record, [])
    return made


def only(store: Store, **options: Any) -> LaunchState:
    [found] = watch(store, now=NOW, **options)
    return found


def test_the_counts_of_a_launch_add_up_and_the_time_left_follows_its_pace(store: Store, jobs: list[Job]) -> None:
    put_launch(store, jobs)
    found = only(store)
    assert (found.state, found.runs, found.done, found.failed, len(found.running), found.queued) == (
        "running",
        10,
        3,
        1,
        2,
        4,
    )
    assert found.per_minute == pytest.approx(4 / 120 * 60)
    assert found.seconds_left == pytest.approx(6 * 30)
    assert {run.run: run.seconds for run in found.running} == {"run 4": 24, "run 5": 25}
    assert found.usage == USAGE


@pytest.mark.parametrize("reason", ["silence", "its process is gone"])
def test_a_launch_that_died_is_told_from_one_that_goes_on(store: Store, jobs: list[Job], reason: str) -> None:
    put_launch(store, jobs)
    account = json.loads((store.root / "launches" / "one.json").read_text())
    if reason == "silence":
        account["progress"]["updated"] = moment(SILENT_SECONDS + 1)
    else:
        gone = subprocess.Popen(["true"])
        gone.wait()
        account["progress"] |= {"host": os.uname().nodename, "pid": gone.pid}
    store.write_launch("one", account)
    found = only(store)
    assert (found.state, found.done, found.failed, found.running, found.queued) == ("lost", 3, 1, (), 6)
    assert found.seconds_left is None and found.usage == {}


def test_a_launch_that_ended_says_how(store: Store, jobs: list[Job]) -> None:
    ended = {"status": "failed", "succeeded": 3, "failed": {jobs[3].spec.digest: "no"}, "progress": None}
    put_launch(store, jobs[:4] + jobs[:2], digests=[job.spec.digest for job in jobs[:4]], **ended)
    found = only(store)
    assert (found.state, found.runs, found.done, found.failed, found.queued) == ("failed", 4, 3, 1, 0)


def test_the_latest_launch_of_each_suite_counts(store: Store, jobs: list[Job]) -> None:
    put_launch(store, jobs, "early", started=moment(900), status="interrupted")
    put_launch(store, jobs, "late")
    put_launch(store, jobs, "other", suite="other", started=moment(600))
    (store.root / "launches" / "torn.json").write_text("{")
    assert [(one.suite, one.launch) for one in watch(store, now=NOW)] == [("other", "other"), ("tests", "late")]
    assert only(store, suite="other").launch == "other"
    with pytest.raises(SymbenchError, match="did you mean 'tests'"):
        watch(store, "test")


def test_the_launches_of_searches_are_seen_too(store: Store, jobs: list[Job]) -> None:
    put_launch(store, jobs)
    own = Store(store.root / "searches" / "wide")
    own.write(failed_record(jobs[0], Failure(sentence="no")), [])
    put_launch(own, jobs[:6], "search", suite="search/wide", started=moment(200), runs=50)
    assert [one.suite for one in watch(store, now=NOW)] == ["tests", "search/wide"]
    found = only(store, suite="search/wide")
    assert (found.runs, found.done, found.queued) == (50, 0, 50 - 1 - 2)


def test_a_store_without_a_launch_says_so(store: Store) -> None:
    with pytest.raises(SymbenchError, match="There was no launch in"):
        watch(store)


def test_the_command_prints_what_is_there(store: Store, jobs: list[Job]) -> None:
    put_launch(store, jobs)
    account = json.loads((store.root / "launches" / "one.json").read_text())
    account["progress"]["updated"] = datetime.now(UTC).isoformat()
    store.write_launch("one", account)
    said = CliRunner().invoke(cli.app, ["status", "--store", str(store.root)]).output
    assert said.splitlines()[1].split()[:7] == ["tests", "running", "10", "3", "2", "1", "4"]
    assert ": run 4" in said and "nodes: 3, in use: 4 of 8 CPUs\n" in said
    states = json.loads(CliRunner().invoke(cli.app, ["status", "tests", "--store", str(store.root), "--json"]).output)
    assert (states[0]["done"], states[0]["queued"]) == (3, 4)


def test_a_beacon_tells_while_it_lasts_and_never_after(
    jobs: list[Job], watcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 0.01)
    written: list[Mapping[str, Any]] = []
    answers = iter([USAGE, ValueError("no cluster")] * 1000)

    def usage() -> Mapping[str, Any]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def tell(values: Mapping[str, Any]) -> None:
        written.append(json.loads(json.dumps(values)))
        if len(written) == 2:
            raise SymbenchError("the disk is full")

    with Heartbeat(watcher, tell, usage) as told_of:
        told_of.started(jobs[0])
        told_of.started(jobs[1])
        told_of.finished(jobs[0], "succeeded", None)
        told_of.finished(jobs[2], "failed", "no")
        until = time.monotonic() + 10
        while len(written) < 5:
            assert time.monotonic() < until
            time.sleep(0.01)
    count = len(written)
    time.sleep(0.1)
    assert len(written) == count
    assert written[-1]["running"].keys() == {jobs[1].spec.digest}
    assert (written[-1]["succeeded"], written[-1]["failed"], written[-1]["pid"]) == (1, 1, os.getpid())
    assert USAGE in [one["usage"] for one in written] and {} in [one["usage"] for one in written]
    assert [end[0] for end in watcher.ends] == [jobs[0].spec.digest, jobs[2].spec.digest]
    assert sum(watcher.starts.values()) == 2


def test_a_cluster_that_never_answers_neither_silences_the_launch_nor_holds_it(
    watcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "JOIN_SECONDS", 0.1)
    asked, answer = threading.Event(), threading.Event()
    written: list[Mapping[str, Any]] = []

    def usage() -> Mapping[str, Any]:
        asked.set()
        answer.wait(30)
        return USAGE

    with Heartbeat(watcher, written.append, usage) as beating:
        assert asked.wait(5)
        until = time.monotonic() + 10
        while len(written) < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 10  # and not the 30 s of the cluster
    answer.set()
    for thread in beating._threads:
        thread.join(5)
    count = len(written)
    time.sleep(0.05)
    assert len(written) == count and {str(one["usage"]) for one in written} == {"{}"}


def test_a_launch_that_beats_as_it_should_is_never_taken_for_lost(store: Store, jobs: list[Job]) -> None:
    """Not even where a few beats in a row are lost, and an object store takes twenty seconds to answer."""
    assert 4 * heartbeat.PERIOD_SECONDS + 20 <= SILENT_SECONDS
    put_launch(store, jobs)
    account = json.loads((store.root / "launches" / "one.json").read_text())
    period = heartbeat.PERIOD_SECONDS
    for late, state in ((4 * period, "running"), (SILENT_SECONDS - 1, "running"), (SILENT_SECONDS, "lost")):
        account["progress"]["updated"] = moment(late)
        store.write_launch("one", account)
        assert only(store).state == state
    account["progress"] = None
    for late, state in ((SILENT_SECONDS - 1, "running"), (SILENT_SECONDS + 1, "lost")):
        store.write_launch("one", account | {"started": moment(late)})  # it has not beaten yet
        assert only(store).state == state


def test_the_process_of_another_machine_is_not_looked_for_here(store: Store, jobs: list[Job]) -> None:
    put_launch(store, jobs)
    account = json.loads((store.root / "launches" / "one.json").read_text())
    gone = subprocess.Popen(["true"])
    gone.wait()
    account["progress"]["pid"] = gone.pid
    store.write_launch("one", account)
    assert only(store).state == "running"


def test_a_launch_is_told_from_the_first_run_that_begins(
    jobs: list[Job], watcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts, moments and names: what another process reads is what was said here."""
    clock = iter(range(1000, 2000, 10))
    monkeypatch.setattr("harness.execution.heartbeat.time.time", lambda: float(next(clock)))
    beating = Heartbeat(watcher, lambda values: None, dict)
    beating.started(jobs[0])
    beating.started(jobs[1])
    beating.finished(jobs[1], "failed", "no")
    beating.started(jobs[1])
    state = beating._state()
    assert datetime.fromisoformat(state["began"]).timestamp() == 1000
    assert datetime.fromisoformat(state["updated"]).timestamp() > 1000
    assert datetime.fromisoformat(state["running"][jobs[0].spec.digest]["since"]).timestamp() == 1010
    assert (state["succeeded"], state["failed"], len(state["running"])) == (0, 1, 2)


def test_a_real_launch_is_seen_from_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{FOLDER.parents[2]}:{FOLDER}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    wish = {"jobs": [["sleep", seed, {"seconds": 1.0}] for seed in range(6)], "slots": 2, "period": 0.2}
    words = [sys.executable, str(FOLDER / "symbench_test_driver.py"), str(tmp_path / "store"), json.dumps(wish)]
    store, seen = Store(tmp_path / "store"), []
    with open(tmp_path / "said", "w") as said:
        launch = subprocess.Popen(words, stdout=said, stderr=said, cwd=tmp_path)
    while launch.poll() is None:
        if list(store.root.glob("launches/*.json")):
            seen += watch(store)
        time.sleep(0.1)
    assert launch.returncode == 0, (tmp_path / "said").read_text()
    assert {one.runs for one in seen} == {6}
    assert all(one.done + one.failed + one.queued + len(one.running) == 6 for one in seen)
    busy = [one for one in seen if one.running and one.done]
    assert busy and all(len(one.running) <= 2 and one.state == "running" for one in busy)
    assert any(one.usage.get("nodes") == 1 for one in busy)
    assert all(one.seconds_left is not None and 0 < one.seconds_left < 120 for one in busy if one.per_minute)
    [last] = watch(store)
    assert (last.state, last.done, last.queued) == ("succeeded", 6, 0)


def test_a_run_with_a_record_is_done_whatever_the_launch_says_of_it(store: Store, jobs: list[Job]) -> None:
    put_launch(store, jobs)
    record = failed_record(jobs[4], Failure(sentence="no"))
    store.write(type(record)(**{**vars(record), "status": "succeeded", "failure": None}), [])
    found = only(store)
    assert (found.done, [run.run for run in found.running], found.queued) == (4, ["run 5"], 4)


ODD: list[Any] = [None, 3, "x", [], {}, [None], {"x": None}]


@pytest.mark.parametrize("odd", [*ODD, ...], ids=repr)
def test_an_account_that_is_damaged_anywhere_hides_no_other_launch(store: Store, jobs: list[Job], odd: Any) -> None:
    """Each of its values is another one, or is not there (``...``)."""
    put_launch(store, jobs, "whole", suite="whole")
    put_launch(store, jobs, "damaged")
    path = store.root / "launches" / "damaged.json"
    text = path.read_text()
    values = json.loads(text)
    values["progress"]["host"] = os.uname().nodename
    for place in [(name,) for name in values] + [("progress", name) for name in values["progress"]]:
        damaged = json.loads(json.dumps(values))
        inside = damaged[place[0]] if len(place) > 1 else damaged
        if odd is ...:
            del inside[place[-1]]
        else:
            inside[place[-1]] = odd
        path.write_text(json.dumps(damaged))
        assert "whole" in [one.suite for one in watch(store, now=NOW)], place


def test_nothing_is_written_by_a_beat_that_was_under_way_at_the_end(
    watcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 0.01)
    written: list[Mapping[str, Any]] = []
    beating = Heartbeat(watcher, written.append, dict)
    with beating:
        with beating._lock:  # the next beat waits for this
            time.sleep(0.1)
            beating._stopped.set()
            count = len(written)
        for thread in beating._threads:
            thread.join(5)
    assert len(written) == count
