"""Curves of methods whose score by k is not the score that ranks them.

A curve is measured by the metric alone. If the stricter form of the metric is worse by more than chance explains, the
curve would show a better value than the one that ranks the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.control_metrics import NOT_SYMMETRIC, UNSOUND, Score, drop, score
from harness.report.content.curves import Curve
from harness.report.rendering.formats import listed

NO_SCORE = Score(mean=None, stderr=None)
WITHHELD = "The score that ranks this method was not measured by k"

RankedScores = Mapping[tuple[str, str | None], Score]
"""By setting and source, the score at every k; a setting that is ranked by what its curve shows has no entry."""


def ranked_scores(accuracy: pl.DataFrame) -> RankedScores:
    """The scores of settings whose curves show another value.

    A method that is not symmetric has no sampler, so its score is the same at every k. What a method separates soundly
    is known for the k of its test only, and for all pairs and not for those of the curve.
    """
    groups = (one for rows in by_task(accuracy).values() for one in comparison_groups(rows))
    found = ((row, _at_every_k(row, one)) for one in groups for row in one.rows)
    return {(row["setting"], row["source"]): known for row, known in found if known is not None}


def _at_every_k(row: Row, comparison_group: ComparisonGroup) -> Score | None:
    mark = drop(row, comparison_group)
    if mark == NOT_SYMMETRIC:
        return score(row)
    is_unranked = row["score"] is None and row["mean"] is not None
    return NO_SCORE if mark == UNSOUND or is_unranked else None


def scored_curve(curve: Curve, ranked: RankedScores) -> Curve:
    """The curve with the score that ranks the method, or without one where it is not known."""
    found = ranked.get((curve[0]["setting"], curve[0]["source"]))
    if found is None:
        return curve
    known = {"mean": found.mean, "stderr": found.stderr, "limit": found.mean}
    if found is NO_SCORE:
        known |= dict.fromkeys(("samples_needed", "samples_needed_low", "samples_needed_high"))
    return [{**row, **known, "withheld": found is NO_SCORE} for row in curve]


def score_remarks(curves: Sequence[Curve], ranked: RankedScores, metric: str) -> Iterable[str]:
    """Sentences about the curves that :func:`scored_curve` has changed."""
    scores = {curve[0]["method"]: ranked.get((curve[0]["setting"], curve[0]["source"])) for curve in curves}
    if withheld := sorted(method for method, found in scores.items() if found is NO_SCORE):
        yield f"The score that ranks these methods was not measured by k, so none is shown: {listed(withheld, 12)}."
    if moved := sorted(method for method, found in scores.items() if found and found is not NO_SCORE):
        yield f"Ranked and shown by {metric} on transformed inputs, on the whole test set: {listed(moved, 12)}."
