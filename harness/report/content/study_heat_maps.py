"""Heat maps of the published study: our numbers beside those of every published run, in the same colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.report.content import published
from harness.report.content.captions import caption
from harness.report.content.comparison_groups import Row
from harness.report.content.published_grids import PublishedGrid, PublishedStudy
from harness.report.content.sample_heat_maps import AXES, COLOURS, HOVER
from harness.report.rendering.figures import Figure, FigureGroup
from harness.report.rendering.formats import range_text
from harness.report.rendering.heat_map import Estimate, Numbers, common_scale, heat_map

NAMES = {"output_variance": "Output variance", "loss_variance": "Loss variance", "loss_mean": "Mean loss"}
"""The titles of the quantities of the table ``output_variance``."""


def study_heat_maps(
    id_: str,
    title: str,
    trained: Mapping[str, Sequence[Row]],
    theirs: PublishedStudy | None,
    examples: Sequence[int],
) -> FigureGroup | None:
    """Our map and the published ones for each method and quantity, or None if no map has several k in training.

    Args:
        id_: The id of the group.
        title: The title of the group.
        trained: The rows of the table ``output_variance`` of trained networks, by method.
        theirs: The published study.
        examples: The numbers of validation examples of our runs, as far as they are known.
    """
    figures: list[Figure] = []
    for method, rows in trained.items():
        grids = [grid for grid in theirs.trained if grid.method == method] if theirs else []
        if len({row["train_samples"] for row in rows} | {k for grid in grids for k in grid.train_samples}) < 2:
            continue
        for quantity, name in NAMES.items():
            published_ones = [grid for grid in grids if grid.quantity == quantity]
            figures += _beside(f"{name} of {method}", quantity, rows, published_ones, theirs, examples)
    if not figures:
        return None
    return FigureGroup(id=id_, title=title, chips=(), legend=(), figures=figures, remarks=(COLOURS,))


def _beside(
    title: str,
    quantity: str,
    rows: Sequence[Row],
    grids: Sequence[PublishedGrid],
    theirs: PublishedStudy | None,
    examples: Sequence[int],
) -> Iterator[Figure]:
    """Our map of one quantity, then those of the published runs, with the same rows, columns and colours."""
    trained = sorted({row["train_samples"] for row in rows} | {k for grid in grids for k in grid.train_samples})
    evaluated = sorted({row["samples"] for row in rows} | {k for grid in grids for k in grid.values})
    measured = {
        (row["train_samples"], row["samples"]): Estimate(row[quantity], row[f"{quantity}_stderr"])
        for row in rows
        if row[quantity] is not None
    }
    ours = Numbers(rows=trained, columns=evaluated, cells=measured)
    published_ones = [
        Numbers(
            rows=trained,
            columns=evaluated,
            cells={
                (k, samples): Estimate(value)
                for k in trained
                for samples in evaluated
                if (value := grid.at(k, samples)) is not None
            },
            missing="none",
        )
        for grid in grids
    ]
    scale = common_scale([ours, *published_ones])
    n = f"n = {range_text(examples)} validation examples; " if examples else "Validation set; "
    repeats = range_text(sorted({row["repeats"] for row in rows}))
    said = f"{n}{repeats} repeats; {caption(rows, HOVER, examples=())}"
    yield heat_map(f"{title}: ours", ours, AXES, scale, caption=said)
    for grid, numbers in zip(grids, published_ones, strict=True):
        of_theirs = f"; {theirs.repeats} repeats" if theirs else ""
        source = f"Published: {published.version(grid.version)}. Validation set{of_theirs}; one run, so no interval."
        yield heat_map(f"{title}: {grid.version}", numbers, AXES, scale, caption=source)
