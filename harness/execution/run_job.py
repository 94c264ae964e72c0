"""Runs in this process, from their specs to their records (no Ray)."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

from harness.errors import SymbenchError
from harness.records.description import describe
from harness.records.history import History
from harness.records.provenance import command_line, provenance, reset_peak_rss
from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.spec import Job, Resources, RunSpec
from harness.training.device_errors import DeviceFailed, MemoryFull, is_device_failure
from harness.training.results import Hooks, NotStacked, Outcome
from harness.utils.redaction import redacted
from tasks.sources.cache import DataError

SENTENCE_CHARACTERS = 300
LOG_CHARACTERS = 200_000

Result = Outcome | Exception

_log = logging.getLogger(__name__)


class Executor(Protocol):
    """Runs one spec in this process; the default is :func:`harness.training.execute.execute`."""

    def __call__(self, spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None) -> Outcome: ...


class RunTracker(Protocol):
    """Mirrors a run elsewhere while it goes on. Whatever it does, the run goes on."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def finish(self, record: Record, artifacts: Mapping[str, str]) -> None: ...

    def abandon(self) -> None: ...


def run_job(
    job: Job,
    store: Store,
    tracker: RunTracker | None,
    *,
    execute: Executor | None = None,
    command: Sequence[str] | None = None,
) -> Record:
    """Runs the job, writes its history and record to the store, and returns the record.

    An exception of the run becomes a failed record. Raises :class:`SymbenchError` where the record cannot be written,
    and :class:`~harness.training.device_errors.DeviceFailed`, without a record, if another process has to try again.
    """
    from harness.execution.out_of_memory import within_memory

    execute = execute or _training_loop()
    run = _Performance(job, store, lambda: tracker, command)
    use(job.resources)
    reset_peak_rss()
    with run.logged(), store.checkpoint(job.spec.digest) as checkpoint:
        try:
            way = partial(execute, job.spec, hooks=run.watchers, checkpoint=checkpoint)
            result: Result = within_memory(job, lambda resources: way(resources=resources), run.watchers.restart)
        except Exception as error:  # whatever a task or a method raises is this run's result
            result = error
        raise_device_failure(result)
    return run.end(result)


def run_stack(
    jobs: Sequence[Job],
    store: Store,
    tracker: Callable[[Job], RunTracker | None],
    *,
    command: Sequence[str] | None = None,
) -> list[Record]:
    """:func:`run_job` of jobs that differ by their seed alone, trained at once.

    Raises :class:`~harness.training.results.NotStacked`, and leaves no record, where they have to go one by one, and
    :class:`~harness.training.device_errors.DeviceFailed` as :func:`run_job` does.
    """
    from harness.training.execute_stack import execute_stack

    runs = [_Performance(job, store, partial(tracker, job), command, share=1 / len(jobs)) for job in jobs]
    specs, resources, hooks = [job.spec for job in jobs], jobs[0].resources, [run.watchers for run in runs]
    use(resources)
    reset_peak_rss()
    with contextlib.ExitStack() as logs:
        for run in runs:
            logs.enter_context(run.logged())
        try:
            results: Sequence[Result] = execute_stack(specs, resources=resources, hooks=hooks)
        except NotStacked as error:
            _log.warning("these %d runs go one by one, because %s", len(jobs), error)
            for run in runs:
                run.watchers.abandon()
            raise
        except Exception as error:  # as in run_job
            results = [error] * len(jobs)
        for result in results:
            raise_device_failure(result)
    return [run.end(result) for run, result in zip(runs, results, strict=True)]


class _Performance:
    """One run from its start to its record. ``share`` is its part of the time, where others go on with it."""

    def __init__(
        self,
        job: Job,
        store: Store,
        tracker: Callable[[], RunTracker | None],
        command: Sequence[str] | None,
        share: float = 1.0,
    ) -> None:
        self._job, self._store, self._command, self._share = job, store, command or command_line(), share
        self._description = describe(job.spec)
        self._started, self._since = now(), time.monotonic()
        self.watchers = _Watchers(tracker)

    @contextlib.contextmanager
    def logged(self) -> Iterator[None]:
        spec = self._job.spec
        with _run_log(self._store.log_path(spec.digest)):
            _log.info("run %s starts: %s x %s, seed %d", spec.digest, spec.task, spec.method, spec.seed)
            yield

    def end(self, result: Result) -> Record:
        """Writes the record, ends the mirror."""
        job, digest = self._job, self._job.spec.digest
        outcome, failure = (result, None) if isinstance(result, Outcome) else (Outcome(metrics={}), _failure(result))
        seconds = self._share * (time.monotonic() - self._since)
        with _run_log(self._store.log_path(digest)):
            if failure is None:
                _log.info("run %s succeeded in %.1f s", digest, seconds)
            else:
                _log.error("run %s failed\n%s", digest, failure.traceback)
        record = Record(
            spec=job.spec,
            suite=job.suite,
            status="failed" if failure else "succeeded",
            description=self._description,
            started=self._started,
            finished=now(),
            metrics=outcome.metrics,
            curve=outcome.curve,
            output_variance=outcome.output_variance,
            cost=outcome.cost,
            notes=outcome.notes,
            provenance=provenance(job, wall_seconds=seconds, command=self._command),
            failure=failure,
        )
        self._store.write(record, self.watchers.history.rows)
        if failure is None:  # only now is nothing lost with it
            self._store.discard_checkpoint(digest)
        self.watchers.finish(record, _artifacts(self._store.log_path(digest)))
        return record


def raise_device_failure(result: Result) -> None:
    """Raises what is no result of the run: other processes have to know of it, or another one has to try again."""
    if isinstance(result, DeviceFailed | MemoryFull):
        raise result
    if isinstance(result, Exception) and is_device_failure(result):
        _log.error("the device failed: another process tries again", exc_info=result)
        raise DeviceFailed(sentence_of(result)) from result


def _training_loop() -> Executor:
    from harness.training.execute import execute

    return execute


def _failure(error: Exception) -> Failure:
    said = redacted("".join(traceback.format_exception(error)))
    return Failure(sentence=sentence_of(error), traceback=said)


def failed_record(job: Job, failure: Failure, *, started: str | None = None) -> Record:
    """The record of a run that could not write its own, because its process died or never began."""
    moment = now()
    return Record(
        spec=job.spec,
        suite=job.suite,
        status="failed",
        description=describe(job.spec),
        started=started or moment,
        finished=moment,
        provenance={"resources": asdict(job.resources)},
        failure=failure,
    )


def sentence_of(error: BaseException) -> str:
    """One line: what an error that is one sentence says, else the kind of error and the first line of its message."""
    lines = redacted(str(error)).strip().splitlines()
    if isinstance(error, SymbenchError | DataError) and lines:
        return " ".join(lines)
    kind = type(error).__name__
    return f"{kind}: {lines[0]}"[:SENTENCE_CHARACTERS] if lines else kind


def use(resources: Resources) -> None:
    """Takes as many threads and as much of the GPU's memory as granted: a reused process keeps those of its first run
    otherwise."""
    import torch

    torch.set_num_threads(max(1, int(resources.cpus)))
    if resources.gpus and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(min(1.0, resources.gpus))


class _Watchers:
    """The run's hooks: its history, and the tracker, made when first needed and dropped with a warning if it raises."""

    def __init__(self, tracker: Callable[[], RunTracker | None]) -> None:
        self.history = History()
        self._make = tracker

    @cached_property
    def _tracker(self) -> RunTracker | None:
        return self._make()

    def restart(self) -> None:
        """The run logs anew what lies behind it."""
        self.history = History()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.history.log(step, values)
        with self._dropping():
            if self._tracker is not None:
                self._tracker.log(step, values)

    def finish(self, record: Record, artifacts: Mapping[str, str]) -> None:
        with self._dropping():
            if self._tracker is not None:
                self._tracker.finish(record, artifacts)

    def abandon(self) -> None:
        """Ends the mirror of a run that another process will start again; the launch ends its MLflow run."""
        if tracker := self.__dict__.get("_tracker"):  # if it was needed
            with self._dropping():
                tracker.abandon()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # the record is the truth: a mirror that breaks must not break the run
            self._tracker = None
            _log.warning("the tracker failed; the run goes on without it", exc_info=True)


class _Redacting(logging.Formatter):
    """A log is kept, and mirrored."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _artifacts(log: Path) -> dict[str, str]:
    try:
        return {"run.log": log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]}
    except OSError:
        return {}


@contextlib.contextmanager
def _run_log(path: Path) -> Iterator[None]:
    """What is logged or warned of meanwhile goes to the run's log file as well."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        _log.warning("the run has no log file: %s", error)
        yield
        return
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            logging.captureWarnings(True)
            yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        with contextlib.suppress(OSError):  # a disk too full for the log's last line may still hold the record
            handler.close()


def now() -> str:
    """ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
