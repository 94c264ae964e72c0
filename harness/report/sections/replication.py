"""The papers' numbers beside ours: how far apart they are, in standard deviations over our seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.collate import Tables
from harness.report.content import published
from harness.report.content.comparison_groups import Contest, Row, contests
from harness.report.content.published import Published
from harness.report.content.settings import Changes, changed_settings
from harness.report.content.titles import arrow
from harness.report.rendering.cells import Cell, Column, Table, missing
from harness.report.rendering.formats import estimate
from harness.report.sections.leaderboard import by_task, method_cell


def replication(tables: Tables) -> Table:
    """One row for each setting of ours and each published number that is nearest to it in k and sampler."""
    changes = changed_settings(tables.runs)
    rows = [
        row
        for rows in by_task(tables.accuracy).values()
        for contest in contests(rows)
        for row in _contest(contest, changes)
    ]
    columns = [
        Column(title="Method"),
        Column(title="Task"),
        Column(title="Protocol"),
        Column(title="Metric"),
        Column(title="Paper", why="What the paper reports", numeric=True),
        Column(title="Ours", why="Mean ± standard error over seeds", numeric=True),
        Column(
            title="Difference in SD",
            why="Ours less the paper's, in standard deviations over our seeds: what another seed of ours would give. "
            "The paper's own spread is not known. None where the two are not comparable",
            numeric=True,
        ),
        Column(title="Seeds", why="Of ours, which gave a value", numeric=True),
        Column(title="Comparable", why="Whether these runs are what the paper ran", wrap=True),
        Column(title="Version", why="Which run of the paper's, or which version of the paper", wrap=True),
        Column(title="Source", wrap=True),
    ]
    return Table(id="papers-table", caption="The papers' numbers beside ours", columns=columns, rows=rows)


def difference(ours: float, stderr: float, seeds: int, theirs: float) -> float:
    """Ours less theirs in standard deviations over seeds, of which ``stderr`` is 1 / sqrt(seeds)."""
    return (ours - theirs) / (stderr * seeds**0.5)


def _contest(contest: Contest, changes: Changes) -> Iterable[list[Cell]]:
    papers = published.results(contest.task, contest.metric, contest.params)
    for row in contest.rows:
        if found := papers.get(row["method"]):
            for paper in published.closest(found, row, changes[row["setting"]]):
                yield _row(row, contest, paper, changes)


def _row(row: Row, contest: Contest, paper: Published, changes: Changes) -> list[Cell]:
    own = changes[row["setting"]]
    reasons = published.differences_from(paper, row, contest.protocol, contest.variant, own)
    ours = estimate(row["mean"], row["stderr"])
    return [
        method_cell(row, row["setting_label"] or ""),
        Cell(text=contest.task, sort=contest.task, code=True),
        Cell(text=contest.protocol, sort=contest.protocol, note="; ".join(contest.chips)),
        Cell(text=f"{contest.metric} {arrow(contest.direction)}", sort=contest.metric),
        Cell(text=paper.shown, sort=paper.value, note="; ".join(paper.marks), why=paper.note),
        missing("No run gave a finite value") if row["mean"] is None else Cell(text=ours, sort=row["mean"]),
        _difference_cell(row, contest, paper, reasons),
        Cell(text=str(row["seeds"]), sort=row["seeds"]),
        Cell(text=f"no: {'; '.join(reasons.values())}" if reasons else "yes", sort=len(reasons)),
        Cell(text=published.version(paper.version), sort=paper.version),
        Cell(text=published.source(paper), sort=paper.source),
    ]


def _difference_cell(row: Row, contest: Contest, paper: Published, reasons: Mapping[str, str]) -> Cell:
    if paper.value is None:
        return missing("The paper says it in words")
    if reasons:
        return missing(f"Not what the paper ran: {'; '.join(reasons.values())}")
    if row["mean"] is None:
        return missing("No run gave a finite value")
    if row["stderr"] is None:
        return missing("One seed: no standard deviation")
    if not row["stderr"]:
        return missing("All seeds gave the same number: no standard deviation")
    found = difference(row["mean"], row["stderr"], row["seeds"], paper.value)
    good = found > 0 if contest.direction == "max" else found < 0
    return Cell(text=f"{found:+.1f}", sort=found, note="better" if good else "worse")
