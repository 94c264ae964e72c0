"""The winner of a task: the setting that is alone on the first place of its leaderboard."""

from __future__ import annotations

from harness.collate import Tables
from harness.collate.significance import LEAST_SEEDS
from harness.errors import SettingsError
from harness.report.content import control_metrics
from harness.report.content.comparison_groups import Row, by_task, comparison_groups
from harness.report.content.ranked_rows import ranked_rows


def winner(tables: Tables, task: str) -> Row:
    """The row of the winner in the first leaderboard of a task, which is that of the protocol ``paper`` if it has one.

    Raises:
        SettingsError: The task has no results, too few seeds, or several methods that do not differ.
    """
    rows = by_task(tables.accuracy).get(task)
    if not rows:
        raise SettingsError(f"There are no results of the task {task}: name a run by its digest.")
    group = comparison_groups(rows)[0]
    ranked = ranked_rows(group, control_metrics.scores_by_seed(tables.runs))
    found = ranked.standings
    if not found.tested:
        raise SettingsError(
            f"{task} has no winner yet: fewer than two methods have {LEAST_SEEDS} seeds. Name a run by its digest."
        )
    first = [row for row, place in zip(ranked.rows, found.places, strict=True) if place == 1]
    if len(first) > 1:
        names = ", ".join(row["method"] for row in first)
        raise SettingsError(f"{task} has no single winner: {names} share the first place. Name a run by its digest.")
    return first[0]
