"""Runs a search with Ray Tune, on a local Ray or on a cluster."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
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
from harness.search.against_default import runs_to_compare
from harness.search.journal import Journal
from harness.search.model import Search
from harness.search.results import SearchResult, conclude, ended_trials
from harness.spec import Job
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
        "runs": search.most_runs,  # the runs themselves are not known in advance
    }
    compared: list[Job] = []
    status: Literal["succeeded", "failed", "interrupted"] = "interrupted"

    def write(state: str, progress: Mapping[str, Any] | None = None) -> None:
        jobs = [*(search.trial(values) for values in journal.points), *compared]
        digests = [job.spec.digest for job in jobs]
        own.write_launch(launch_id, launch_state | {"digests": digests, "status": state, "progress": progress})

    write("running")
    try:
        with Heartbeat(progress, partial(write, "running"), usage) as heartbeat:
            fit = partial(_fit, search, own, journal, heartbeat, tracker, launch_state["started"], slots)
            fit()
            compared += _to_compare(search, own, journal)
            if compared:
                fit(compared)
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
    tracker: LaunchTracker,
    since: str,
    slots: int | None,
    jobs: Sequence[Job] = (),
) -> None:
    """Runs the trials, or ``jobs`` that are known in advance."""
    from ray import tune
    from ray.tune.error import TuneError

    from harness.search.callbacks import Watch
    from harness.search.strategy import each_once, strategy
    from harness.search.trial import JOB, Trial, TrialConfig

    config = TrialConfig(
        search=search,
        store=own.address,
        since=since,
        driver=worker_info([search.example.spec]),
        command=command_line(),
        tracker=None if tracker.lost else tracker.handle,
        plugin_files=registry.files(),
        jobs=jobs,
    )
    folder = own.root / "tune"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(Trial, trial_config=config), _grants(search)),
            param_space={JOB: tune.grid_search(list(range(len(jobs))))} if jobs else None,
            tune_config=each_once(search, slots) if jobs else strategy(search, journal.points, slots),
            run_config=tune.RunConfig(
                name=folder.name,
                storage_path=str(own.root),
                verbose=0,
                callbacks=[Watch(config, journal, own, progress)],
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


def _to_compare(search: Search, own: Store, journal: Journal) -> list[Job]:
    """The runs of the best and of the default that have no successful record yet."""
    best = next(iter(ended_trials(search, own, journal.points)), None)
    if best is None or best.score is None:
        return []
    statuses = own.statuses()
    jobs = chain.from_iterable(runs_to_compare(search, best.values))
    return [job for job in jobs if statuses.get(job.spec.digest) != "succeeded"]


@contextlib.contextmanager
def _reported(progress: Progress, search: Search, own: Store, journal: Journal) -> Iterator[int]:
    """Reports the begin and the end of the search, and yields the number of runs without a successful record.

    While trials are missing, the best is not known, and all runs of its comparison with the default count as missing.
    """
    statuses = own.statuses()
    done = sum(statuses.get(search.trial(values).spec.digest) == "succeeded" for values in journal.points)
    if missing := max(0, search.trials - done):
        missing += 2 * search.compare
    else:
        missing = len(_to_compare(search, own, journal))
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
