"""Slopes, limits and the samples needed, on curves that are known."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from harness.collate import convergence as convergence_module
from harness.collate.bootstrap import RESAMPLES, Array, expanded, resampled_seeds
from harness.collate.convergence import convergence, limits, log_slope, needed, settled
from harness.collate.power_law import exponents
from harness.collate.structs import CURVE
from tests.harness.collate.pooling import collated
from tests.harness.synthetic import make_record

K = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500], dtype=float)
CASES = 400


def table(values: Array, variances: Array | None = None, status: str = "succeeded") -> pl.DataFrame:
    """The columns of ``runs`` that matter, of curves ``[settings, seeds, P]``."""
    variances = values if variances is None else variances
    points = [
        [
            {"samples": int(k), "value": v, "value_error": 0.0, "variance": w, "equivariance": math.sqrt(w)}
            for k, v, w in zip(K, *curve, strict=True)
        ]
        for curve in zip(values.reshape(-1, len(K)), variances.reshape(-1, len(K)), strict=True)
    ]
    names = np.repeat([f"{place:04d}" for place in range(len(values))], values.shape[1])
    return pl.DataFrame(
        {"setting": names, "source": None, "status": status, "curve": points},
        schema={"setting": pl.String, "source": pl.String, "status": pl.String, "curve": CURVE},
    )


def holds(found: pl.DataFrame, name: str, truth: float) -> float:
    """The part of all intervals that hold the truth."""
    return float(found.select(pl.lit(truth).is_between(f"{name}_low", f"{name}_high").mean()).item())


@pytest.mark.parametrize("seeds", [5, 10])
def test_the_slope_of_a_variance_is_found_with_the_right_coverage(seeds: int) -> None:
    """Estimates of 1/k from few repeats, as runs make them: relative errors of chi^2, the fewer the larger k."""
    random = np.random.default_rng(seeds)
    freedom = 40 * np.maximum(1000 // K - 1, 1)
    variances = random.chisquare(freedom, (CASES, seeds, len(K))) / freedom / K
    found = convergence(table(np.ones_like(variances), variances))
    assert found["variance_slope"].mean() == pytest.approx(-1, abs=0.01)
    assert found["equivariance_slope"].mean() == pytest.approx(-0.5, abs=0.01)
    for name, truth in (("variance_slope", -1.0), ("equivariance_slope", -0.5)):
        assert 0.91 < holds(found, name, truth) < 0.98


def test_slopes_are_those_of_numpy_and_need_positive_values() -> None:
    y = np.random.default_rng(0).uniform(1, 2, (3, len(K)))
    expected = [np.polyfit(np.log(K), np.log(row), 1)[0] for row in y]
    np.testing.assert_allclose(log_slope(K, y), expected, rtol=1e-10)
    assert np.isnan(log_slope(K, np.where(K == 5, 0, y))).all()
    assert np.isnan(log_slope(K[:1], y[:, :1])).all()
    np.testing.assert_allclose(log_slope(K, np.full(len(K), 3.0)), 0, atol=1e-12)


@given(st.floats(0.1, 100), st.floats(-100, 100))
def test_a_curve_that_goes_as_one_over_k_has_its_limit(limit: float, gain: float) -> None:
    bounded = min(max(limit, 0), math.inf) if limit + gain >= 0 else limit
    assert limits(K, limit + gain / K) == pytest.approx(bounded, rel=1e-9, abs=1e-9)
    assert limits(K[:1], np.array([limit])) == limit


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        (1 + 1 / K, 100),  # exactly 1 % at 100
        (0.01 * (1 + 1.1 / K), 200),  # an error, whatever its unit
        (1 + 10 / K, math.inf),  # 2 % at 500
        (0.9 - 0.3 / K, 50),  # an accuracy: 0.009 is 1 %
        (-2 - 1 / K, 50),  # a likelihood: below 0
        (-2 + 1 / K, 50),
        (np.full(len(K), 0.7), 1),  # flat
        (np.zeros(len(K)), 1),
        (1 / K, math.inf),  # nothing but 0 is within 1 % of 0
        (np.array([7, 3, 1, 0, 0, 0, 0, 0, 0.0]), 10),  # a count
        (np.where(K == 20, 1.5, 1.0), 50),  # what settles late has not settled early
        (np.where(K == 500, 1.5, 1.0), math.inf),
        (1 - 0.5 * (K < 10), 10),
    ],
)
def test_samples_needed_on_known_curves(values: Array, needed: float) -> None:
    assert np.append(K, math.inf)[settled(K, values)] == needed
    several = np.stack([values, np.ones(len(K)), values])
    assert settled(K, several).tolist() == [settled(K, values), 0, settled(K, values)]


def test_a_limit_stays_within_the_bounds_of_a_metric() -> None:
    rising = 1 - 0.4 / K - 0.002 * (K == 50)  # to 1, and by chance beyond
    assert limits(K, rising) == 1
    assert limits(K, 1 / K - 0.002 * (K == 500)) == 0
    assert limits(K, 1 / K - 1.0) == pytest.approx(-1)


def test_noise_of_a_tenth_of_a_percent_leaves_the_samples_needed() -> None:
    random = np.random.default_rng(1)
    curves = 1 + 1.5 / K + 1e-3 * random.standard_normal((200, 5, len(K)))
    found = convergence(table(curves))
    assert found["samples_needed"].is_between(100, 200).all()
    assert (found["samples_needed"] == 200).mean() > 0.9  # type: ignore[operator]
    assert holds(found, "samples_needed", 200.0) > 0.95
    assert found["limit"].mean() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("error", "seeds", "reported"), [(0.009, 1, True), (0.011, 1, False), (0.011, 4, True)])
def test_where_chance_moves_the_metric_by_more_than_a_percent_nothing_is_told(
    error: float, seeds: int, reported: bool
) -> None:
    curves = table(np.ones((1, seeds, len(K))))
    noisy = curves.with_columns(
        pl.col("curve").list.eval(
            pl.struct(
                pl.element().struct.field("samples", "value"),
                pl.lit(error).alias("value_error"),
                pl.element().struct.field("variance", "equivariance"),
            )
        )
    )
    row = convergence(noisy).row(0, named=True)
    assert row["samples_needed"] == (1 if reported else None)
    assert (row["samples_needed_high"] is not None) == (reported and seeds > 1)
    assert row["limit"] == pytest.approx(1, rel=1e-14)  # a fit by least squares


@pytest.mark.parametrize(("factor", "reported"), [(1 - 1e-6, True), (1 + 1e-6, False)])
def test_the_chance_of_a_curve_is_that_of_the_mean_over_its_seeds(factor: float, reported: bool) -> None:
    """Errors of 0.012 and 0.016 of two seeds: that of their mean is half the root of the sum of squares, 0.01. Errors
    at small k, where no limit is read off, are not asked for."""
    samples = np.array([1, 50, 100, 500.0])
    errors = np.array([[[9.0, *[0.012 * factor] * 3], [9.0, *[0.016 * factor] * 3]]])
    found = needed(samples, np.ones((1, 2, 4)), errors)
    assert np.isnan(found["samples_needed"][0]) == (not reported)


def test_a_point_on_the_boundary_of_one_percent_is_within_it() -> None:
    samples = np.array([1.0, 10.0, 100.0, 1000.0])
    for value, place in ((1.01, 1), (1.01 + 1e-9, 2), (0.99, 1), (0.99 - 1e-9, 2)):
        assert settled(samples, np.array([3.0, value, 1.0, 1.0])) == place


def test_intervals_over_seeds_may_end_beyond_what_was_measured() -> None:
    gains = np.array([1, 3, 30.0])[:, None]
    found = convergence(table((1 + gains / K)[None])).row(0, named=True)
    assert (found["samples_needed_low"], found["samples_needed_high"]) == (100, math.inf)
    alone = convergence(table((1 + gains[:1] / K)[None])).row(0, named=True)
    assert (alone["samples_needed"], alone["samples_needed_low"], alone["samples_needed_high"]) == (100, None, None)


def test_only_complete_curves_of_runs_that_succeeded_count() -> None:
    curves = np.stack([1 + 1 / K, 1 + 1 / K, np.where(K == 5, np.nan, 5.0)])[None]
    runs = pl.concat([table(curves[:, :2]), table(curves[:, 2:]), table(7 + 0 * curves[:, :1], status="failed")])
    missing = runs.with_columns(
        pl.col("curve").list.eval(pl.struct(pl.element().struct.field("*").fill_nan(None))).cast(CURVE)
    )
    found = convergence(missing).row(0, named=True)
    assert found["limit"] == pytest.approx(1)
    assert found["samples_needed_high"] == 100
    nothing = convergence(runs.clear())
    assert nothing.is_empty() and nothing.columns == convergence(runs).columns


def test_tables_carry_the_study() -> None:
    """Training with another k is another setting, named in its own column; failed runs and missing numbers are null."""
    records = [
        make_record(
            method="gnn-ga",
            seed=seed,
            value=0.5,
            variance=2.0,
            samples=(1, 10, 100, 1000),
            settings={"train_samples": k},
        )
        for k in (1, 5)
        for seed in (0, 1)
    ]
    alone = make_record(method="gnn-fa", samples=(1, 10))
    failed = [make_record(method="gnn-ps", seed=seed, error="It broke.") for seed in (0, 1)]
    found = collated(*records, alone, make_record(method="egnn", value=None), *failed).sample_complexity
    rows = found.filter(pl.col("method") == "gnn-ga")
    assert rows["train_samples"].to_list() == [1] * 4 + [5] * 4 or rows["train_samples"].to_list() == [5] * 4 + [1] * 4
    assert rows["setting"].n_unique() == 2
    assert rows["limit"].to_list() == pytest.approx([0.5] * 8)
    assert rows["samples_needed"].to_list() == [100.0] * 8
    assert rows["variance_slope_low"].to_list() == pytest.approx([-1.0] * 8)
    assert rows["equivariance"].to_list() == [None] * 8  # not measured, as in old records
    assert rows["equivariance_slope"].to_list() == [None] * 8
    single = found.filter(pl.col("method") == "gnn-fa").row(0, named=True)
    assert single["variance_slope"] == pytest.approx(-1)
    assert single["variance_slope_low"] is None
    assert not found["method"].is_in(["egnn", "gnn-ps"]).any()


def test_exponents_of_power_laws() -> None:
    sizes = np.array([5, 10, 20, 50, 100.0])
    frame = pl.DataFrame({"who": ["a"] * 5, "n": sizes, "cost": 3e-5 * sizes**2})
    found = exponents(frame, ["who"], "n", "cost", "a").row(0, named=True)
    assert found["a"] == pytest.approx(2)
    assert (found["a_low"], found["a_high"]) == pytest.approx((2, 2))
    two = exponents(frame.head(2), ["who"], "n", "cost", "a").row(0, named=True)
    assert two["a"] == pytest.approx(2) and two["a_low"] is None
    assert exponents(frame.head(1), ["who"], "n", "cost", "a").is_empty()
    noisy = frame.head(2).vstack(frame.head(2).with_columns(pl.col("cost") * 2))
    between = exponents(noisy, ["who"], "n", "cost", "a").row(0, named=True)
    assert between["a"] == pytest.approx(2) and between["a_low"] is None  # four points at two places tell no law
    small = frame.with_columns(pl.col("n") / 1000, pl.col("cost") / 1000)
    assert exponents(small, ["who"], "n", "cost", "a")["a_high"].to_list() == pytest.approx([2])
    holes = frame.with_columns(pl.when(pl.col("n") > 5).then("cost").alias("cost"))
    assert exponents(holes, ["who"], "n", "cost", "a")["a"].to_list() == pytest.approx([2])


def test_exponents_are_found_with_the_right_coverage() -> None:
    random = np.random.default_rng(2)
    sizes = np.tile([5, 10, 20, 50, 100.0], CASES)
    costs = sizes**1.5 * np.exp(0.1 * random.standard_normal(len(sizes)))
    frame = pl.DataFrame({"who": np.repeat(np.arange(CASES), 5), "n": sizes, "cost": costs})
    found = exponents(frame, ["who"], "n", "cost", "a")
    assert found["a"].mean() == pytest.approx(1.5, abs=0.01)
    assert 0.92 < holds(found, "a", 1.5) < 0.98


def test_the_scaling_table_says_how_cost_and_samples_grow() -> None:
    """Time goes as n^2 in these records, memory as well; a size at which all runs failed is left out."""
    records = [
        make_record(method="gnn-ga", seed=seed, variance=n, task_params={"nodes": n}, samples=(1, 100))
        for n in (4, 8, 16, 32)
        for seed in (0, 1)
    ]
    failed = make_record(method="gnn-ga", task_params={"nodes": 64}, error="Out of memory.")
    costless = [
        make_record(method="egnn", task_params={"nodes": n}, cost={"seconds_per_example": math.nan}) for n in (4, 8)
    ]
    found = collated(*records, failed, *costless).scaling
    rows = found.filter(pl.col("method") == "gnn-ga")
    assert rows["variance"].to_list() == pytest.approx([4, 8, 16, 32])
    assert rows["samples_needed"].to_list() == [100.0] * 4
    for name in ("seconds_exponent", "memory_exponent"):
        for end in ("", "_low", "_high"):
            assert rows[name + end].to_list() == pytest.approx([2.0] * 4)
    orders = np.log([math.lgamma(n + 1) for n in (4, 8, 16, 32)])
    by_group = np.polyfit(orders, 2 * np.log([4, 8, 16, 32]), 1)[0]
    assert rows["seconds_group_exponent"].to_list() == pytest.approx([by_group] * 4)
    others = found.filter(pl.col("method") == "egnn")
    assert others["seconds_exponent"].to_list() == [None, None]
    assert others["memory_exponent"].to_list() == pytest.approx([2.0, 2.0])
    assert others["memory_exponent_low"].to_list() == [None, None]


def test_one_place_tells_no_power_law_however_many_points_it_has() -> None:
    frame = pl.DataFrame({"who": ["a"] * 3, "n": [5.0] * 3, "cost": [1.0, 2.0, 4.0]})
    assert exponents(frame, ["who"], "n", "cost", "a").is_empty()


@pytest.mark.parametrize("seeds", [2, 3, 7])
def test_the_ends_of_an_interval_are_the_draws_just_outside_its_quantiles(seeds: int) -> None:
    """On both sides."""
    values = np.random.default_rng(seeds).uniform(1, 2, (1, seeds, len(K)))
    found = convergence(table(np.ones_like(values), values)).row(0, named=True)
    means = np.stack([values[0][pick].mean(0) for pick in resampled_seeds(seeds, 0)])
    slopes = np.sort(log_slope(K, means))
    ends = found["variance_slope_low"], found["variance_slope_high"]
    outside = [np.sum(slopes < ends[0] - 1e-9), np.sum(slopes > ends[1] + 1e-9)]
    assert outside == [int(expanded(seeds)[0] * (len(slopes) - 1))] * 2


def test_imported_runs_have_a_convergence_of_their_own() -> None:
    own, theirs = (table((limit + 1 / K)[None, None]) for limit in (1.0, 5.0))
    theirs = theirs.with_columns(pl.col("setting") + "@lab", pl.lit("lab").alias("source"))
    found = convergence(pl.concat([own, theirs]))
    assert found.select("setting", "source").rows() == [("0000", None), ("0000@lab", "lab")]
    assert found["limit"].to_list() == pytest.approx([1, 5])
    assert found["samples_needed"].to_list() == [100, 20]
    assert found["samples_most"].to_list() == [500, 500]


def test_a_limit_is_no_larger_than_one_where_one_is_reached() -> None:
    """And no smaller than 0 where 0 is: both are values that a metric takes."""
    reached = np.array([0.1, 0.4, 0.7, 0.8, 0.85, 0.9, 0.97, 0.99, 1.0])
    assert limits(K, reached) == 1 and limits(K, 1 - reached) == 0
    assert limits(K, 2 * reached) > 2 and limits(K, -reached) < -1


def test_settings_are_resampled_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is found does not depend on how many."""
    values = np.random.default_rng(3).uniform(1, 2, (5, 3, len(K)))
    at_once = convergence(table(values))
    for many in (1, 2, 5):
        monkeypatch.setattr(convergence_module, "BLOCK", many * RESAMPLES * len(K))
        assert_frame_equal(convergence(table(values)), at_once, rel_tol=1e-12)


def test_rows_are_one_a_setting_whatever_was_not_measured() -> None:
    """Equivariance was not measured in any of the runs, variance in one of two."""
    runs = table(np.ones((2, 3, len(K))) + 1 / K)
    fields = pl.element().struct
    bare = runs.with_columns(
        pl.col("curve")
        .list.eval(
            pl.struct(
                fields.field("samples", "value", "value_error"),
                pl.lit(None, pl.Float64).alias("variance"),
                pl.lit(None, pl.Float64).alias("equivariance"),
            )
        )
        .cast(CURVE)
    )
    found = convergence(pl.concat([runs.filter(pl.col("setting") == "0000"), bare.filter(pl.col("setting") != "0000")]))
    assert found["setting"].to_list() == ["0000", "0001"]
    assert found["limit"].to_list() == pytest.approx([1, 1])
    assert found["variance_slope"].is_null().to_list() == [False, True]
    none = convergence(bare)
    assert none["setting"].to_list() == ["0000", "0001"] and none["equivariance_slope"].null_count() == 2


def test_a_power_law_without_a_residual_has_an_interval_of_one_point() -> None:
    """However it is rounded."""
    sizes = np.array([3.0, 7.0, 11.0, 13.0, 29.0])
    powers = np.linspace(-3, 3, 61)
    frame = pl.DataFrame(
        {"who": np.repeat(np.arange(61), 5), "n": np.tile(sizes, 61), "cost": (sizes ** powers[:, None]).ravel()}
    )
    found = exponents(frame, ["who"], "n", "cost", "a")
    for end in ("a", "a_low", "a_high"):
        assert found[end].to_list() == pytest.approx(powers, abs=1e-6)


@pytest.mark.parametrize("group", ["O(#)", "B_#"])
def test_cost_grows_with_the_dimension_of_a_group_whose_finite_part_does_not_grow(group: str) -> None:
    """Seven nodes in d dimensions: a Lie group grows in dimension, a finite one in the logarithm of its order."""
    degrees = (2, 3, 4, 5)
    records = [
        make_record("teacher_space_invariant", "mlp-ga", task_params={"group": ["S_n", group], "degree": d})
        for d in degrees
    ]
    found = collated(*records).scaling
    order = {"O(#)": lambda d: d * (d - 1) / 2, "B_#": lambda d: math.lgamma(8) + d * math.log(2) + math.lgamma(d + 1)}
    measures = [order[group](d) for d in degrees]
    expected = np.polyfit(np.log(measures), 2 * np.log(degrees), 1)[0]
    for name in ("seconds_group_exponent", "memory_group_exponent"):
        assert found[name].to_list() == pytest.approx([expected] * 4)
    assert found["seconds_exponent"].to_list() == pytest.approx([2.0] * 4)
