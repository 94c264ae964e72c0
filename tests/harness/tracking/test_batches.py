"""What MLflow takes in one call, in a number and in a text: everything arrives, whatever runs are called and log."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records.history import HistoryRow
from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import SyncResult, content, sync
from harness.tracking.batches import MOST_BYTES, batches
from harness.tracking.connection import connect
from harness.tracking.writing import open_run, send

Put = Callable[..., Record]
LONG = "\U0001d49c" * 250  # a letter that takes twelve bytes in ASCII


@settings(max_examples=12)
@given(
    st.integers(0, 2500),
    st.integers(0, 250),
    st.integers(0, 250),
    st.sampled_from([1, 40, 250]),
    st.sampled_from(["a", "\U0001d49c"]),
)
def test_every_call_is_within_the_limits_and_all_is_sent_once(
    points: int, params: int, tags: int, length: int, letter: str
) -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.protos.service_pb2 import LogBatch
    from mlflow.utils.proto_json_utils import message_to_json
    from mlflow.utils.validation import _validate_batch_log_api_req, _validate_batch_log_limits

    all_points = [content.point(letter * length, number / 7, 10**12 + number, number) for number in range(points)]
    all_params = {f"{number}{letter * (length - 4)}": letter * 500 for number in range(params)}
    all_tags = {f"tag{number}": letter * 500 for number in range(tags)}
    found = list(batches(all_points, all_params, all_tags))
    assert [point for batch in found for point in batch.points] == all_points
    assert [item for batch in found for item in batch.params.items()] == list(all_params.items())
    assert [item for batch in found for item in batch.tags.items()] == list(all_tags.items())
    for batch in found:
        assert batch.points or batch.params or batch.tags
        _validate_batch_log_limits(batch.points, batch.params, batch.tags)
        message = LogBatch(
            run_id="0" * 32,
            metrics=[Metric(*item).to_proto() for item in batch.points],
            params=[Param(*item).to_proto() for item in batch.params.items()],
            tags=[RunTag(*item).to_proto() for item in batch.tags.items()],
        )
        _validate_batch_log_api_req(message_to_json(message))
    few = all(len(one) <= 100 for one in (all_params, all_tags)) and length < 250
    assert len(found) <= (math.ceil((points + params + tags) / 1000) + 1 if few else len(found))


def test_a_thousand_short_points_are_one_call_and_one_more_is_two() -> None:
    points = [content.point("loss", 1.0, 0, step) for step in range(1001)]
    assert [len(batch.points) for batch in batches(points[:1000], {}, {})] == [1000]
    assert [len(batch.points) for batch in batches(points, {}, {})] == [1000, 1]
    assert [len(batch.points) for batch in batches(points[:999], {"a": "b"}, {"c": "d"})] == [999, 0]
    assert list(batches([], {}, {})) == []
    assert MOST_BYTES < 1_000_000


def test_a_sender_that_is_told_to_stop_sends_no_more_calls() -> None:
    calls = []

    class Client:
        def log_batch(self, run_id: str, **entries: Any) -> None:
            calls.append(entries)

    def proceed() -> None:
        if len(calls) == 2:
            raise InterruptedError

    points = [content.point("loss", 1.0, 0, step) for step in range(5000)]
    with pytest.raises(InterruptedError):
        send(Client(), "x", points, proceed=proceed)
    assert len(calls) == 2


def test_what_is_too_large_or_too_odd_for_a_database_is_logged_all_the_same(
    store: Store, make_job: Callable[..., Job], make_record: Put, mlflow_runs: Callable[..., list[Any]]
) -> None:
    many_settings = {f"setting_{number}": number for number in range(150)}
    odd_settings = {"zero": "a\0b", "half": "a\ud800b", LONG: LONG * 40}
    job = make_job(base=many_settings | odd_settings, suite="a\0b \udcff" + "s" * 600)
    failure = Failure(sentence="a\0b \udcff" + "x" * 10_000, traceback="\ud800")
    record = make_record(job, metrics={LONG: 0.5, "a\0b": 1.0, "": 2.0}, failure=failure)
    steps = (-1, -(2**63), 2**63 - 1, 0)
    values = (math.nan, math.inf, -math.inf, 1e308)
    rows = [HistoryRow(step, "loss", value, 1.0) for step, value in zip(steps, values, strict=True)]
    store.write(make_record(make_job(1)), rows)
    many = [HistoryRow(step, LONG, float(step), 0.0) for step in range(1200)]
    store.write(make_record(make_job(2)), many)
    assert sync(store, store.mlflow_uri) == SyncResult(logged=2)
    client = connect(store.mlflow_uri)
    runs = {run.data.tags["symbench.seed"]: run for run in mlflow_runs(store.mlflow_uri)}
    history = client.get_metric_history(runs["1"].info.run_id, "loss")
    assert sorted(item.step for item in history) == sorted(steps)
    assert sum(math.isnan(item.value) for item in history) == 1
    assert max(item.value for item in history) == 1.7976931348623157e308  # what MLflow has for infinity
    [name] = [name for name in runs["2"].data.metrics if name.startswith("\U0001d49c")]
    assert len(client.get_metric_history(runs["2"].info.run_id, name)) == 1200

    home = content.Home("x", "z\0", "w")
    experiment_id = client.create_experiment(content.experiment_name(job.suite))
    run_id = open_run(client, experiment_id, job, record.description, home, 0)
    send(client, run_id, content.closing_points(record), content.params(job.spec), content.closing_tags(record))
    found = client.get_run(run_id).data
    assert found.params["base.setting_149"] == "149" and found.params["base.zero"] == "a?b"
    said = found.tags["symbench.error"]
    assert said.startswith("a?b ?xxx") and len(said) == content.MAX_VALUE
    assert {value for name, value in found.metrics.items() if name.startswith("test")} == {0.5, 1.0, 2.0}


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        (2**70, 2**63 - 1),
        (-(2**70), -(2**63)),
        (1.9, 1),
        (math.inf, 2**63 - 1),
        (-math.inf, -(2**63)),
        (math.nan, 0),
        (None, 0),
    ],
)
def test_steps_and_moments_are_whole_numbers_that_fit(step: Any, kept: int) -> None:
    point = content.point("loss", 1.0, step, step)
    assert (point.step, point.timestamp) == (kept, max(0, kept))


def test_moments_are_in_milliseconds(store: Store, make_record: Put, mlflow_runs: Callable[..., list[Any]]) -> None:
    record = make_record()
    store.write(record, [HistoryRow(0, "loss", 1.0, 0.0), HistoryRow(1, "loss", 1.0, 2.5)])
    sync(store, store.mlflow_uri)
    [run] = mlflow_runs(store.mlflow_uri)
    begin = 1_772_366_400_000
    assert datetime.fromisoformat(record.started).timestamp() * 1000 == begin
    assert (run.info.start_time, run.info.end_time) == (begin, begin + 60_000)
    client = connect(store.mlflow_uri)
    moments = {item.step: item.timestamp for item in client.get_metric_history(run.info.run_id, "loss")}
    assert moments == {0: begin, 1: begin + 2500}
    [scored] = client.get_metric_history(run.info.run_id, "test/mse")
    assert scored.timestamp == begin + 60_000
