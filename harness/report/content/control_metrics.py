"""The control beside a score: what tells whether a score means what it seems to mean.

A control that is the metric itself, asked for more (on moved inputs, or soundly), decides the ranking with it; any
other stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import polars as pl

from harness.report.content.comparison_groups import Contest, Row
from harness.report.rendering.cells import Cell, Column, missing
from harness.report.rendering.formats import counted, estimate

NOT_SYMMETRIC = "not symmetric: scores drop on moved inputs"
DROPS = "scores drop on moved inputs"
UNSOUND = "tells structures apart from relabelled copies of themselves"
_WHY = {
    NOT_SYMMETRIC: "The plain score is better by more than chance: it is read off the order or the pose of the data",
    DROPS: "The plain score is better by more than two standard errors, though the method is symmetric on average: "
    "chance, or a fault",
    UNSOUND: "What this method tells apart differs by the order of its nodes, or by the draw of group elements",
}
_MEANINGS = {
    "false_separations": "how many structures were told apart from a relabelled copy of themselves (0 in a sound "
    "run), which random embeddings do by chance",
    "unreliable": "how many structures a test told apart from relabelled copies of themselves, as it does with one in "
    "twenty where embeddings are random",
}


Scored = Literal["value", "control"]
Seeds = Mapping[tuple[str, Scored], Mapping[int, float]]
"""By setting and column of the table ``runs``, then by seed."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a row is ranked by: the mean of ``column`` of its runs, ``None`` for a row that cannot be ranked."""

    mean: float | None
    stderr: float | None
    column: Scored = "value"


def score(row: Row, contest: Contest) -> Score:
    """The worse of plain and stricter where the control is the stricter metric, else the plain metric.

    Where other rows of the contest have a stricter score, a row without one is not ranked: it might be the best by
    reading the label off the order of its data.
    """
    plain = Score(mean=row["mean"], stderr=row["stderr"])
    if not contest.ranks_by_worse:
        return plain
    stricter = Score(mean=_control(row, contest), stderr=row["control_stderr"], column="control")
    if plain.mean is None or stricter.mean is None:
        return Score(mean=None, stderr=None)
    return stricter if _gap(row, contest) > 0 else plain


def seeds(runs: pl.DataFrame) -> Seeds:
    """What runs scored; nothing for a setting of which no run has a value."""
    found: dict[tuple[str, Scored], dict[int, float]] = {}
    for column in get_args(Scored):
        for setting, seed, value in runs.select("setting", "seed", column).drop_nulls().iter_rows():
            found.setdefault((setting, column), {})[seed] = value
    return found


def drop(row: Row, contest: Contest) -> str:
    """A few words where the stricter score is worse by more than chance, else nothing."""
    if not contest.ranks_by_worse or row["mean"] is None or _control(row, contest) is None:
        return ""
    gap, error = _gap(row, contest), math.hypot(row["stderr"] or 0.0, row["control_stderr"] or 0.0)
    if not contest.on_moved_inputs:
        return UNSOUND if gap > 0 else ""
    symmetric = row["sampler"] != "none"
    if gap <= (2 * error or 0.05 * abs(row["mean"])) or (symmetric and not error):
        return ""
    return DROPS if symmetric else NOT_SYMMETRIC


def plainly(drops: Set[str], methods: str) -> str:
    """One sentence for the reader of plain scores, of methods with those :func:`drop`; empty where there are none."""
    if not drops:
        return ""
    if UNSOUND in drops:
        return f"All that is told apart counts, also by chance (see the leaderboard) for {methods}."
    return f"On inputs as they are; scores drop on moved inputs (see the leaderboard) for {methods}."


def column(contest: Contest) -> Column:
    return Column(title=_title(contest), why=f"Mean ± standard error over seeds: {_meaning(contest)}", numeric=True)


def cell(row: Row, contest: Contest) -> Cell:
    value = _control(row, contest)
    if value is None:
        return missing("Not measured: no run gave a value" if row["mean"] is None else "Not recorded by these runs")
    partly = row["control_seeds"] < row["seeds"]
    words = [note for note in (drop(row, contest), f"{counted(row['control_seeds'], 'seed')} only" * partly) if note]
    return Cell(
        text=estimate(value, row["control_stderr"]),
        sort=value,
        note="; ".join(words),
        why=_WHY.get(drop(row, contest), ""),
    )


def explanation(contest: Contest) -> str:
    """One sentence for the reader of the table; empty where the contest has no control."""
    if contest.control is None:
        return ""
    told = f"{_title(contest)}: {_meaning(contest)}"
    if contest.ranks_by_worse:
        return f"{told}; rows are ranked by the worse of the two means."
    return f"{told}; rows are ranked by {contest.metric} alone, which says little where this is far from 0."


def order(contest: Contest, rows: Iterable[Row]) -> list[Row]:
    """Best first, equals by their control where that is no score; then rows that are not ranked, then those without
    a value."""
    return sorted(rows, key=partial(_place, contest))


def _place(contest: Contest, row: Row) -> tuple[bool, bool, float, float, str]:
    sign = -1.0 if contest.direction == "max" else 1.0
    ranked = score(row, contest).mean
    value = row["mean"] if ranked is None else ranked
    control = _control(row, contest)
    beside = math.inf if contest.ranks_by_worse or control is None else control
    return row["mean"] is None, ranked is None, sign * (value or 0.0), beside, row["method"]


def _control(row: Row, contest: Contest) -> float | None:
    return row["control_mean"] if row["control_name"] == contest.control else None


def _gap(row: Row, contest: Contest) -> float:
    """By how much the plain score is better than the stricter one."""
    gap: float = row["mean"] - row["control_mean"]
    return gap if contest.direction == "max" else -gap


def _title(contest: Contest) -> str:
    if contest.ranks_by_worse:
        return "Moved inputs" if contest.on_moved_inputs else "Soundly"
    return (contest.control or "").replace("_", " ").capitalize()


def _meaning(contest: Contest) -> str:
    if not contest.ranks_by_worse:
        return _MEANINGS.get(contest.control or "", "should be 0")
    if contest.on_moved_inputs:
        return (
            f"{contest.metric} on the test set moved by random group elements, where a symmetric method scores the same"
        )
    return (
        "pairs that were never told apart, or with a structure that was told apart from a relabelled copy of itself "
        "too, as happens by chance where embeddings are random"
    )
