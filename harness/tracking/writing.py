"""The calls that put one run into MLflow, the same for one that is going on and one that is rebuilt."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.records.record import Description, Record
from harness.spec import Job
from harness.tracking import content
from harness.tracking.batches import batches
from harness.tracking.content import Home, Point
from harness.tracking.identity import is_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE = 1000
"""Runs that are asked for at once."""


def open_run(
    client: MlflowClient, experiment_id: str, job: Job, description: Description, home: Home, start: int
) -> str:
    """A running MLflow run with its tags, without its params. ``start`` in milliseconds since 1970."""
    tags, name = content.opening_tags(job, description, home), content.run_name(job.spec, description)
    return client.create_run(experiment_id, start_time=start, tags=tags, run_name=name).info.run_id


def send(
    client: MlflowClient,
    run_id: str,
    points: Sequence[Point],
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    proceed: Callable[[], None] = lambda: None,
) -> None:
    """As many calls as MLflow's limits ask for. To repeat them after an error does no harm.

    ``proceed`` is called before each call and may raise to end this.
    """
    from mlflow.entities import Metric, Param, RunTag

    for batch in batches(points, params or {}, tags or {}):
        proceed()
        client.log_batch(
            run_id,
            metrics=[Metric(*item) for item in batch.points],
            params=[Param(*item) for item in batch.params.items()],
            tags=[RunTag(*item) for item in batch.tags.items()],
        )


def close_run(
    client: MlflowClient,
    run_id: str,
    record: Record,
    points: Sequence[Point],
    params: Mapping[str, str] | None = None,
    artifacts: Mapping[str, str] | None = None,
    *,
    whole: bool = True,
    proceed: Callable[[], None] = lambda: None,
) -> None:
    """Everything that is left to say of a run, and the end of it.

    One that is not ``whole`` is closed without the tag that says so, and sync will replace it. ``proceed`` is called
    before each request and may raise to end this.
    """
    tags = {name: text for name, text in content.closing_tags(record).items() if whole or name != content.FINISHED}
    send(client, run_id, [*points, *content.closing_points(record)], params, tags, proceed=proceed)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**(artifacts or {}), **content.artifacts(record)}.items():
            Path(folder, name).write_text(text, encoding="utf-8", errors="replace")
        proceed()
        client.log_artifacts(run_id, folder)
    proceed()
    status = "FINISHED" if record.status == "succeeded" else "FAILED"
    client.set_terminated(run_id, status, end_time=content.milliseconds(record.finished))


def end_unfinished(client: MlflowClient, experiment_id: str, store: str, store_id: str) -> None:
    """Marks as killed what still runs of that store, once nothing of it can be running any more."""
    token = None
    left: list[str] = []
    while token != "":
        page = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=PAGE, page_token=token)
        left += [run.info.run_id for run in page if is_of(run.data.tags, store, store_id)]
        token = page.token or ""
    for run_id in left:
        client.set_terminated(run_id, "KILLED")
