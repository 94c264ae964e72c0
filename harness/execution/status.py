"""The state of the launches of a store, from their launch files and the records (no Ray)."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from harness.errors import UnknownName
from harness.records.layout import launch_states
from harness.records.record import Status
from harness.records.store import Store
from harness.utils.text import nearest

SILENT_SECONDS = 60.0

State = Literal["running", "lost", "succeeded", "failed", "interrupted"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunningRun:
    """A run that is being computed, and for how long."""

    digest: str
    run: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LaunchState:
    """The latest launch of a suite.

    Attributes:
        suite: The name of the suite.
        launch: The id of the launch.
        state: ``lost`` if its file was not written for :data:`SILENT_SECONDS`, or its process does not exist any more.
        started: When it started.
        runs: The number of its runs.
        done: How many of these have a record that succeeded.
        failed: How many have failed.
        queued: How many have not started; after a lost launch they wait for the next one.
        running: The runs that are being computed.
        per_minute: How many runs end in a minute.
        seconds_left: The time left at this speed.
        usage: The resources of the cluster and how much of them is in use.
    """

    suite: str
    launch: str
    state: State
    started: datetime
    runs: int
    done: int
    failed: int
    queued: int
    running: tuple[RunningRun, ...]
    per_minute: float | None
    seconds_left: float | None
    usage: Mapping[str, Any]


def watch(store: Store, suite: str | None = None, now: datetime | None = None) -> list[LaunchState]:
    """Returns the latest launch of each suite and search (of ``suite`` only, if given), the newest last.

    Raises:
        UnknownName: There was none.
    """
    store.refresh()
    now = now or datetime.now(UTC)
    latest: dict[str, tuple[Mapping[str, Any], Store]] = {}
    searches = store.searches()
    for one in searches:
        one.refresh()
    launches = [(launch, one) for one in (store, *searches) for launch in _launches(one.root, now)]
    for launch, one in sorted(launches, key=lambda item: str(item[0]["started"])):
        latest.pop(launch["suite"], None)
        latest[launch["suite"]] = launch, one
    if not latest:
        raise UnknownName(f"There was no launch in {store.root} yet: start one with 'symbench run'.")
    if suite is not None and suite not in latest:
        raise UnknownName(f"No launch of a suite '{suite}' in {store.root}: {nearest(suite, latest)}")
    statuses = {one.root: one.statuses() for _, one in latest.values()}
    return [_state(launch, statuses[one.root], now) for name, (launch, one) in latest.items() if suite in (None, name)]


def _state(launch: Mapping[str, Any], statuses: Mapping[str, Status], now: datetime) -> LaunchState:
    progress = launch.get("progress") or {}
    state: State = launch["status"]
    if state == "running" and not _alive(launch, progress, now):
        state = "lost"
    # A record may be newer than the launch file.
    running = tuple(run for run in _running(progress, now) if statuses.get(run.digest) != "succeeded")
    running = running if state == "running" else ()
    runs = launch.get("runs", len(launch["digests"]))
    done = sum(statuses.get(digest) == "succeeded" for digest in launch["digests"])
    failed = len(launch["failed"]) if "failed" in launch else progress.get("failed", 0)
    queued = max(0, runs - done - failed - len(running))
    speed = _per_second(progress) if state == "running" else None
    return LaunchState(
        suite=launch["suite"],
        launch=launch["id"],
        state=state,
        started=datetime.fromisoformat(launch["started"]),
        runs=runs,
        done=done,
        failed=failed,
        queued=queued,
        running=running,
        per_minute=speed * 60 if speed else None,
        seconds_left=(queued + len(running)) / speed if speed else None,
        usage=progress.get("usage", {}) if state == "running" else {},
    )


def _alive(launch: Mapping[str, Any], progress: Mapping[str, Any], now: datetime) -> bool:
    if progress.get("host") == socket.gethostname() and not psutil.pid_exists(progress["pid"]):
        return False
    updated = datetime.fromisoformat(progress.get("updated") or launch["started"])
    return (now - updated).total_seconds() < SILENT_SECONDS


def _running(progress: Mapping[str, Any], now: datetime) -> Iterator[RunningRun]:
    for digest, one in progress.get("running", {}).items():
        seconds = (now - datetime.fromisoformat(one["since"])).total_seconds()
        yield RunningRun(digest=digest, run=one["run"], seconds=max(0.0, seconds))


def _per_second(progress: Mapping[str, Any]) -> float | None:
    """How many runs have ended per second since the first one started."""
    ended = progress.get("succeeded", 0) + progress.get("failed", 0)
    if not ended:
        return None
    spent = datetime.fromisoformat(progress["updated"]) - datetime.fromisoformat(progress["began"])
    return ended / max(1.0, spent.total_seconds())


def _launches(root: Path, now: datetime) -> Iterator[Mapping[str, Any]]:
    def read(launch: str, state: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if not {"id", "started", "status", "digests"} <= state.keys() or not isinstance(state.get("suite"), str):
            return None
        _state(state, {}, now)  # raises if anything in it is wrong
        return state

    return launch_states(root, read)
