"""The winner of a task: the setting that is alone on the first place of its leaderboard."""

from __future__ import annotations

import numpy as np

from harness.collate import Tables
from harness.collate.significance import LEAST_SEEDS, by_seed
from harness.collate.standings import standings
from harness.errors import SettingsError
from harness.report.content import control_metrics
from harness.report.content.comparison_groups import Row, by_task, comparison_groups


def winner(tables: Tables, task: str) -> Row:
    """The row of the winner in the first leaderboard of a task, which is that of the protocol ``paper`` if it has one.

    Raises:
        SettingsError: The task has no results, too few seeds, or several methods that do not differ.
    """
    rows = by_task(tables.accuracy).get(task)
    if not rows:
        raise SettingsError(f"There are no results of the task {task}: name a run by its digest.")
    group = comparison_groups(rows)[0]
    best_first = control_metrics.best_first(group.rows, group)
    sign = 1.0 if group.direction == "max" else -1.0
    ranked_by = [control_metrics.score(row, group) for row in best_first]
    scores = control_metrics.scores_by_seed(tables.runs)
    of_rows = [scores.get((row["setting"], one.column), {}) for row, one in zip(best_first, ranked_by, strict=True)]
    values = np.array([np.nan if one.mean is None else sign * one.mean for one in ranked_by])
    found = standings([sign * by_seed(of_rows)], values)
    if not found.tested:
        raise SettingsError(
            f"{task} has no winner yet: fewer than two methods have {LEAST_SEEDS} seeds. Name a run by its digest."
        )
    first = [row for row, place in zip(best_first, found.places, strict=True) if place == 1]
    if len(first) > 1:
        names = ", ".join(row["method"] for row in first)
        raise SettingsError(f"{task} has no single winner: {names} share the first place. Name a run by its digest.")
    return first[0]
