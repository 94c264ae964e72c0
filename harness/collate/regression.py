"""What moved: the same settings run at two times, told from the noise of their seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy.stats import false_discovery_control, t

from harness.collate.bootstrap import LEVEL
from harness.collate.statistics import score
from harness.differences import changes

ROUNDING = 1e-6
"""Differences below this part of the value are of rounding, not of what was run."""

Verdict = Literal["worse", "lost", "better", "gained", "within noise", "one seed", "same", "only before", "only now"]
ORDER: Mapping[Verdict, int] = {
    "worse": 0, "lost": 1, "better": 2, "gained": 3, "one seed": 4, "only before": 5, "only now": 6,
    "within noise": 7, "same": 8,
}  # fmt: skip
REGRESSIONS = ("worse", "lost")
_CELL = ("task", "protocol", "method", "task_params", "metric", "direction", "setting_label", "spec_json")


def regression(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """One row for each setting in either of two tables ``runs``, what moved first; runs that were imported stay out.

    ``difference`` is ``now`` less ``before``, of mean scores (:func:`~harness.collate.statistics.score`), with a 95 %
    interval: Student's, of the differences on shared seeds where there are two or more (``paired``), else Welch's.
    ``p`` is the test's and ``adjusted`` that of Benjamini and Hochberg over all rows. A cell is ``better`` or ``worse``
    where ``adjusted`` is at most 5 %: of all cells said to have moved, at most one in twenty has not, on average. It
    is ``lost`` where it had a value and every run failed now, ``gained`` the other way, ``one seed`` where that is all
    one side has, and on one side only where the other has no run of exactly these settings; ``why`` says what differs
    where the same method ran on the same task once more.
    """
    cells = _side(now, "now").join(_side(before, "before"), on="setting", how="full", coalesce=True)
    cells = cells.join(_paired(now, before), on="setting", how="left")
    cells = cells.with_columns(pl.coalesce(f"{name}_now", f"{name}_before").alias(name) for name in _CELL)
    tested = _tested(cells)
    return (
        tested.with_columns(_verdict().alias("verdict"))
        .with_columns(_why(tested), pl.col("verdict").replace_strict(ORDER, return_dtype=pl.Int64).alias("order"))
        .sort("order", "task", "protocol", "method", "setting")
        .select(
            "task", "protocol", "method", "task_params", "setting", "setting_label", "metric", "direction", "verdict",
            "now", "before", "difference", "low", "high", "p", "adjusted", "paired", "seeds_now", "seeds_before",
            "failed_now", "failed_before", "why",
        )
    )  # fmt: skip


def _own(runs: pl.DataFrame) -> pl.DataFrame:
    return runs.filter(pl.col("source").is_null()).with_columns(score())


def _side(runs: pl.DataFrame, name: str) -> pl.DataFrame:
    return (
        _own(runs)
        .group_by("setting")
        .agg(
            pl.col("score").mean().alias(name),
            pl.col("score").var(ddof=1).alias(f"var_{name}"),
            pl.col("score").count().cast(pl.Int64).alias(f"seeds_{name}"),
            (pl.col("status") == "failed").sum().cast(pl.Int64).alias(f"failed_{name}"),
            pl.col(_CELL).first().name.suffix(f"_{name}"),
        )
    )


def _paired(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Differences on the seeds that both sides ran."""
    columns = ("setting", "seed", "score")
    pairs = _own(now).select(columns).join(_own(before).select(columns), on=["setting", "seed"], suffix="_before")
    differences = (pl.col("score") - pl.col("score_before")).drop_nulls()
    return pairs.group_by("setting").agg(
        differences.count().alias("pairs"),
        differences.mean().alias("paired_mean"),
        differences.std(ddof=1).alias("paired_std"),
    )


def _tested(cells: pl.DataFrame) -> pl.DataFrame:
    n, m = pl.col("seeds_now"), pl.col("seeds_before")
    one, other = pl.col("var_now") / n, pl.col("var_before") / m
    welch_df = (one + other) ** 2 / (one**2 / (n - 1) + other**2 / (m - 1))
    paired = pl.when(pl.col("pairs") >= 2)
    stderr = paired.then(pl.col("paired_std") / pl.col("pairs").sqrt()).otherwise((one + other).sqrt())
    cells = cells.with_columns(
        (pl.col("pairs") >= 2).fill_null(False).alias("paired"),
        paired.then("paired_mean").otherwise(pl.col("now") - pl.col("before")).alias("difference"),
        stderr.alias("error"),
        paired.then(pl.col("pairs") - 1).when(one + other > 0).then(welch_df).otherwise(1.0).alias("df"),
    )
    difference, error, df = (cells[name].cast(pl.Float64).to_numpy() for name in ("difference", "error", "df"))
    with np.errstate(divide="ignore", invalid="ignore"):  # no spread at all: certain, or 0/0 where nothing moved
        p = np.where(difference == 0, np.where(np.isnan(error), np.nan, 1.0), 2 * t.sf(np.abs(difference) / error, df))
    reach = t.ppf((1 + LEVEL) / 2, df) * error
    known = ~np.isnan(p)
    adjusted = np.full(len(p), np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    found = {"low": difference - reach, "high": difference + reach, "p": p, "adjusted": adjusted}
    return cells.with_columns(pl.Series(name, values, nan_to_null=True) for name, values in found.items())


def _verdict() -> pl.Expr:
    size = pl.max_horizontal(pl.col("now").abs(), pl.col("before").abs())
    better = (pl.col("difference") > 0) == (pl.col("direction") == "max")
    return (
        pl.when(pl.col("seeds_before").is_null())
        .then(pl.lit("only now"))
        .when(pl.col("seeds_now").is_null())
        .then(pl.lit("only before"))
        .when(pl.col("now").is_null() & pl.col("before").is_null())
        .then(pl.lit("same"))
        .when(pl.col("now").is_null())
        .then(pl.lit("lost"))
        .when(pl.col("before").is_null())
        .then(pl.lit("gained"))
        .when(pl.col("difference").abs() <= ROUNDING * size)
        .then(pl.lit("same"))
        .when(pl.col("p").is_null())
        .then(pl.lit("one seed"))
        .when(pl.col("adjusted") > 1 - LEVEL)
        .then(pl.lit("within noise"))
        .when(better)
        .then(pl.lit("better"))
        .otherwise(pl.lit("worse"))
    )


def _why(cells: pl.DataFrame) -> pl.Series:
    """For a cell on one side: what the other side changed, where it has one such cell of the same task and method."""
    alone: dict[str, dict[tuple[Any, ...], list[str]]] = {"now": {}, "before": {}}
    columns = ("task", "protocol", "method", "spec_json_now", "spec_json_before")
    rows = cells.select(columns).rows()
    for *key, now, before in rows:
        if now is None or before is None:
            side, spec = ("before", before) if now is None else ("now", now)
            alone[side].setdefault(tuple(key), []).append(spec)
    return pl.Series("why", [_reason(tuple(key), now, before, alone) for *key, now, before in rows], dtype=pl.String)


def _reason(
    key: tuple[Any, ...], now: str | None, before: str | None, alone: Mapping[str, Mapping[tuple[Any, ...], list[str]]]
) -> str | None:
    if now is not None and before is not None:
        return None
    others = alone["before" if before is None else "now"].get(key, [])
    if len(others) != 1 or len(alone["now" if before is None else "before"][key]) != 1:
        return None
    own = now if before is None else before
    return changes(json.loads(own or ""), json.loads(others[0])) or None
