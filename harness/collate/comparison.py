"""Compares two methods on the same seeds: how often one beats the other, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from harness.collate.bootstrap import Array, Interval, interquartile_mean, interval, probability_of_improvement
from harness.collate.statistics import BENCHMARK, score
from harness.errors import UnknownName
from harness.utils.text import nearest


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A comparison of one setting of each of two methods on the seeds that both ran.

    The score is that of the leaderboard (:func:`~harness.collate.statistics.score`).

    Attributes:
        first: Interquartile mean of the scores of the first method.
        second: That of the second method.
        advantage: Interquartile mean of the differences in score, above 0 if the first method is better.
        improvement: Probability that the first method beats the second on a seed; 1/2 means no difference.
        differences: Differences in score ``[seeds]``, above 0 if the first method is better.
    """

    task: str
    protocol: str
    variant: str | None
    task_params: str
    metric: str
    settings: tuple[str | None, str | None]
    seeds: int
    first: float
    second: float
    advantage: Interval
    improvement: Interval
    digests: tuple[str, ...] = field(repr=False)
    differences: Array = field(repr=False, compare=False)


def compare(runs: pl.DataFrame, first: str, second: str, task: str | None = None) -> list[Comparison]:
    """Compares two methods in all settings that share seeds.

    Args:
        runs: The table ``runs``.
        first: The name of a method.
        second: The name of another method.
        task: Restricts the comparisons to one task; None compares on all.

    Raises:
        UnknownName: A method has no score, or the methods have no seed of a task in common.
    """
    scored = runs.with_columns(score()).filter(pl.col("score").is_not_null())
    if task is not None:
        _known("task", task, scored["task"])
        scored = scored.filter(pl.col("task") == task)
    for method in (first, second):
        _known("method", method, scored["method"])
    columns = ("seed", "digest", "score", "setting", "setting_label")
    one, other = (scored.filter(pl.col("method") == name).select(*BENCHMARK, *columns) for name in (first, second))
    pairs = one.join(other, on=[*BENCHMARK, "seed"], how="inner", nulls_equal=True, suffix="_other")
    if pairs.is_empty():
        raise UnknownName(
            f"{first} and {second} have no seed of one task and protocol in common: run both in one suite."
        )
    grouped = pairs.sort(*BENCHMARK, "setting", "setting_other", "seed", nulls_last=True).group_by(
        *BENCHMARK, "setting", "setting_other", maintain_order=True
    )
    return [_comparison(pair) for _, pair in grouped]


def over_tasks(comparisons: Sequence[Comparison]) -> Interval:
    """The probability that the first method beats the second, averaged over comparisons, with its interval."""
    return interval(probability_of_improvement, [one.differences for one in comparisons])


def _comparison(pair: pl.DataFrame) -> Comparison:
    row = pair.row(0, named=True)
    first, second = pair["score"].to_numpy(), pair["score_other"].to_numpy()
    differences = (first - second) * (1 if row["direction"] == "max" else -1)
    return Comparison(
        task=row["task"],
        protocol=row["protocol"],
        variant=row["variant"],
        task_params=row["task_params"],
        metric=row["metric"],
        settings=(row["setting_label"], row["setting_label_other"]),
        seeds=len(pair),
        first=float(interquartile_mean(first)),
        second=float(interquartile_mean(second)),
        advantage=interval(lambda strata: np.asarray(interquartile_mean(strata[0])), [differences]),
        improvement=interval(probability_of_improvement, [differences]),
        digests=(*pair["digest"], *pair["digest_other"]),
        differences=differences,
    )


def _known(what: str, name: str, names: pl.Series) -> None:
    if name not in (known := names.unique().sort().to_list()):
        raise UnknownName(f"No run of the {what} '{name}' has a score yet: {nearest(name, known) if known else ''}")
