"""Runs jobs in this process, from the spec to the record (no Ray)."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

from harness.errors import SymbenchError
from harness.execution.out_of_memory import within_memory
from harness.records.description import describe
from harness.records.history import History
from harness.records.provenance import command_line, provenance, reset_peak_rss
from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.records.weights import NO_WEIGHTS, weights_body, weights_file
from harness.spec import Job, Resources
from harness.training.context import Executor, RunContext
from harness.training.device_errors import DeviceFailed, MemoryFull, is_device_failure
from harness.training.execute import execute, execute_stack
from harness.training.results import NotStacked, Outcome
from harness.utils.redaction import redacted
from tasks.errors import DataError

SENTENCE_CHARACTERS = 300
LOG_CHARACTERS = 200_000

Result = Outcome | Exception

_log = logging.getLogger(__name__)


class RunTracker(typing.Protocol):
    """Mirrors a run elsewhere while it is computed. If it raises an error, the run continues without it."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Logs the metrics of a step."""

    def finish(self, record: Record, artifacts: Mapping[str, str]) -> None:
        """Ends the run with its record and the texts of ``artifacts`` by file name."""

    def abandon(self) -> None:
        """Ends the run without a record."""


def run_job(
    job: Job,
    store: Store,
    tracker: RunTracker | None,
    *,
    execute: Executor = execute,
    command: Sequence[str] | None = None,
) -> Record:
    """Runs the job, writes its history and record to the store, and returns the record.

    An exception of the run becomes a failed record.

    Args:
        job: The job.
        store: The store.
        tracker: Mirrors the run (``None``: it is not mirrored).
        execute: Computes the spec.
        command: The command line for the record (``None``: that of this process).

    Raises:
        SymbenchError: The record cannot be written.
        DeviceFailed: Another process has to try again; there is no record.
        MemoryFull: The device of one of several processes is out of memory; there is no record.
    """
    run = _Run(job, store, lambda: tracker, command)
    use(job.resources)
    reset_peak_rss()
    with run.logged(), store.checkpoint(job.spec.digest) as checkpoint:
        try:
            result: Result = within_memory(job.spec, execute, run.context(checkpoint), run.hooks.restart)
        except Exception as error:  # any exception of a task or a method is the result of this run
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
    """:func:`run_job` for jobs that differ only by their seed, trained in one stack.

    Raises:
        NotStacked: They have to run one by one; there is no record.
        DeviceFailed: As in :func:`run_job`.
    """
    runs = [_Run(job, store, partial(tracker, job), command, share=1 / len(jobs)) for job in jobs]
    use(jobs[0].resources)
    reset_peak_rss()
    with contextlib.ExitStack() as logs:
        for run in runs:
            logs.enter_context(run.logged())
        try:
            results: Sequence[Result] = execute_stack([job.spec for job in jobs], [run.context() for run in runs])
        except NotStacked as error:
            _log.warning("these %d runs are computed one by one, because %s", len(jobs), error)
            for run in runs:
                run.hooks.abandon()
            raise
        except Exception as error:  # as in run_job
            results = [error] * len(jobs)
        for result in results:
            raise_device_failure(result)
    return [run.end(result) for run, result in zip(runs, results, strict=True)]


class _Run:
    """One run from its start to its record. ``share`` is its part of the time of a stack."""

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
        self.hooks = _RunHooks(tracker)

    def context(self, checkpoint: Path | None = None) -> RunContext:
        return RunContext.of(self._job.spec, self._job.resources, hooks=self.hooks, checkpoint=checkpoint)

    @contextlib.contextmanager
    def logged(self) -> Iterator[None]:
        spec = self._job.spec
        with _run_log(self._store.log_path(spec.digest)):
            _log.info("run %s starts: %s x %s, seed %d", spec.digest, spec.task, spec.method, spec.seed)
            yield

    def end(self, result: Result) -> Record:
        """Writes the record, ends the mirrored run and returns the record."""
        job, digest = self._job, self._job.spec.digest
        outcome, failure = (result, None) if isinstance(result, Outcome) else (Outcome(metrics={}), _failure(result))
        seconds = self._share * (time.monotonic() - self._since)
        weights = weights_body(outcome.weights, digest) if outcome.weights is not None else b""
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
            notes=self._notes(outcome, failure),
            provenance=provenance(job, wall_seconds=seconds, command=self._command),
            failure=failure,
            weights=weights_file(digest, weights) if weights else None,
        )
        self._store.write(record, self.hooks.history.rows, weights)
        if failure is None:  # after the record is written, since it is needed until then
            self._store.discard_checkpoint(digest)
        self.hooks.finish(record, _artifacts(self._store.log_path(digest)))
        return record

    def _notes(self, outcome: Outcome, failure: Failure | None) -> tuple[str, ...]:
        if failure or outcome.weights is not None or not self._job.resources.keep_weights:
            return outcome.notes
        return (*outcome.notes, f"{NO_WEIGHTS}: a run on {self._job.spec.task} has no single trained model.")


def raise_device_failure(result: Result) -> None:
    """Raises an error that is no result of the run, since another process has to know of it or to try again.

    Raises:
        DeviceFailed: This process cannot use its device any more.
        MemoryFull: The device of one of several processes is out of memory.
    """
    if isinstance(result, DeviceFailed | MemoryFull):
        raise result
    if isinstance(result, Exception) and is_device_failure(result):
        _log.error("the device failed: another process tries again", exc_info=result)
        raise DeviceFailed(sentence_of(result)) from result


def _failure(error: Exception) -> Failure:
    text = redacted("".join(traceback.format_exception(error)))
    return Failure(sentence=sentence_of(error), traceback=text)


def failed_record(job: Job, failure: Failure, *, started: str | None = None) -> Record:
    """Returns the record of a run whose process died or did not start, so that it could not write a record."""
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
    """Returns the message of an error of this project; of others their class and the first line of the message."""
    lines = redacted(str(error)).strip().splitlines()
    if isinstance(error, SymbenchError | DataError) and lines:
        return " ".join(lines)
    kind = type(error).__name__
    return f"{kind}: {lines[0]}"[:SENTENCE_CHARACTERS] if lines else kind


def use(resources: Resources) -> None:
    """Limits the threads and the GPU memory of this process to ``resources``: a worker runs jobs of several shapes."""
    import torch

    torch.set_num_threads(max(1, int(resources.cpus)))
    if resources.gpus and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(min(1.0, resources.gpus))


class _RunHooks:
    """Keeps the history and passes metrics to the tracker, which is made on first use and dropped if it raises."""

    def __init__(self, tracker: Callable[[], RunTracker | None]) -> None:
        self.history = History()
        self._make = tracker

    @cached_property
    def _tracker(self) -> RunTracker | None:
        return self._make()

    def restart(self) -> None:
        """Forgets the history: the run starts again."""
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
        """Abandons the mirrored run if there is one, since another process will start the run again."""
        if tracker := self.__dict__.get("_tracker"):  # None if it was not used
            with self._dropping():
                tracker.abandon()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # the mirror can be rebuilt from the record, so its errors do not end the run
            self._tracker = None
            _log.warning("the tracker failed; the run continues without it", exc_info=True)


class _Redacting(logging.Formatter):
    """Removes secrets, since logs are kept and mirrored."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _artifacts(log: Path) -> dict[str, str]:
    try:
        return {"run.log": log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]}
    except OSError:
        return {}


@contextlib.contextmanager
def _run_log(path: Path) -> Iterator[None]:
    """Writes log messages and warnings to the file at ``path`` as well."""
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
        with contextlib.suppress(OSError):  # if the disk is full, the record may still fit
            handler.close()


def now() -> str:
    """Returns the current time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
