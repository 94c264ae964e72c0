"""A launch: jobs in, records out, on a Ray cluster of its own or on one that is there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import SymbenchError
from harness.execution.cluster import cluster, usage
from harness.execution.heartbeat import Heartbeat
from harness.execution.messages import WorkerConfig
from harness.execution.progress import Progress, RunStatus
from harness.execution.same_code import worker_info
from harness.records.provenance import command_line
from harness.records.store import Store
from harness.spec import Job

if TYPE_CHECKING:
    from harness.tracking import LaunchTracker

EXECUTOR = "harness.training.execute:execute"


@dataclass(kw_only=True)
class LaunchResult:
    """How the runs of a launch ended: digests, and for each failed one why."""

    launch_id: str
    succeeded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, digest: str, status: RunStatus, sentence: str | None) -> None:
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
    """Runs every job and returns once each has a record.

    ``address`` is that of a Ray cluster (``auto``, ``host:port``, ``ray://host:port``); ``None`` starts one on this
    machine and gives all of it back. ``slots`` bounds how many runs go on at once. The caller holds the store's lock.

    Raises :class:`SymbenchError` where the cluster, its workers or the store cannot serve, and ``KeyboardInterrupt``
    when interrupted; either way the records of the runs that ended are there, and a later launch does the rest.
    """
    with cluster(address) as caveat:
        if caveat:
            progress.note(caveat)
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
    """:func:`launch` on the Ray that this process is connected to."""
    from harness.execution.dispatch import dispatch

    unique = list({job.spec.digest: job for job in jobs}.values())
    result = LaunchResult(launch_id=new_launch_id())
    tracker = _tracker(store, suite, result.launch_id, progress)
    account = {
        "id": result.launch_id,
        "suite": suite,
        "started": _now(),
        "address": address,
        "command": command_line(),
        "digests": [job.spec.digest for job in unique],
        "mlflow_parent": tracker.handle.parent_run_id if tracker else None,
    }
    store.write_launch(result.launch_id, account | {"status": "running"})
    config = WorkerConfig(
        root=store.address,
        launch_id=result.launch_id,
        executor=executor,
        command=command_line(),
        driver=worker_info(job.spec for job in unique),
        tracker=tracker.handle if tracker else None,
    )
    status: Literal["succeeded", "failed", "interrupted"] = "interrupted"

    def tell(progress: Mapping[str, Any]) -> None:
        store.write_launch(result.launch_id, account | {"status": "running", "progress": progress})

    try:
        with Heartbeat(progress, tell, usage) as heartbeat:
            dispatch(unique, store, config, heartbeat, slots=slots, on_end=result.add)
        status = "failed" if result.failed else "succeeded"
    finally:
        ended = {"status": status, "finished": _now(), "succeeded": len(result.succeeded), "failed": result.failed}
        with suppress(SymbenchError):  # a full disk here must not hide why the launch ended
            store.write_launch(result.launch_id, account | ended)
        if tracker:
            tracker.finish(status)
    return result


def new_launch_id() -> str:
    """Sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _tracker(store: Store, suite: str, launch_id: str, progress: Progress) -> LaunchTracker | None:
    """The launch's parent run in MLflow; ``None``, with a note to the user, where MLflow cannot be reached."""
    from harness.tracking import LaunchTracker

    tracker = LaunchTracker.start(store.mlflow_uri, suite, launch_id, store.root, store.address)
    if tracker.lost is None:
        return tracker
    progress.note(tracker.lost)
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
