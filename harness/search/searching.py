"""Runs a search with Ray Tune, on a local Ray or on a cluster."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from harness import registry
from harness.errors import SuiteError, SymbenchError
from harness.execution.cluster import cluster, environment, living_nodes, usage
from harness.execution.heartbeat import Heartbeat
from harness.execution.launch import new_launch_id
from harness.execution.placement import Shape, misfit
from harness.execution.progress import Progress
from harness.execution.run_job import now
from harness.execution.same_code import worker_info
from harness.records.opening import open_store
from harness.records.provenance import command_line
from harness.records.store import Store
from harness.search.journal import Journal
from harness.search.model import Search
from harness.search.results import SearchResult, conclude
from harness.tracking import LaunchTracker, sync

RETRIES = 2
SETTINGS = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is handled by symbench
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the store has all results
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # a search resumes from the journal and the records: no pickles are read
    "RAY_AIR_NEW_OUTPUT": "0",  # the old output can be switched off
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


def run_search(
    search: Search, place: str | Path, *, address: str | None, progress: Progress, slots: int | None = None
) -> SearchResult:
    """Runs the trials that have no record yet and writes the results.

    Trials have a store of their own, ``searches/NAME`` in the store at ``place``. Raises :class:`SuiteError` if the
    search cannot be run and ``KeyboardInterrupt`` if it is interrupted; calling it again resumes it.
    """
    from harness.search.trial_training import trained_task

    store = open_store(place)
    own = store.search(search.name)
    with own.lock(), environment(**SETTINGS), _silent_tune():
        journal = Journal(own, search)
        trained_task(search.example.spec)
        with _reported(progress, search, own, journal) as missing:
            if missing:
                with cluster(address) as caveat:
                    if caveat:
                        progress.note(caveat)
                    _tune(search, own, journal, progress, address=address, slots=slots, uri=store.mlflow_uri)
        mirrored = sync(own, store.mlflow_uri)  # records whose worker died before it logged them
        if mirrored.failed:
            progress.note(f"{mirrored}.")
        result = conclude(search, own, journal.points)
        if lost := len(journal.points) - len(result.trials):
            progress.note(f"{lost} trials have no record: the same command runs them.")
        return result


def _tune(
    search: Search,
    own: Store,
    journal: Journal,
    progress: Progress,
    *,
    address: str | None,
    slots: int | None,
    uri: str,
) -> None:
    """Runs all trials as one launch."""
    launch_id = new_launch_id()
    tracker = LaunchTracker.start(uri, search.suite_name, launch_id, own.root, own.address)
    if tracker.lost:
        progress.note(tracker.lost)
    launch_state: dict[str, Any] = {
        "id": launch_id,
        "suite": search.suite_name,
        "started": now(),
        "address": address,
        "command": command_line(),
        "runs": search.trials,  # the runs themselves are not known in advance
    }
    status: Literal["succeeded", "failed", "interrupted"] = "interrupted"

    def write(state: str, progress: Mapping[str, Any] | None = None) -> None:
        digests = [search.trial(values).spec.digest for values in journal.points]
        own.write_launch(launch_id, launch_state | {"digests": digests, "status": state, "progress": progress})

    write("running")
    try:
        with Heartbeat(progress, partial(write, "running"), usage) as heartbeat:
            _fit(search, own, journal, heartbeat, tracker=tracker, since=launch_state["started"], slots=slots)
        status = "succeeded"
    finally:
        with suppress(SymbenchError):  # a full disk must not hide why the search ended
            write(status)
        tracker.finish()


def _fit(
    search: Search,
    own: Store,
    journal: Journal,
    progress: Progress,
    *,
    tracker: LaunchTracker,
    since: str,
    slots: int | None,
) -> None:
    from ray import tune
    from ray.tune.error import TuneError

    from harness.search.callbacks import Watch
    from harness.search.strategy import strategy
    from harness.search.trial import Trial, TrialConfig

    config = TrialConfig(
        search=search,
        store=own.address,
        since=since,
        driver=worker_info([search.example.spec]),
        command=command_line(),
        tracker=None if tracker.lost else tracker.handle,
        plugin_files=registry.files(),
    )
    folder = own.root / "tune"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(Trial, trial_config=config), _grants(search)),
            tune_config=strategy(search, journal.points, slots),
            run_config=tune.RunConfig(
                name=folder.name,
                storage_path=str(own.root),
                verbose=0,
                callbacks=[Watch(search, journal, own, progress)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # runs write their own checkpoints
                failure_config=tune.FailureConfig(max_failures=RETRIES),
            ),
        ).fit()
    except TuneError as error:
        if isinstance(error.__cause__, SymbenchError):
            raise error.__cause__ from None
        reason = str(error).strip().splitlines()[-1]
        raise SuiteError(f"Ray Tune ended the search ({reason}): the same command resumes it.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _grants(search: Search) -> dict[str, float]:
    """The resources that Tune reserves for a trial. Raises :class:`SuiteError` if no node has them."""
    resources = search.example.resources
    if sentence := misfit(Shape.of(resources), living_nodes()):
        raise SuiteError(sentence)
    memory = {"memory": float(resources.memory)} if resources.memory else {}
    return {"cpu": resources.cpus, "gpu": resources.gpus, **memory}


@contextlib.contextmanager
def _reported(progress: Progress, search: Search, own: Store, journal: Journal) -> Iterator[int]:
    """Reports the begin and the end of the search, and yields the number of trials without a successful record."""
    statuses = own.statuses()
    done = sum(statuses.get(search.trial(values).spec.digest) == "succeeded" for values in journal.points)
    missing = max(0, search.trials - done)
    progress.begin(missing, done)
    try:
        yield missing
    finally:
        progress.end()


@contextlib.contextmanager
def _silent_tune() -> Iterator[None]:
    """Hides the log of Tune, which repeats the table."""
    log = logging.getLogger("ray.tune")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
