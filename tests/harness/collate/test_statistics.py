"""The pooled numbers against numpy and scipy."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.collate import collate
from harness.records.record import Description, Failure, Record
from harness.records.store import Store
from harness.training.results import CurvePoint
from tests.harness.collate.pooling import collated, variance_points
from tests.harness.synthetic import make_record, write

finite = st.floats(-1e6, 1e6, allow_nan=False)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.none() | finite, min_size=1, max_size=8), st.integers(0, 3))
def test_mean_and_standard_error_are_those_of_numpy(values: list[float | None], failures: int) -> None:
    runs = [make_record(seed=seed, value=value) for seed, value in enumerate(values)]
    failed = [make_record(seed=100 + seed, error="It broke.") for seed in range(failures)]
    row = collated(*runs, *failed).accuracy.row(0, named=True)
    known = np.array([value for value in values if value is not None])
    assert row["seeds"] == len(known)
    assert row["failed"] == failures
    assert row["undefined"] == len(values) - len(known)
    if len(known) == 0:
        assert row["mean"] is None
    else:
        assert row["mean"] == pytest.approx(known.mean(), rel=1e-9, abs=1e-9)
    if len(known) < 2:
        assert row["stderr"] is None
    else:
        assert row["stderr"] == pytest.approx(known.std(ddof=1) / math.sqrt(len(known)), rel=1e-6, abs=1e-9)


def test_the_interval_is_that_of_the_seeds_of_its_row() -> None:
    few = [make_record(method="gnn-ga", seed=seed, value=value) for seed, value in enumerate((1.0, 2.0))]
    outlier = [make_record(seed=seed, value=value) for seed, value in enumerate((1.0, 2.0, 3.0, 4.0, 1e6))]
    failed = make_record(method="gnn-fa", error="It broke.")
    single = make_record(method="gnn-ps", value=7.0)
    table = collated(*few, *outlier, failed, single).accuracy
    rows = {row["method"]: (row["iqm"], row["iqm_low"], row["iqm_high"]) for row in table.iter_rows(named=True)}
    assert rows["gnn-ga"] == (1.5, 1.0, 2.0)
    assert rows["gnn-fa"] == (None, None, None)
    assert rows["gnn-ps"] == (7.0, None, None)
    middle, low, high = rows["egnn"]
    assert middle == 3.0 and 1 <= low < 3 < high <= 1e6
    assert "values" not in table.columns


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(finite, st.none() | finite), min_size=1, max_size=6))
def test_the_control_is_pooled_as_the_metric_is(seeds: list[tuple[float, float | None]]) -> None:
    records = [
        make_record(seed=seed, value=value, control=math.nan if control is None else control)
        for seed, (value, control) in enumerate(seeds)
    ]
    tables = collated(*records, make_record(seed=99, error="It broke."))
    row = tables.accuracy.row(0, named=True)
    known = np.array([control for _, control in seeds if control is not None])
    assert (row["control_name"], row["control_seeds"]) == ("mse_transformed", len(known))
    assert tables.runs.sort("seed")["control"].to_list() == [*(control for _, control in seeds), None]
    if len(known) == 0:
        assert row["control_mean"] is None
    else:
        assert row["control_mean"] == pytest.approx(known.mean(), rel=1e-9, abs=1e-9)
    if len(known) < 2:
        assert row["control_stderr"] is None
    else:
        assert row["control_stderr"] == pytest.approx(known.std(ddof=1) / math.sqrt(len(known)), rel=1e-6, abs=1e-9)


def test_records_from_before_controls_pool_with_later_ones() -> None:
    old = [replace(make_record(seed=seed), description=without_control()) for seed in (0, 1)]
    tables = collated(*old)
    assert tables.runs.select("control_name", "control").unique().rows() == [(None, None)]
    assert tables.accuracy.select("control_name", "control_mean", "control_seeds").row(0) == (None, None, 0)
    mixed = collated(*old, make_record(seed=2, control=0.25)).accuracy
    row = mixed.select("seeds", "control_name", "control_mean", "control_seeds").row(0)
    assert row == (3, "mse_transformed", 0.25, 1)


def without_control() -> Description:
    """As it was written before a description had a control."""
    described = make_record().to_dict()["description"]
    return Description(**{name: value for name, value in described.items() if name != "control"})


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(finite, st.floats(0, 1e3)), min_size=2, max_size=5))
def test_curves_are_pooled_point_by_point(seeds: list[tuple[float, float]]) -> None:
    records = [
        make_record(method="gnn-ga", seed=seed, value=value, variance=variance, samples=(1, 8))
        for seed, (value, variance) in enumerate(seeds)
    ]
    table = collated(*records).sample_complexity
    assert table["samples"].to_list() == [1, 8]
    for row in table.iter_rows(named=True):
        points = [point for record in records for point in record.curve if point.samples == row["samples"]]
        values = np.array([point.value for point in points])
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-9, abs=1e-9)
        assert row["stderr"] == pytest.approx(values.std(ddof=1) / math.sqrt(len(values)), rel=1e-6, abs=1e-9)
        variances = np.array([point.variance for point in points])
        assert row["variance"] == pytest.approx(variances.mean(), rel=1e-9, abs=1e-12)
        error = variances.std(ddof=1) / math.sqrt(len(variances))
        assert row["variance_stderr"] == pytest.approx(error, rel=1e-6, abs=1e-9)
        assert row["seeds"] == len(seeds)


def test_every_column_of_a_curve_is_pooled_by_itself() -> None:
    """Of runs that succeeded: a record that somebody else wrote may hold the curve of one that failed."""
    values, variances, errors = (1.0, 2.0, 6.0), (0.1, 0.4, 0.4), (0.03, 0.05, 0.01)

    def record(seed: int, value: float, variance: float, error: float) -> Record:
        point = CurvePoint(samples=4, value=value, value_error=9.0, variance=variance, equivariance=error)
        return replace(make_record(method="gnn-ga", seed=seed), curve=(point,))

    runs = [record(seed, *of) for seed, of in enumerate(zip(values, variances, errors, strict=True))]
    failed = replace(record(7, 100.0, 100.0, 100.0), status="failed", failure=Failure(sentence="It broke."))
    row = collated(*runs, failed).sample_complexity.row(0, named=True)
    assert row["seeds"] == 3
    for name, error, known in (
        ("mean", "stderr", values),
        ("variance", "variance_stderr", variances),
        ("equivariance", "equivariance_stderr", errors),
    ):
        assert row[name] == pytest.approx(np.mean(known))
        assert row[error] == pytest.approx(np.std(known, ddof=1) / math.sqrt(3))


def test_variances_are_pooled_by_stage_and_k() -> None:
    """Of runs that succeeded and whose numbers are all finite; runs with other k in training have rows of their own."""
    values = (1.0, 2.0, 6.0)
    records = [make_record(seed=seed, output_variance=variance_points(v)) for seed, v in enumerate(values)]
    others = [
        make_record(seed=7, output_variance=variance_points(math.nan)),
        make_record(seed=8, output_variance=variance_points(1.0, loss=math.inf)),
        make_record(seed=9, error="It broke.", output_variance=variance_points(9.0)),
        make_record(seed=10),
        make_record(settings={"train_samples": 3}, output_variance=variance_points(5.0)),
    ]
    table = collated(*records, *others).output_variance
    assert table.height == 8
    own = table.filter(pl.col("train_samples") == records[0].spec.settings.train_samples)
    assert own.select("stage", "samples").rows() == [
        ("initialised", 1),
        ("initialised", 10),
        ("trained", 1),
        ("trained", 10),
    ]
    for row in own.iter_rows(named=True):
        assert (row["seeds"], row["repeats"], row["loss_mean"]) == (3, 100, 0.5)
        assert row["output_variance"] == pytest.approx(3 / row["samples"])
        assert row["output_variance_stderr"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3) / row["samples"])
        assert row["loss_variance"] == pytest.approx(9 / row["samples"])


def test_records_from_before_variances_were_measured_have_none(tmp_path: Path) -> None:
    (path,) = write(tmp_path / "store", make_record(value=0.25))
    values = json.loads(path.read_text())
    del values["output_variance"]
    path.write_text(json.dumps(values))
    tables = collate(Store(tmp_path / "store"))
    assert tables.left_out == ()
    assert (tables.runs["value"].to_list(), tables.output_variance.height) == ([0.25], 0)


def test_a_variance_says_the_fewest_repeats_behind_it() -> None:
    points = [(replace(variance_points(1.0)[0], repeats=repeats),) for repeats in (100, 20, 50)]
    records = [make_record(seed=seed, output_variance=point) for seed, point in enumerate(points)]
    assert collated(*records).output_variance["repeats"].to_list() == [20]


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_files_of_one_run_the_later_counts(tmp_path: Path, reverse: bool) -> None:
    """A copy that somebody put beside it, under a name that sorts before or after."""
    early, late = make_record(value=0.5), replace(make_record(value=0.25), finished="2026-03-03T10:00:00+00:00")
    (path,) = write(tmp_path / "store", late if reverse else early)
    path.with_name("zzz.json").write_text(json.dumps((early if reverse else late).to_dict()))
    tables = collate(Store(tmp_path / "store"))
    assert tables.accuracy.select("mean", "seeds").row(0) == (0.25, 1)


def test_a_file_that_does_not_say_when_the_run_ended_counts_last(tmp_path: Path) -> None:
    dated, other = make_record(value=0.5), replace(make_record(value=0.25), finished="yesterday")
    (path,) = write(tmp_path / "store", dated)
    path.with_name("0.json").write_text(json.dumps(other.to_dict()))
    assert collate(Store(tmp_path / "store")).accuracy["mean"].to_list() == [0.5]


def test_the_points_of_a_curve_may_stand_in_any_order() -> None:
    record = make_record(method="gnn-ga", samples=(1, 10, 100, 1000))
    mixed = replace(record, curve=(record.curve[2], record.curve[0], record.curve[3], record.curve[1]))
    columns = ["samples", "mean", "samples_most", "limit", "samples_needed", "variance_slope"]
    straight, other = (collated(one).sample_complexity.select(columns) for one in (record, mixed))
    assert straight.equals(other) and straight["samples_most"].to_list() == [1000] * 4


def test_numbers_that_are_no_numbers_are_missing(tmp_path: Path) -> None:
    (path,) = write(tmp_path / "store", make_record())
    values = json.loads(path.read_text())
    values["provenance"]["wall_seconds"] = True
    values["spec"]["settings"] |= {"train_samples": True, "test_samples": 7}
    path.write_text(json.dumps(values))
    row = collate(Store(tmp_path / "store")).runs.row(0, named=True)
    assert (row["wall_seconds"], row["train_samples"], row["test_samples"]) == (None, None, 7)


def test_what_a_failed_run_does_not_say_is_that_of_the_others() -> None:
    """The first run has no costs, and nothing beside its metric."""
    failed = replace(make_record(seed=0, error="It broke."), description=without_control())
    row = collated(failed, make_record(seed=1), make_record(seed=2, error="It broke.")).accuracy.row(0, named=True)
    settings = make_record().spec.settings
    assert (row["parameters"], row["control_name"], row["failed"]) == (208_387, "mse_transformed", 2)
    assert (row["train_samples"], row["test_samples"]) == (settings.train_samples, settings.test_samples)


def test_the_interval_stands_beside_the_mean() -> None:
    columns = collated(make_record()).accuracy.columns
    place = columns.index("mean")
    assert columns[place : place + 3] == ["mean", "stderr", "seeds"]
    score = ["score_metric", "score", "score_stderr", "score_seeds"]
    assert columns[place + 3 : place + 10] == [*score, "iqm", "iqm_low", "iqm_high"]


def test_seeds_at_a_point_are_those_with_a_value_there() -> None:
    values, variances = (1.0, math.nan, 3.0, 5.0), (0.5, 0.5, math.nan, 0.5)
    points = [
        CurvePoint(samples=2, value=value, value_error=0.0, variance=variance)
        for value, variance in zip(values, variances, strict=True)
    ]
    runs = [replace(make_record(method="gnn-ga", seed=seed), curve=(point,)) for seed, point in enumerate(points)]
    row = collated(*runs).sample_complexity.row(0, named=True)
    assert (row["seeds"], row["mean"], row["variance"], row["variance_stderr"]) == (3, 3.0, 0.5, 0.0)
