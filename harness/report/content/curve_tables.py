"""Tables of curves over the number of group samples k."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from harness.report.content.comparison_groups import ComparisonGroup, Row
from harness.report.content.curves import Curve, is_flat
from harness.report.content.methods import method_cell
from harness.report.content.titles import arrow
from harness.report.rendering.cells import Cell, Column, Table, missing, number
from harness.report.rendering.formats import counted, estimate, plain, range_text, small

TRAINED = Column(title="Trained with k", why="Group samples per example in training", numeric=True)


def curve_tables(
    id_: str, comparison_group: ComparisonGroup, curves: Sequence[Curve], labels: Mapping[str, str]
) -> tuple[Table, ...]:
    """Tables of the metric, the variance and (if measured) the equivariance error by k, and of the samples needed.

    Args:
        id_: The start of the ids of the tables.
        comparison_group: The rows that may be compared.
        curves: One curve for each setting.
        labels: The label of each setting.
    """
    what = f"{comparison_group.metric} {arrow(comparison_group.direction)} by number of group samples k"
    measured = any(row["equivariance"] is not None for curve in curves for row in curve)
    errors = _table(f"{id_}-equivariance", "Equivariance error by number of group samples k", curves, labels, _error)
    return (
        _table(f"{id_}-metric", what, curves, labels, _quality),
        _table(f"{id_}-variance", "Estimator variance by number of group samples k", curves, labels, _variance),
        *([errors] if measured else []),
        _convergence(f"{id_}-convergence", comparison_group, curves, labels),
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


def _convergence(
    id_: str, comparison_group: ComparisonGroup, curves: Sequence[Curve], labels: Mapping[str, str]
) -> Table:
    return Table(
        id=id_,
        caption="How many samples are enough",
        columns=[
            Column(title="Method"),
            TRAINED,
            Column(
                title=f"Limit of {comparison_group.metric} {arrow(comparison_group.direction)}",
                why="The metric as k goes to infinity, extrapolated over 1/k from the last decade of k",
                numeric=True,
            ),
            Column(
                title="Samples to within 1 %",
                why="The smallest k from which on the metric stays within 1 % of its limit, with its 95 % interval "
                "over seeds",
                numeric=True,
            ),
            Column(
                title="Slope of variance",
                why="d log variance / d log k with its 95 % interval over seeds. It is -1 for a Monte Carlo average",
                numeric=True,
            ),
            Column(
                title="Slope of equivariance error",
                why="d log error / d log k with its 95 % interval over seeds. It is -0.5 for a Monte Carlo average",
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
    """The number of group samples in training."""
    if is_flat(curve):
        return missing("The method brings its own samples, also in training")
    k = curve[0]["train_samples"]
    return number(k, str(k), why_missing="Not recorded")


def needed_cell(row: Row, *, flat: bool = False) -> Cell:
    """The samples needed to be within 1 % of the limit: ``100 [50, > 500]``.

    A number that is larger than every k that was measured is known only as such, here ``> 500``.

    Args:
        row: A row with ``samples_needed``, the ends of its interval and ``samples_most``, the largest k measured.
        flat: Whether the method has the same values at every k.
    """
    if flat:
        return Cell(text="any", sort=0, why="The method brings its own samples, so k changes nothing")
    needed, low, high = (row[f"samples_needed{end}"] for end in ("", "_low", "_high"))
    if needed is None:
        return missing("The metric varies by more than 1 % by chance, or no run has a complete curve")

    def shown(k: float) -> str:
        return f"> {row['samples_most']:,}" if math.isinf(k) else f"{k:,.0f}"

    interval = "" if low is None or high is None else f" [{shown(low)}, {shown(high)}]"
    why = "Not even the largest k measured is within 1 % of the limit" if math.isinf(needed) else ""
    return Cell(text=shown(needed) + interval, sort=1e300 if math.isinf(needed) else needed, why=why)


def interval_cell(row: Row, name: str, why_missing: str) -> Cell:
    """A number with its interval, if that is known: ``-1.02 [-1.05, -0.98]``.

    Args:
        row: A row with the columns ``name``, ``name_low`` and ``name_high``.
        name: The name of the column.
        why_missing: The explanation if there is no value.
    """
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return missing(why_missing)
    ends = "" if low is None or high is None else f" [{_hundredths(low)}, {_hundredths(high)}]"
    return Cell(text=f"{_hundredths(value)}{ends}", sort=value)


def _hundredths(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # no negative zero


def _slope(curve: Curve, name: str) -> Cell:
    if is_flat(curve):
        return missing("The method brings its own samples, so k changes nothing")
    return interval_cell(curve[0], name, "Not measured, zero at some k, or measured at one k only")


def _quality(row: Row) -> Cell | None:
    if row["mean"] is None:
        return None
    return Cell(text=estimate(row["mean"], row["stderr"]), sort=row["mean"], why=counted(row["seeds"], "seed"))


def _variance(row: Row) -> Cell | None:
    if row["variance"] is None:
        return None
    why = "" if row["variance"] else "Exactly zero: the prediction is deterministic"
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
    return Cell(text=range_text([row["seeds"] for row in curve]), sort=max(row["seeds"] for row in curve))
