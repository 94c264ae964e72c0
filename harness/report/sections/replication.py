"""The numbers of papers beside ours, with the difference in standard deviations over our seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.collate import Tables
from harness.report.content import published
from harness.report.content.badges import Badges, badges
from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.methods import method_cell
from harness.report.content.published import Published
from harness.report.content.settings import Changes, changed_settings, protocol_text
from harness.report.content.titles import arrow
from harness.report.rendering.cells import Cell, Column, Table, missing
from harness.report.rendering.formats import estimate


def replication(tables: Tables) -> Table:
    """One row for each of our settings and each published number that is nearest to it in k and sampler."""
    changes, marks = changed_settings(tables.runs), badges(tables)
    rows = [
        row
        for rows in by_task(tables.accuracy).values()
        for comparison_group in comparison_groups(rows)
        for row in _rows(comparison_group, changes, marks)
    ]
    columns = [
        Column(title="Method"),
        Column(title="Task"),
        Column(title="Protocol"),
        Column(title="Metric"),
        Column(title="Paper", why="What the paper reports", numeric=True),
        Column(title="Ours", why="The metric as the paper has it: mean ± standard error over seeds", numeric=True),
        Column(
            title="Difference in SD",
            why="Our mean minus the paper's number, in standard deviations over our seeds: about what another seed of "
            "ours would change. The spread of the paper is not known. Missing if the two cannot be compared",
            numeric=True,
        ),
        Column(title="Seeds", why="The number of our runs that gave a value", numeric=True),
        Column(title="Comparable", why="Whether these runs have the settings and data of the paper", wrap=True),
        Column(title="Version", why="Which run of the paper, or which version of it", wrap=True),
        Column(title="Source", wrap=True),
    ]
    return Table(id="papers-table", caption="The numbers of papers beside ours", columns=columns, rows=rows)


def difference_in_sd(ours: float, stderr: float, seeds: int, theirs: float) -> float:
    """The difference ``ours - theirs`` in standard deviations over seeds.

    Args:
        ours: Our mean.
        stderr: Our standard error, the standard deviation over seeds divided by sqrt(seeds).
        seeds: The number of our seeds.
        theirs: The published number.
    """
    return (ours - theirs) / (stderr * seeds**0.5)


def _rows(comparison_group: ComparisonGroup, changes: Changes, marks: Badges) -> Iterable[list[Cell]]:
    papers = published.results(comparison_group.task, comparison_group.metric, comparison_group.params)
    for row in comparison_group.rows:
        if found := papers.get(row["method"]):
            for paper in published.nearest_results(found, row, changes[row["setting"]]):
                yield _row(row, comparison_group, paper, changes, marks)


def _row(row: Row, comparison_group: ComparisonGroup, paper: Published, changes: Changes, marks: Badges) -> list[Cell]:
    own = changes[row["setting"]]
    reasons = published.differences_from(paper, row, comparison_group.protocol, comparison_group.variant, own)
    ours = estimate(row["mean"], row["stderr"])
    protocol = protocol_text(comparison_group.protocol, own)
    return [
        method_cell(row, row["setting_label"] or "", marks),
        Cell(text=comparison_group.task, sort=comparison_group.task, code=True),
        Cell(text=protocol, sort=protocol, note="; ".join(comparison_group.chips)),
        Cell(text=f"{comparison_group.metric} {arrow(comparison_group.direction)}", sort=comparison_group.metric),
        Cell(text=paper.shown, sort=paper.value, note="; ".join(paper.qualifiers), why=paper.note),
        missing("No run gave a finite value") if row["mean"] is None else Cell(text=ours, sort=row["mean"]),
        _difference_cell(row, comparison_group, paper, reasons),
        Cell(text=str(row["seeds"]), sort=row["seeds"]),
        Cell(text=f"no: {'; '.join(reasons.values())}" if reasons else "yes", sort=len(reasons)),
        Cell(text=published.version(paper.version), sort=paper.version),
        Cell(text=published.source(paper), sort=paper.source),
    ]


def _difference_cell(row: Row, comparison_group: ComparisonGroup, paper: Published, reasons: Mapping[str, str]) -> Cell:
    if paper.value is None:
        return missing("The paper states this in words only")
    if reasons:
        return missing(f"Not what the paper ran: {'; '.join(reasons.values())}")
    if row["mean"] is None:
        return missing("No run gave a finite value")
    if row["stderr"] is None:
        return missing("One seed: no standard deviation")
    if not row["stderr"]:
        return missing("All seeds gave the same number: no standard deviation")
    found = difference_in_sd(row["mean"], row["stderr"], row["seeds"], paper.value)
    good = found > 0 if comparison_group.direction == "max" else found < 0
    return Cell(text=f"{found:+.1f}", sort=found, note="better" if good else "worse")
