"""The tables of curves over group samples, and of how they converge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from harness.report.content.comparison_groups import Contest, Row
from harness.report.content.titles import arrow
from harness.report.rendering.cells import Cell, Column, Table, missing, number
from harness.report.rendering.formats import counted, estimate, plain, small
from harness.report.sections.leaderboard import method_cell

Curve = list[Row]
"""Points of one setting, by rising k."""

TRAINED = Column(title="Trained with k", why="Group samples per example in training", numeric=True)


def is_flat(curve: Curve) -> bool:
    """Whether a method brings its own samples, so that it has the same numbers at every k."""
    return len(curve) > 1 and len({(row["mean"], row["variance"]) for row in curve}) == 1


def curve_tables(id_: str, contest: Contest, curves: Sequence[Curve], labels: Mapping[str, str]) -> tuple[Table, ...]:
    """Metric, variance and, where it was measured, equivariance error by k; then how many samples are enough."""
    what = f"{contest.metric} {arrow(contest.direction)} by number of group samples k"
    measured = any(row["equivariance"] is not None for curve in curves for row in curve)
    errors = _table(f"{id_}-equivariance", "Equivariance error by number of group samples k", curves, labels, _error)
    return (
        _table(f"{id_}-metric", what, curves, labels, _quality),
        _table(f"{id_}-variance", "Estimator variance by number of group samples k", curves, labels, _variance),
        *([errors] if measured else []),
        _convergence(f"{id_}-convergence", contest, curves, labels),
    )


def _table(
    id_: str,
    caption: str,
    curves: Sequence[Curve],
    labels: Mapping[str, str],
    cell: Callable[[Row], Cell | None],
) -> Table:
    samples = sorted({row["samples"] for curve in curves for row in curve})
    return Table(
        id=id_,
        caption=caption,
        columns=[
            Column(title="Method"),
            TRAINED,
            *(Column(title=f"k = {k}", numeric=True) for k in samples),
            _seeds_column(),
        ],
        rows=[
            [
                method_cell(curve[0], labels[curve[0]["setting"]]),
                trained_cell(curve),
                *(_at(curve, k, cell) for k in samples),
                _seeds(curve),
            ]
            for curve in curves
        ],
    )


def _convergence(id_: str, contest: Contest, curves: Sequence[Curve], labels: Mapping[str, str]) -> Table:
    return Table(
        id=id_,
        caption="How many samples are enough",
        columns=[
            Column(title="Method"),
            TRAINED,
            Column(
                title=f"Limit of {contest.metric} {arrow(contest.direction)}",
                why="The metric for k to infinity, read off its last decade of k against 1/k",
                numeric=True,
            ),
            Column(
                title="Samples to within 1 %",
                why="The smallest k from which on the metric is within 1 % of its limit, with its 95 % interval over "
                "seeds",
                numeric=True,
            ),
            Column(
                title="Slope of variance",
                why="d log variance / d log k with its 95 % interval over seeds; Monte Carlo has -1",
                numeric=True,
            ),
            Column(
                title="Slope of equivariance error",
                why="d log error / d log k with its 95 % interval over seeds; Monte Carlo has -0.5",
                numeric=True,
            ),
            _seeds_column(),
        ],
        rows=[
            [
                method_cell(curve[0], labels[curve[0]["setting"]]),
                trained_cell(curve),
                number(curve[0]["limit"], plain(curve[0]["limit"]), why_missing="No run has a complete curve"),
                needed_cell(curve[0], flat=is_flat(curve)),
                _slope(curve, "variance_slope"),
                _slope(curve, "equivariance_slope"),
                _seeds(curve),
            ]
            for curve in curves
        ],
    )


def trained_cell(curve: Curve) -> Cell:
    if is_flat(curve):
        return missing("Brings its own samples, in training too")
    k = curve[0]["train_samples"]
    return number(k, str(k), why_missing="Not recorded")


def needed_cell(row: Row, *, flat: bool = False) -> Cell:
    """``100 [50, > 500]``: the samples to within 1 % of the limit; what was censored is larger than all measured."""
    if flat:
        return Cell(text="any", sort=0, why="Brings its own samples: the same at every k")
    needed, low, high = (row[f"samples_needed{end}"] for end in ("", "_low", "_high"))
    if needed is None:
        return missing("Chance moves the metric by more than 1 %, or no run has a complete curve")

    def shown(k: float) -> str:
        return f"> {row['samples_most']:,}" if math.isinf(k) else f"{k:,.0f}"

    interval = "" if low is None or high is None else f" [{shown(low)}, {shown(high)}]"
    why = "Not even the largest k measured is within 1 % of the limit" if math.isinf(needed) else ""
    return Cell(text=shown(needed) + interval, sort=1e300 if math.isinf(needed) else needed, why=why)


def interval_cell(row: Row, name: str, why_missing: str) -> Cell:
    """``-1.02 [-1.05, -0.98]``; without its ends where nothing is known of them."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return missing(why_missing)
    ends = "" if low is None or high is None else f" [{_hundredths(low)}, {_hundredths(high)}]"
    return Cell(text=f"{_hundredths(value)}{ends}", sort=value)


def _hundredths(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # no negative zero


def _slope(curve: Curve, name: str) -> Cell:
    if is_flat(curve):
        return missing("Brings its own samples: the same at every k")
    return interval_cell(curve[0], name, "Not measured, zero at some k, or at one k only")


def _quality(row: Row) -> Cell | None:
    if row["mean"] is None:
        return None
    return Cell(text=estimate(row["mean"], row["stderr"]), sort=row["mean"], why=counted(row["seeds"], "seed"))


def _variance(row: Row) -> Cell | None:
    if row["variance"] is None:
        return None
    why = "" if row["variance"] else "Exactly zero: no chance in the prediction"
    return Cell(text=small(row["variance"]), sort=row["variance"], why=why)


def _error(row: Row) -> Cell | None:
    if row["equivariance"] is None:
        return None
    return Cell(text=small(row["equivariance"]), sort=row["equivariance"])


def _at(curve: Curve, k: int, cell: Callable[[Row], Cell | None]) -> Cell:
    row = next((row for row in curve if row["samples"] == k), None)
    if row is None:
        return missing(f"Not evaluated at k = {k}")
    return cell(row) or missing("No finite value")


def _seeds_column() -> Column:
    return Column(title="Seeds", why="Runs that gave a value", numeric=True)


def _seeds(curve: Curve) -> Cell:
    return Cell(text=span([row["seeds"] for row in curve]), sort=max(row["seeds"] for row in curve))


def span(values: Sequence[int]) -> str:
    """``20 to 40``, or the one value there is."""
    low, high = f"{min(values):,}", f"{max(values):,}"
    return low if low == high else f"{low} to {high}"
