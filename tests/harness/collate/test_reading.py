"""A row of ``runs`` holds what its record says, place by place; what a record may lack is null, all else is refused."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from harness.collate.reading import COLUMNS, Unreadable, frame, read_row
from tests.harness.collate.pooling import variance_points
from tests.harness.synthetic import make_record

TEXTS = {
    "digest": "digest",
    "suite": "suite",
    "task": "spec.task",
    "task_version": "spec.task_version",
    "method": "spec.method",
    "method_version": "spec.method_version",
    "protocol": "spec.protocol",
    "variant": "description.variant",
    "group": "description.group",
    "size_name": "description.size_name",
    "kind": "description.kind",
    "base_model": "description.base_model",
    "weights": "description.weights",
    "sampler": "description.sampler",
    "metric": "description.metric",
    "control_name": "description.control",
    "host": "provenance.host",
    "git_commit": "provenance.git_commit",
    "symbench_version": "provenance.symbench_version",
    "error": "failure.sentence",
    "traceback": "failure.traceback",
}
WHOLE = {
    "size": "description.size",
    "seed": "spec.seed",
    "train_samples": "spec.settings.train_samples",
    "test_samples": "spec.settings.test_samples",
    "parameters": "cost.parameters",
    "peak_memory_bytes": "cost.peak_memory_bytes",
    "train_peak_memory_bytes": "cost.train_peak_memory_bytes",
}
NUMBERS = {
    "train_seconds": "cost.train_seconds",
    "flops_per_example": "cost.flops_per_example",
    "seconds_per_example": "cost.seconds_per_example",
    "train_examples_per_second": "cost.train_examples_per_second",
    "wall_seconds": "provenance.wall_seconds",
    "value": "metrics.of description metric",
    "control": "metrics.of description control",
}
CURVE = ("value", "value_error", "variance", "equivariance")
VARIANCE = ("output_variance", "loss_mean", "loss_variance")


def body(**places: Any) -> dict[str, Any]:
    """The JSON of a record that has all its parts, with other values at ``places`` (dots are written as __)."""
    record = make_record(method="gnn-ga", samples=(1, 8), output_variance=variance_points(2.0))
    values = json.loads(json.dumps(record.to_dict()))
    values["failure"] = {"sentence": "It broke.", "traceback": ""}
    for place, value in places.items():
        put(values, place.replace("__", "."), value)
    return values


def put(values: Any, place: str, value: Any) -> None:
    *path, last = place.split(".")
    for name in path:
        values = values[int(name) if isinstance(values, list) else name]
    values[last] = value


def read(values: dict[str, Any]) -> dict[str, Any]:
    """Its row, as the table holds it."""
    return frame([read_row(json.dumps(values))], pl.Schema(COLUMNS)).row(0, named=True)


def test_every_column_holds_what_its_place_in_the_record_says() -> None:
    values = body()
    expected: dict[str, Any] = {name: f"of {place.replace('.', ' ')}" for name, place in TEXTS.items()}
    expected |= {name: 1000 + number for number, name in enumerate(WHOLE)}
    expected |= {name: 1 / (3 + number) for number, name in enumerate(NUMBERS)}
    for name, place in (TEXTS | WHOLE | NUMBERS).items():
        put(values, place, expected[name])
    row = read(values)
    assert {name: row[name] for name in expected} == expected
    assert json.loads(row["task_params"]) == values["spec"]["task_params"]
    assert row["notes"] == values["notes"]
    assert {item["name"]: item["value"] for item in row["metrics"]} == values["metrics"]
    assert {**json.loads(row["spec_json"]), "seed": row["seed"]} == values["spec"]
    for name in ("curve", "output_variance"):
        assert row[name] == values[name]


@pytest.mark.parametrize(
    ("place", "column"),
    [
        *((place, place) for place in (f"curve.1.{name}" for name in CURVE)),
        *((place, place) for place in (f"output_variance.2.{name}" for name in VARIANCE)),
        *((place, name) for name, place in (WHOLE | NUMBERS).items() if place.startswith("cost.")),
        ("metrics.mse", "value"),
    ],
)
@pytest.mark.parametrize("number", [None, math.nan, math.inf, -math.inf], ids=str)
def test_a_number_that_was_not_found_is_null_and_leaves_the_others(
    place: str, column: str, number: float | None
) -> None:
    values, expected = body(), read(body())
    put(values, place, number)
    put(expected, column, None)
    assert read(values) | {"metrics": None} == expected | {"metrics": None}


@pytest.mark.parametrize("place", ["started", "finished"])
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-02T10:00:42.125+00:00", datetime(2026, 3, 2, 10, 0, 42, 125_000, tzinfo=UTC)),
        ("2026-03-02T10:00:42+02:00", datetime(2026, 3, 2, 8, 0, 42, tzinfo=UTC)),
        ("2026-03-02T10:00:42", datetime(2026, 3, 2, 10, 0, 42, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_moment_is_a_date_in_utc_and_another_text_is_null(place: str, text: str, moment: datetime | None) -> None:
    expected = read(body()) | {place: moment}
    assert read(body(**{place: text})) == expected


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("status", "maybe"),
        ("description.direction", "up"),
        ("output_variance.1.stage", "half"),
        ("curve.0.samples", 1.5),
        ("spec.seed", 2**63),
        ("spec.seed", True),
        ("metrics.mse", "low"),
        ("description.metric", None),
        ("failure.sentence", 3),
    ],
)
def test_what_is_no_record_is_refused_by_the_place_that_is_wrong(place: str, value: Any) -> None:
    values = body()
    put(values, place, value)
    with pytest.raises(Unreadable, match=f"^{place}: ") as found:
        read_row(json.dumps(values))
    assert not found.value.newer


def test_task_parameters_may_be_of_any_kind() -> None:
    params = {"group": ["S_n", "O(3)"], "degree": 3, "rotated": True, "data": None, "scale": 0.5, "of": {"a": 1}}
    assert json.loads(read(body(spec__task_params=params))["task_params"]) == params


@pytest.mark.parametrize(
    ("number", "whole"),
    [(2.6, 3), (2.4, 2), (2.0**62, 2**62), (2.0**63, None), (-(2.0**63), None), (True, None), ("2", None)],
)
def test_a_count_is_the_nearest_whole_number_that_a_table_holds(number: Any, whole: int | None) -> None:
    assert read(body(spec__settings__train_samples=number))["train_samples"] == whole


def test_points_without_a_sample_are_left_out() -> None:
    values = body()
    values["curve"] = [values["curve"][0] | {"samples": k} for k in (-1, 0, 1, 2)]
    assert [point["samples"] for point in read(values)["curve"]] == [1, 2]


@pytest.mark.parametrize(("recorded", "dirty"), [(True, True), (False, False), (None, None), ("yes", None), (1, None)])
def test_whether_the_code_was_changed_is_only_what_was_recorded(recorded: Any, dirty: bool | None) -> None:
    assert read(body(provenance__git_dirty=recorded))["git_dirty"] is dirty
    values = body()
    del values["provenance"]["git_dirty"]
    assert read(values)["git_dirty"] is None


@pytest.mark.parametrize(
    ("place", "value", "same"),
    [
        ("spec.seed", 9, {"setting", "series"}),
        ("spec.task_params.nodes", 9, {"series"}),
        ("spec.task_params.other", 9, set()),
        ("spec.settings.lr", 0.5, set()),
        ("spec.task_version", "9", set()),
        ("spec.method", "other", set()),
        ("spec.protocol", "other", set()),
        ("suite", "other", {"setting", "series"}),
    ],
)
def test_a_setting_is_all_but_the_seed_and_a_series_all_but_the_size(place: str, value: Any, same: set[str]) -> None:
    """A size is that of the task parameter with the name of the size."""
    changed = body()
    put(changed, place, value)
    one, other = read(body()), read(changed)
    assert {name for name in ("setting", "series") if one[name] == other[name]} == same
    theirs = read_row(json.dumps(changed), "lab")
    assert theirs["source"] == "lab"
    assert (theirs["setting"], theirs["series"]) == (f"{other['setting']}@lab", f"{other['series']}@lab")
