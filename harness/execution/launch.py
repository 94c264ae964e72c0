"""A launch: runs jobs on a local Ray cluster or on an existing one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from harness import registry
from harness.errors import SymbenchError
from harness.execution.cluster import cluster, usage
from harness.execution.heartbeat import Heartbeat
from harness.execution.messages import WorkerConfig
from harness.execution.progress import Progress
from harness.execution.same_code import worker_info
from harness.records.provenance import command_line
from harness.records.record import Status
from harness.records.store import Store
from harness.spec import Job

if TYPE_CHECKING:
    from harness.tracking import LaunchTracker

EXECUTOR = "harness.training.execute:execute"


@dataclass(kw_only=True)
class LaunchResult:
    """How the runs of a launch ended: the digests, and the reason of each failure."""

    launch_id: str
    succeeded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, digest: str, status: Status, sentence: str | None) -> None:
        """Adds a run; ``sentence`` is the reason of a failure."""
        if status == "succeeded":
            self.succeeded.append(digest)
        else:
            self.failed[digest] = sentence or "no reason given"


def launch(
    jobs: Sequence[Job],
    store: Store,
    *,
    address: str | None,
    suite: str,
    progress: Progress,
    slots: int | None = None,
    executor: str = EXECUTOR,
) -> LaunchResult:
    """Runs every job and returns when each has a record. The caller holds the store's lock.

    Args:
        jobs: The jobs.
        store: The store of their records.
        address: ``auto``, ``host:port`` or ``ray://host:port`` of a Ray cluster; None starts a local one.
        suite: The name of the suite.
        progress: Is notified of starts and ends.
        slots: The largest number of runs at the same time (``None``: one for each CPU).
        executor: The function that computes a spec, as ``module:function``.

    Raises:
        SymbenchError: The cluster, its workers or the store cannot be used. The runs that ended have their records, and
            a later launch runs the rest.
        KeyboardInterrupt: The launch was interrupted; the same holds.
    """
    with cluster(address) as warning:
        if warning:
            progress.note(warning)
        return launch_here(jobs, store, suite=suite, progress=progress, slots=slots, executor=executor, address=address)


def launch_here(
    jobs: Sequence[Job],
    store: Store,
    *,
    suite: str,
    progress: Progress,
    slots: int | None = None,
    executor: str = EXECUTOR,
    address: str | None = None,
) -> LaunchResult:
    """:func:`launch` on the Ray cluster that this process is connected to."""
    from harness.execution.dispatch import dispatch

    unique = list({job.spec.digest: job for job in jobs}.values())
    result = LaunchResult(launch_id=new_launch_id())
    tracker = _tracker(store, suite, result.launch_id, progress)
    launch_file = {
        "id": result.launch_id,
        "suite": suite,
        "started": _now(),
        "address": address,
        "command": command_line(),
        "digests": [job.spec.digest for job in unique],
    }
    store.write_launch(result.launch_id, launch_file | {"status": "running"})
    config = WorkerConfig(
        root=store.address,
        launch_id=result.launch_id,
        executor=executor,
        command=command_line(),
        driver=worker_info(job.spec for job in unique),
        tracker=tracker.handle if tracker else None,
        plugin_files=registry.files(),
    )
    status: Literal["succeeded", "failed", "interrupted"] = "interrupted"

    def write(progress: Mapping[str, Any]) -> None:
        store.write_launch(result.launch_id, launch_file | {"status": "running", "progress": progress})

    try:
        with Heartbeat(progress, write, usage) as heartbeat:
            dispatch(unique, store, config, heartbeat, slots=slots, on_end=result.add)
        status = "failed" if result.failed else "succeeded"
    finally:
        ended = {"status": status, "finished": _now(), "succeeded": len(result.succeeded), "failed": result.failed}
        with suppress(SymbenchError):  # if the disk is full here, the error that ended the launch is more important
            store.write_launch(result.launch_id, launch_file | ended)
        if tracker:
            tracker.finish()
    return result


def new_launch_id() -> str:
    """Returns an id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _tracker(store: Store, suite: str, launch_id: str, progress: Progress) -> LaunchTracker | None:
    """The launch in MLflow; None, with a note to the user, if MLflow cannot be reached."""
    from harness.tracking import LaunchTracker

    tracker = LaunchTracker.start(store.mlflow_uri, suite, launch_id, store.root, store.address)
    if tracker.lost is None:
        return tracker
    progress.note(tracker.lost)
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
