"""Finds results that changed by more than the noise of seeds between two runs of the same settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from harness.collate.bootstrap import LEVEL
from harness.collate.significance import ROUNDING, by_seed, differences, holm
from harness.collate.statistics import own_score
from harness.differences import changes
from harness.spec import without_neutral

Change = Literal[
    "worse", "lost", "better", "gained", "too few seeds", "only before", "only now", "within noise", "same"
]
ORDER: Mapping[Change, int] = {change: place for place, change in enumerate(get_args(Change))}
REGRESSIONS = ("worse", "lost")
_CELL = ("task", "protocol", "method", "task_params", "metric", "direction", "setting_label", "spec_json")


def regression(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Compares two tables ``runs`` setting by setting; imported runs are left out.

    ``difference`` is the mean score (:func:`~harness.collate.statistics.own_score`) ``now`` minus that ``before``, with
    a 95 % interval and the ``p`` of :func:`~harness.collate.significance.differences`; ``adjusted`` is p adjusted over
    all rows (Holm). The ``change`` is

    * ``better`` or ``worse`` if ``adjusted`` is at most 5 %: of reports in which nothing changed, at most 5 % name a
      setting;
    * ``lost`` if the setting had a value and all its runs fail now, ``gained`` in the opposite case;
    * ``too few seeds`` if the numbers differ and there are too few seeds for a test;
    * ``only before`` or ``only now`` if one side has no run of exactly these settings. If the same method ran on the
      same task in one other setting, ``why`` names the difference.

    The same settings and seed give the same number on one machine, so another number on a shared seed shows that
    something changed. It does not show that the method is worse: after a change in rounding, training is another draw
    from the distribution over seeds.

    Returns:
        One row for each setting in either table, changed ones first.
    """
    cells = _side(now, "now").join(_side(before, "before"), on="setting", how="full", coalesce=True)
    cells = cells.with_columns(pl.coalesce(f"{name}_now", f"{name}_before").alias(name) for name in _CELL)
    cells = _tested(cells, now, before)
    return (
        cells.with_columns(_change().alias("change"))
        .with_columns(_why(cells), pl.col("change").replace_strict(ORDER, return_dtype=pl.Int64).alias("order"))
        .sort("order", "task", "protocol", "method", "setting")
        .select(
            "task",
            "protocol",
            "method",
            "task_params",
            "setting",
            "setting_label",
            "metric",
            "direction",
            "change",
            "now",
            "before",
            "difference",
            "low",
            "high",
            "p",
            "adjusted",
            "paired",
            "seeds_now",
            "seeds_before",
            "failed_now",
            "failed_before",
            "why",
        )
    )


def _own(runs: pl.DataFrame) -> pl.DataFrame:
    return runs.filter(pl.col("source").is_null()).with_columns(own_score())


def _side(runs: pl.DataFrame, name: str) -> pl.DataFrame:
    return (
        _own(runs)
        .group_by("setting")
        .agg(
            pl.col("score").mean().alias(name),
            pl.col("score").count().cast(pl.Int64).alias(f"seeds_{name}"),
            (pl.col("status") == "failed").sum().cast(pl.Int64).alias(f"failed_{name}"),
            pl.col(_CELL).first().name.suffix(f"_{name}"),
        )
    )


def _tested(cells: pl.DataFrame, now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    scores = by_seed([*_scores(cells["setting"], now), *_scores(cells["setting"], before)])
    found = differences(*np.split(scores, 2))
    columns = {
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "adjusted": holm(found.p),
    }
    return cells.with_columns(
        *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()),
        pl.Series("paired", found.paired),
    )


def _scores(settings: pl.Series, runs: pl.DataFrame) -> list[dict[int, float]]:
    """The scores of each setting by seed."""
    found: dict[str, dict[int, float]] = {setting: {} for setting in settings}
    for setting, seed, value in _own(runs).select("setting", "seed", "score").drop_nulls().iter_rows():
        found[setting][seed] = value
    return list(found.values())


def _change() -> pl.Expr:
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
        .then(pl.lit("too few seeds"))
        .when(pl.col("adjusted") > 1 - LEVEL)
        .then(pl.lit("within noise"))
        .when(better)
        .then(pl.lit("better"))
        .otherwise(pl.lit("worse"))
    )


def _why(cells: pl.DataFrame) -> pl.Series:
    """For a setting on one side only: its difference from the other side's only setting of this task and method."""
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
    return changes(*(without_neutral(json.loads(one)) for one in (own or "", others[0]))) or None
