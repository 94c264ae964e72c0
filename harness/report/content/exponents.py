"""The table of exponents: how time, memory and variance of each method grow with the size of the group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from harness.report.content.badges import Badges
from harness.report.content.captions import T_INTERVAL, caption
from harness.report.content.comparison_groups import Row
from harness.report.content.curve_tables import interval_cell
from harness.report.content.curves import Curve, above_rounding
from harness.report.content.devices import DEVICE, device_text
from harness.report.content.methods import method_cell
from harness.report.rendering.cells import Cell, Column, Table, missing
from harness.report.rendering.formats import range_text

COSTS = (("Time", "seconds"), ("Memory", "memory"))
FIT = "Each exponent is fitted in logarithms to the means over seeds at each size; two sizes have no interval."


def exponent_table(
    id_: str,
    chips: Sequence[str],
    rows: Sequence[Row],
    labels: Mapping[str, str],
    marks: Badges,
    measure: str | None,
) -> Table | None:
    """One row for each method on each device; None if no method has an exponent.

    Args:
        id_: The id of the table.
        chips: What distinguishes the table from others of its task.
        rows: Rows of the table ``scaling``.
        labels: The label of each setting; a method with one row has none.
        marks: The badges of the settings.
        measure: The measure of the group that grows with the size, such as ``ln |G|``.
    """
    curves = [curve for curve in _by_device(rows) if _sizes(curve) > 1]
    if not curves:
        return None
    several_devices = len({row["device"] for row in rows}) > 1
    rows_of = Counter((curve[0]["method"], curve[0]["device"]) for curve in curves)
    notes = [labels[c[0]["setting"]] if rows_of[c[0]["method"], c[0]["device"]] > 1 else "" for c in curves]
    return Table(
        id=id_,
        caption=": ".join(("Exponents of time, memory and variance", *chips)),
        columns=list(_columns(rows[0], measure, several_devices)),
        rows=[
            [method_cell(curve[0], note, marks), *_cells(curve, measure, several_devices, curves)]
            for curve, note in zip(curves, notes, strict=True)
        ],
        remark=f"{caption((row for curve in curves for row in curve), T_INTERVAL, examples=())} {FIT}",
    )


def _by_device(rows: Iterable[Row]) -> list[Curve]:
    grouped: defaultdict[tuple[str, str, str | None], Curve] = defaultdict(list)
    for row in rows:
        grouped[row["method"], row["series"], row["device"]].append(row)
    return [grouped[key] for key in sorted(grouped, key=lambda key: (*key[:2], key[2] or ""))]


def _columns(row: Row, measure: str | None, several_devices: bool) -> Iterable[Column]:
    size = row["size_name"] or "size"
    yield Column(title="Method")
    if several_devices:
        yield Column(title="Device", why="The device on which time and memory were measured")
    yield Column(title="Sizes", why=f"The number of different {size} n that the fit is over", numeric=True)
    for cost, _ in COSTS:
        yield Column(title=f"{cost} in n", why=f"The exponent a if {cost.lower()} grows as n^a", numeric=True)
        if measure:
            why = f"The exponent a if {cost.lower()} grows as ({measure})^a"
            yield Column(title=f"{cost} in {measure}", why=why, numeric=True)
    why = "The exponent a if the variance of one group sample grows as n^a, over the sizes of all devices"
    yield Column(title="Variance in n", why=why, numeric=True)
    yield Column(title="Seeds", why="The number of runs at each size that gave a value", numeric=True)


def _cells(curve: Curve, measure: str | None, several_devices: bool, shown: Sequence[Curve]) -> list[Cell]:
    row = curve[0]
    sizes = _sizes(curve)
    seeds = [one["seeds"] for one in curve]
    by = ("exponent", "group_exponent") if measure else ("exponent",)
    return [
        *([Cell(text=device_text(row, DEVICE), sort=row["device"])] if several_devices else []),
        Cell(text=str(sizes), sort=sizes, why=", ".join(str(n) for n in sorted({one["size"] for one in curve}))),
        *(interval_cell(row, f"{cost}_{name}", "Not measured at two sizes") for _, cost in COSTS for name in by),
        _variance(curve, shown),
        Cell(text=range_text(seeds), sort=max(seeds)),
    ]


def _variance(curve: Curve, shown: Sequence[Curve]) -> Cell:
    if all(row["variance"] is None for row in curve):
        return missing("Not measured at k = 1")
    if len(above_rounding(curve, shown)) < len(curve):
        return missing("The variance is zero, a rounding error or not measured at some size")
    return interval_cell(curve[0], "variance_exponent", "Not measured at two sizes")


def _sizes(curve: Curve) -> int:
    return len({row["size"] for row in curve})
