"""Heat maps of k in training by k at evaluation, of methods that were trained with several k."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.report.content.captions import STDERR, caption
from harness.report.content.comparison_groups import ComparisonGroup, Row
from harness.report.content.curves import Curve, is_flat
from harness.report.content.titles import better
from harness.report.rendering.figures import Figure, FigureGroup, Series
from harness.report.rendering.formats import listed
from harness.report.rendering.heat_map import Estimate, Numbers, common_scale, heat_map

MAX_METHODS = 4
AXES = ("k in training", "k at evaluation")
"""What the rows of the maps are by, and what the columns are by."""
COLOURS = "The larger a number, the stronger its colour. Maps of one quantity share their scale of colours."
HOVER = f"on hover, {STDERR}"


class _Quantity(NamedTuple):
    """A quantity of the table ``sample_complexity``: how it is called, what is better, and its columns."""

    name: str
    better: str
    value: str
    stderr: str


def sample_heat_maps(
    id_: str,
    comparison_group: ComparisonGroup,
    methods: Sequence[tuple[Series, Sequence[Curve]]],
    examples: Mapping[str, int],
) -> FigureGroup | None:
    """A heat map for each method and quantity, or None without a method that was trained with several k.

    Args:
        id_: The id of the group.
        comparison_group: The rows that may be compared.
        methods: Series and curves of the methods, one curve for each k in training.
        examples: The number of test examples of each setting.
    """
    sampled = [(of, [row for curve in curves if not is_flat(curve) for row in curve]) for of, curves in methods]
    several = [(of, rows) for of, rows in sampled if len({row["train_samples"] for row in rows} - {None}) > 1]
    if not several:
        return None
    protocol = f"protocol {comparison_group.protocol}"
    left_out = [of.name for of, _ in several[MAX_METHODS:]]
    remarks = [COLOURS, *([f"No heat maps, only tables: {listed(left_out, 12)}."] if left_out else [])]
    return FigureGroup(
        id=id_,
        title=f"{comparison_group.task}, {protocol}",
        chips=(protocol, *comparison_group.chips),
        legend=(),
        figures=list(_figures(comparison_group, several[:MAX_METHODS], examples)),
        remarks=remarks,
    )


def _figures(
    comparison_group: ComparisonGroup, methods: Sequence[tuple[Series, Sequence[Row]]], examples: Mapping[str, int]
) -> Iterator[Figure]:
    quantities = (
        _Quantity(comparison_group.metric, f" ({better(comparison_group.direction)})", "mean", "stderr"),
        _Quantity("Estimator variance", "", "variance", "variance_stderr"),
        _Quantity("Equivariance error", "", "equivariance", "equivariance_stderr"),
    )
    maps = {of: [_numbers(rows, of) for _, rows in methods] for of in quantities}
    scales = {of: common_scale(found) for of, found in maps.items()}
    for place, (series, rows) in enumerate(methods):
        sizes = [examples[setting] for setting in {row["setting"] for row in rows} if setting in examples]
        said = caption(rows, HOVER, examples=sizes)
        for of in quantities:
            if any(cell.value for cell in maps[of][place].cells.values()):
                title = f"{of.name} of {series.name} by both k{of.better}"
                yield heat_map(title, maps[of][place], AXES, scales[of], caption=said)


def _numbers(rows: Sequence[Row], of: _Quantity) -> Numbers:
    known = [row for row in rows if row["train_samples"] is not None]
    return Numbers(
        rows=sorted({row["train_samples"] for row in known}),
        columns=sorted({row["samples"] for row in known}),
        cells={
            (row["train_samples"], row["samples"]): Estimate(row[of.value], row[of.stderr])
            for row in known
            if row[of.value] is not None
        },
    )
