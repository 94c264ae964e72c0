"""The control metric beside a score, which shows whether the score can be trusted.

A control that is a stricter form of the metric (on transformed inputs, or counting only what is sound) takes part in
the ranking: a row is ranked by the worse of the two. Any other control is shown beside the score only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from harness.collate.statistics import score as seed_score
from harness.report.content.comparison_groups import ComparisonGroup, Row
from harness.report.rendering.cells import Cell, Column, missing
from harness.report.rendering.formats import counted, estimate

NOT_SYMMETRIC = "not symmetric"
WORSE = "worse when transformed"
UNSOUND = "not sound"
WHY = {
    NOT_SYMMETRIC: "the score is worse on transformed inputs than on the original ones by more than chance explains, "
    "so the method uses the order or the pose of the data",
    WORSE: "the score is worse on transformed inputs than on the original ones by more than two standard errors, "
    "although the method is symmetric in expectation: this is either chance or a fault",
    UNSOUND: "the method separates structures from relabelled copies of themselves, so what it separates depends on "
    "the order of the nodes, or on the group elements that were drawn",
}
"""Why a row has such a mark."""
_MEANINGS = {
    "false_separations": "the number of structures that were separated from a relabelled copy of themselves. It is 0 "
    "in a sound run; random embeddings separate copies by chance",
    "unreliable": "the number of structures that the test separated from relabelled copies of themselves. With random "
    "embeddings this happens for about one structure in twenty",
}


SeedScores = Mapping[tuple[str, str | None], Mapping[int, float]]
"""Scores by setting and source, then by seed."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """The score by which a row is ranked.

    Attributes:
        mean: The mean over seeds; None if the row cannot be ranked.
        stderr: The standard error over seeds, if known.
        stricter: Whether it is of the stricter form of the metric, which is worse.
    """

    mean: float | None
    stderr: float | None
    stricter: bool = False


def score(row: Row) -> Score:
    """The score of a row of the table ``accuracy``, or of one that has its columns ``score``.

    It is the worse of the metric and the control if the control is a stricter form of the metric, else the metric
    (:func:`harness.collate.statistics.score`).
    """
    return Score(mean=row["score"], stderr=row["score_stderr"], stricter=row["score_metric"] != row["metric"])


def scores_by_seed(runs: pl.DataFrame) -> SeedScores:
    """The scores of all runs; a setting has no entry if none of its runs has a score."""
    found: dict[tuple[str, str | None], dict[int, float]] = {}
    known = runs.select("setting", "source", "seed", seed_score()).filter(pl.col("score").is_not_null())
    for setting, source, seed, value in known.iter_rows():
        found.setdefault((setting, source), {})[seed] = value
    return found


def drop(row: Row, comparison_group: ComparisonGroup) -> str:
    """A mark of :data:`WHY` if the stricter score is worse by more than chance explains, else an empty text."""
    if not comparison_group.ranks_by_worse or row["mean"] is None or _control(row, comparison_group) is None:
        return ""
    gap, error = _gap(row, comparison_group), math.hypot(row["stderr"] or 0.0, row["control_stderr"] or 0.0)
    if not comparison_group.on_transformed_inputs:
        return UNSOUND if gap > 0 else ""
    symmetric = row["sampler"] != "none"
    if gap <= (2 * error or 0.05 * abs(row["mean"])) or (symmetric and not error):
        return ""
    return WORSE if symmetric else NOT_SYMMETRIC


def column(comparison_group: ComparisonGroup) -> Column:
    """The column of the control metric."""
    why = f"Mean ± standard error over seeds: {_meaning(comparison_group)}"
    return Column(title=_title(comparison_group), why=why, numeric=True)


def cell(row: Row, comparison_group: ComparisonGroup) -> Cell:
    """The control of one row; a note says if it lacks seeds."""
    value = _control(row, comparison_group)
    if value is None:
        return missing("Not measured: no run gave a value" if row["mean"] is None else "Not recorded by these runs")
    partly = row["control_seeds"] < row["seeds"]
    return Cell(
        text=estimate(value, row["control_stderr"]),
        sort=value,
        note=f"{counted(row['control_seeds'], 'seed')} only" if partly else "",
    )


def explanation(comparison_group: ComparisonGroup) -> str:
    """One sentence about the control for the reader of the table; empty if there is no control."""
    if comparison_group.control is None:
        return ""
    meaning = f"{_title(comparison_group)}: {_meaning(comparison_group)}"
    if comparison_group.ranks_by_worse:
        return f"{meaning}. Rows are ranked by the worse of the two means."
    metric = comparison_group.metric
    return f"{meaning}. Rows are ranked by {metric} alone, which says little if this number is far from 0."


def best_first(rows: Iterable[Row], comparison_group: ComparisonGroup) -> list[Row]:
    """The rows from best to worst, then rows that are not ranked, then rows without a value.

    Rows with equal scores are sorted by their control, if it does not rank them already.
    """
    return sorted(rows, key=partial(_sort_key, comparison_group))


def _sort_key(comparison_group: ComparisonGroup, row: Row) -> tuple[bool, bool, float, float, str]:
    sign = -1.0 if comparison_group.direction == "max" else 1.0
    ranked = score(row).mean
    value = row["mean"] if ranked is None else ranked
    control = _control(row, comparison_group)
    second = math.inf if comparison_group.ranks_by_worse or control is None else control
    return row["mean"] is None, ranked is None, sign * (value or 0.0), second, row["method"]


def _control(row: Row, comparison_group: ComparisonGroup) -> float | None:
    return row["control_mean"] if row["control_name"] == comparison_group.control else None


def _gap(row: Row, comparison_group: ComparisonGroup) -> float:
    """By how much the original score is better than the stricter one."""
    gap: float = row["mean"] - row["control_mean"]
    return gap if comparison_group.direction == "max" else -gap


def _title(comparison_group: ComparisonGroup) -> str:
    if comparison_group.ranks_by_worse:
        return "Transformed inputs" if comparison_group.on_transformed_inputs else "Soundly"
    return (comparison_group.control or "").replace("_", " ").capitalize()


def _meaning(comparison_group: ComparisonGroup) -> str:
    if not comparison_group.ranks_by_worse:
        return _MEANINGS.get(comparison_group.control or "", "should be 0")
    if comparison_group.on_transformed_inputs:
        return (
            f"{comparison_group.metric} on the test set transformed by random group elements. A symmetric method has "
            "the same score there"
        )
    return (
        "the pairs that were never separated, together with the pairs of which one structure was also separated from a "
        "relabelled copy of itself. Random embeddings do this by chance"
    )
