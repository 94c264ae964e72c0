"""How far the launches of a store are, seen from any terminal: from their accounts and the records alone (no Ray)."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from harness.errors import SymbenchError
from harness.records.layout import launch_accounts
from harness.records.store import Status, Store
from harness.utils.text import nearest

SILENT_SECONDS = 60.0

State = Literal["running", "lost", "succeeded", "failed", "interrupted"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunningRun:
    """A run that goes on: its name and for how long."""

    digest: str
    run: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LaunchState:
    """The latest launch of a suite.

    ``runs`` are those that it was to do, of which ``done`` have a record that succeeded. It is ``lost`` where it has
    said nothing for :data:`SILENT_SECONDS`, or its process is gone: its ``queued`` runs wait for the next launch.
    ``usage`` is what the cluster had and what of it was in use.
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
    """The latest launch of each suite and search, or of the one named, the newest last.

    Raises :class:`SymbenchError` where there was none.
    """
    store.refresh()
    now = now or datetime.now(UTC)
    latest: dict[str, tuple[Mapping[str, Any], Store]] = {}
    within = store.searches()
    for one in within:
        one.refresh()
    told = [(account, one) for one in (store, *within) for account in _accounts(one.root, now)]
    for account, one in sorted(told, key=lambda item: str(item[0]["started"])):
        latest.pop(account["suite"], None)
        latest[account["suite"]] = account, one
    if not latest:
        raise SymbenchError(f"There was no launch in {store.root} yet: start one with 'symbench run'.")
    if suite is not None and suite not in latest:
        raise SymbenchError(f"No launch of a suite '{suite}' in {store.root}: {nearest(suite, latest)}")
    statuses = {one.root: one.statuses() for _, one in latest.values()}
    return [
        _state(account, statuses[one.root], now) for name, (account, one) in latest.items() if suite in (None, name)
    ]


def _state(account: Mapping[str, Any], statuses: Mapping[str, Status], now: datetime) -> LaunchState:
    progress = account.get("progress") or {}
    state: State = account["status"]
    if state == "running" and not _lives(account, progress, now):
        state = "lost"
    # A record may be younger than what the launch says.
    running = tuple(run for run in _running(progress, now) if statuses.get(run.digest) != "succeeded")
    running = running if state == "running" else ()
    runs = account.get("runs", len(account["digests"]))
    done = sum(statuses.get(digest) == "succeeded" for digest in account["digests"])
    failed = len(account["failed"]) if "failed" in account else progress.get("failed", 0)
    queued = max(0, runs - done - failed - len(running))
    speed = _per_second(progress) if state == "running" else None
    return LaunchState(
        suite=account["suite"],
        launch=account["id"],
        state=state,
        started=datetime.fromisoformat(account["started"]),
        runs=runs,
        done=done,
        failed=failed,
        queued=queued,
        running=running,
        per_minute=speed * 60 if speed else None,
        seconds_left=(queued + len(running)) / speed if speed else None,
        usage=progress.get("usage", {}) if state == "running" else {},
    )


def _lives(account: Mapping[str, Any], progress: Mapping[str, Any], now: datetime) -> bool:
    if progress.get("host") == socket.gethostname() and not psutil.pid_exists(progress["pid"]):
        return False
    said = datetime.fromisoformat(progress.get("updated") or account["started"])
    return (now - said).total_seconds() < SILENT_SECONDS


def _running(progress: Mapping[str, Any], now: datetime) -> Iterator[RunningRun]:
    for digest, one in progress.get("running", {}).items():
        seconds = (now - datetime.fromisoformat(one["since"])).total_seconds()
        yield RunningRun(digest=digest, run=one["run"], seconds=max(0.0, seconds))


def _per_second(progress: Mapping[str, Any]) -> float | None:
    """Runs that ended in a second, over the time since the first one began."""
    ended = progress.get("succeeded", 0) + progress.get("failed", 0)
    if not ended:
        return None
    spent = datetime.fromisoformat(progress["updated"]) - datetime.fromisoformat(progress["began"])
    return ended / max(1.0, spent.total_seconds())


def _accounts(root: Path, now: datetime) -> Iterator[Mapping[str, Any]]:
    def read(launch: str, account: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if not {"id", "started", "status", "digests"} <= account.keys() or not isinstance(account.get("suite"), str):
            return None
        _state(account, {}, now)  # raises if anything in it is wrong
        return account

    return launch_accounts(root, read)
