"""Ray jobs on a cluster, through the job server of its dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import ClusterError, SymbenchError, UnknownName
from harness.execution.cluster import environment
from harness.tracking.connection import within
from harness.utils.text import first_line
from tasks.extras import require

ANSWER_SECONDS = 20.0
UPLOAD_SECONDS = 600.0
ENDING_SECONDS = 60.0
POLL_SECONDS = 0.5
NOISY_LOGGERS = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
STACK = "Traceback (most recent call last):"
CHAINED = ("The above exception was the direct cause", "During handling of the above exception")
SUITE, STORE = "symbench.suite", "symbench.store"


@dataclass(frozen=True, kw_only=True)
class JobState:
    """The state of a Ray job. ``status`` is PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""

    id: str
    status: str
    suite: str | None
    store: str | None
    started: datetime | None
    seconds: float | None
    message: str | None
    exit_code: int | None

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")

    @property
    def reason(self) -> str:
        """The message of a failed job, else an empty string.

        The whole message if the job did not start, since it has no log then, else its first line.
        """
        if self.status != "FAILED":
            return ""
        message = (self.message or "").strip()
        return "\n".join(_without_stacks(message)) if self.exit_code is None else message.partition("\n")[0]


class JobServer:
    """The job server at an address such as ``http://head:8265``.

    The token is that of ``RAY_AUTH_MODE=token`` and ``RAY_AUTH_TOKEN_PATH`` (or ``RAY_AUTH_TOKEN``). All methods raise
    :class:`SymbenchError` if the server reports an error, or does not answer within :data:`ANSWER_SECONDS`.
    """

    def __init__(self, address: str | None) -> None:
        given = address or os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")
        if not given:
            raise ClusterError(
                "Which cluster? Give its dashboard as --address http://HEAD:8265, or set RAY_API_SERVER_ADDRESS."
            )
        if not given.startswith(("http://", "https://")):
            raise ClusterError(f"--address {given}: jobs go to the head's dashboard, such as http://HEAD:8265.")
        self.address = given.rstrip("/")
        self._client = self._connected()

    def submit(self, folder: Path, entrypoint: str, runtime_env: Mapping[str, Any], suite: str, store: str) -> str:
        """Uploads the folder as the job's working directory, starts the job and returns its id."""
        return self._ask(
            lambda: self._client.submit_job(
                entrypoint=entrypoint,
                runtime_env={**runtime_env, "working_dir": str(folder)},
                metadata={SUITE: suite, STORE: store},
            ),
            UPLOAD_SECONDS,
        )

    def jobs(self) -> list[JobState]:
        """Returns all submitted jobs that the cluster remembers, the oldest first."""
        details = self._ask(self._client.list_jobs)
        found = [_state(item) for item in details if item.submission_id is not None]
        return sorted(found, key=lambda job: job.started or datetime.max.replace(tzinfo=UTC))

    def job(self, job_id: str) -> JobState:
        """Returns the state of a job."""
        return _state(self._ask(lambda: self._client.get_job_info(job_id), about=job_id))

    def stop(self, job_id: str) -> bool:
        """Stops the job. Returns whether it was running."""
        return self._ask(lambda: self._client.stop_job(job_id), about=job_id)

    def log(self, job_id: str) -> str:
        """Returns what the job has printed so far; an empty string if it ended without a log."""
        try:
            return self._ask(lambda: self._client.get_job_logs(job_id), about=job_id) or ""
        except SymbenchError:
            if not self.job(job_id).ended:
                raise
            return ""

    def follow(self, job_id: str, write: Callable[[str], None]) -> JobState:
        """Passes the output of the job to ``write`` until it has ended, and returns its last state."""
        self.job(job_id)

        async def tail() -> None:
            async for text in self._client.tail_job_logs(job_id):
                write(text)

        try:
            with self._plain_errors(job_id):
                asyncio.run(tail())
        except SymbenchError:
            if not self.job(job_id).ended:  # a job that did not start has no log
                raise
        until = time.monotonic() + ENDING_SECONDS
        while not (state := self.job(job_id)).ended and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return state

    def _connected(self) -> Any:
        require("The job server of a cluster", "ray", "aiohttp")
        from ray.job_submission import JobSubmissionClient

        for name in NOISY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        # Ray prefers these variables to its arguments.
        with environment(RAY_API_SERVER_ADDRESS=None, RAY_ADDRESS=None):
            return self._ask(lambda: JobSubmissionClient(self.address))

    def _ask(self, question: Callable[[], Any], seconds: float | None = None, about: str = "") -> Any:
        with self._plain_errors(about):
            return within(seconds or ANSWER_SECONDS, question)

    @contextlib.contextmanager
    def _plain_errors(self, about: str = "") -> Iterator[None]:
        """Turns the errors of Ray's client, mostly ``RuntimeError`` with a status in the text, into SymbenchError."""
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            raise ClusterError(
                f"The cluster at --address {self.address} asks for its token: "
                "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file that holds it."
            ) from error
        except OSError as error:  # also the errors of the library requests, and a timeout
            raise ClusterError(
                f"No Ray dashboard answers at --address {self.address}: start the head with --include-dashboard=true "
                "(it needs ray[default]), and forward its port if it listens only on the head."
            ) from error
        except Exception as error:
            if about and "status code 404" in str(error):
                raise UnknownName(
                    f"There is no job {about} at {self.address}: 'symbench jobs' lists those that there are."
                ) from error
            raise ClusterError(f"The Ray dashboard at --address {self.address} says: {first_line(error)}") from error


def _without_stacks(message: str) -> Iterator[str]:
    """The lines of a message without the stacks of Ray's own code."""
    in_stack = False
    for line in filter(str.strip, message.splitlines()):
        if STACK in line:
            in_stack = True
        elif not (in_stack and line.startswith(" ")) and not line.startswith(CHAINED):
            in_stack = False
            yield line


def _state(details: Any) -> JobState:
    metadata = details.metadata or {}
    started, ended = _moment(details.start_time), _moment(details.end_time)
    return JobState(
        id=details.submission_id or details.job_id,
        status=str(getattr(details.status, "value", details.status)),
        suite=metadata.get(SUITE),
        store=metadata.get(STORE),
        started=started,
        seconds=((ended or datetime.now(UTC)) - started).total_seconds() if started else None,
        message=details.message,
        exit_code=details.driver_exit_code,
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
