"""The calls that write a run to MLflow, both for running runs and for records."""

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
"""Runs in one page of a search."""


def open_run(
    client: MlflowClient, experiment_id: str, job: Job, description: Description, home: Home, start: int
) -> str:
    """Creates a running MLflow run with its tags, without params, and returns its id.

    Args:
        client: A client of MLflow.
        experiment_id: The experiment.
        job: The run.
        description: Facts about the run.
        home: The place of the run.
        start: When the run started, in milliseconds since 1970.
    """
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
    """Sends metrics, params and tags in as many calls as MLflow's limits require. The calls are idempotent.

    Args:
        client: A client of MLflow.
        run_id: The run.
        points: Metrics.
        params: Params by name.
        tags: Tags by name.
        proceed: Called before each call; raises to stop.
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
    """Sends the remaining metrics, params, tags and artifacts of a run, and ends it.

    Args:
        client: A client of MLflow.
        run_id: The run.
        record: The record of the run.
        points: Metrics besides those of the record.
        params: Params by name.
        artifacts: Texts by file name, besides those of the record.
        whole: False if metrics are missing. The run then lacks the tag of a complete one, and sync replaces it.
        proceed: Called before each request; raises to stop.
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
    """Marks all running runs of a store as killed. The caller makes sure that none is really running."""
    token = None
    left: list[str] = []
    while token != "":
        page = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=PAGE, page_token=token)
        left += [run.info.run_id for run in page if is_of(run.data.tags, store, store_id)]
        token = page.token or ""
    for run_id in left:
        client.set_terminated(run_id, "KILLED")
