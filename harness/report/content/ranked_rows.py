"""The rows of a comparison group from best to worst, with the values, places and marks by which they are ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.collate.bootstrap import Array
from harness.collate.significance import by_seed
from harness.collate.standings import Standings, standings
from harness.report.content import control_metrics
from harness.report.content.comparison_groups import ComparisonGroup, Row
from harness.report.content.ranking import significance_marks
from harness.report.rendering.cells import Mark


@dataclass(frozen=True, kw_only=True)
class RankedRows:
    """The ranking of one comparison group, with one entry for each row in every field.

    Attributes:
        rows: The rows, best first.
        scores: The scores by which the rows are ranked.
        seeds: The number of seeds of each score.
        values: The scores, negated if lower is better, so that higher is better; NaN for rows that are not ranked.
        standings: The places, and which rows differ significantly.
        marks: How the rows are marked.
    """

    rows: Sequence[Row]
    scores: Sequence[control_metrics.Score]
    seeds: Sequence[int]
    values: Array
    standings: Standings
    marks: Sequence[Mark]

    @property
    def placed(self) -> list[int]:
        """The indices of the rows that have a place, best first."""
        return [index for index, place in enumerate(self.standings.places) if place is not None]


def ranked_rows(comparison_group: ComparisonGroup, by_setting: control_metrics.SeedScores) -> RankedRows:
    """Ranks the rows of a group.

    Args:
        comparison_group: The group.
        by_setting: The scores of all runs.
    """
    rows = control_metrics.best_first(comparison_group.rows, comparison_group)
    sign = 1.0 if comparison_group.direction == "max" else -1.0
    scores = [control_metrics.score(row) for row in rows]
    values = np.array([np.nan if one.mean is None else sign * one.mean for one in scores])
    of_rows = [by_setting.get((row["setting"], row["source"]), {}) for row in rows]
    found = standings([sign * by_seed(of_rows)], values)
    return RankedRows(
        rows=rows,
        scores=scores,
        seeds=[len(of_row) for of_row in of_rows],
        values=values,
        standings=found,
        marks=significance_marks(found, values),
    )
