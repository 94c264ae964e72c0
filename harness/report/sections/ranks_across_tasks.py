"""Mean ranks of methods over the tasks that all of them ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from harness.collate import Tables
from harness.report.content.badges import badges
from harness.report.content.captions import RANKS, caption
from harness.report.content.comparison_groups import Row
from harness.report.content.methods import method_cell
from harness.report.content.published import PROTOCOL
from harness.report.content.ranking import place_text
from harness.report.rendering.cells import Badge, Cell, Column, Table, missing
from harness.report.rendering.formats import between, counted, listed, plain


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A ranking of methods that ran the same tasks; ``is_main`` is true for the largest ranking of a protocol."""

    protocol: str
    is_main: bool
    table: Table
    remarks: tuple[str, ...]


def ranks_across_tasks(tables: Tables) -> list[Ranking]:
    """All rankings: the protocol ``paper`` first, and in each protocol the ranking with most values first."""
    styles = tables.accuracy.unique("method", keep="first").select("method", "sampler", "base_model", "weights")
    rows = tables.ranks.join(styles, on="method", how="left", maintain_order="left")
    grouped = rows.group_by("protocol", "ranking", maintain_order=True)
    marks = _badges(tables)
    found = [_ranking(place, part.to_dicts(), marks) for place, (_, part) in enumerate(grouped, start=1)]
    return sorted(found, key=lambda ranking: (ranking.protocol != PROTOCOL, ranking.protocol))


_Marks = Mapping[tuple[str, str, str | None], Mapping[str, Sequence[Badge]]]
"""Badges by protocol, method and source, then by task."""


def _badges(tables: Tables) -> _Marks:
    """The badges of the settings that have a score."""
    found: defaultdict[tuple[str, str, str | None], defaultdict[str, list[Badge]]] = defaultdict(
        lambda: defaultdict(list)
    )
    marks = badges(tables)
    for row in tables.accuracy.filter(pl.col("score").is_not_null()).iter_rows(named=True):
        key = row["protocol"], row["method"], row["source"]
        found[key][row["task"]] += marks[row["setting"], row["source"]]
    return found


def _over_tasks(row: Row, marks: _Marks) -> list[Badge]:
    """The badges of a method on the tasks of its ranking, each once; on hover, the tasks and the reasons."""
    of_method = marks.get((row["protocol"], row["method"], row["source"]), {})
    why: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for task in row["tasks"]:
        for badge in of_method.get(task, ()):
            why[badge.text][f"{task}: {badge.why}"] = None
    return [Badge(text=text, why=". ".join(reasons)) for text, reasons in why.items()]


def _ranking(place: int, rows: Sequence[Row], marks: _Marks) -> Ranking:
    ranked = [row for row in rows if row["rank"] is not None]
    tasks = rows[0]["tasks"]
    return Ranking(
        protocol=rows[0]["protocol"],
        is_main=rows[0]["ranking"] == 1,
        table=Table(
            id=f"ranks-{place}",
            caption=f"Mean rank over {counted(len(tasks), 'task')}: {listed(tasks, 12)}",
            columns=_COLUMNS,
            rows=[_cells(row, [other["place"] for other in ranked], _over_tasks(row, marks)) for row in ranked],
            basis=caption(ranked, RANKS, examples=()),
        ),
        remarks=tuple(_remarks(rows)),
    )


_COLUMNS = (
    Column(title="Method"),
    Column(title="Rank", why="1 + the number of methods with a better rank; = if methods share it", numeric=True),
    Column(
        title="Mean rank, 95 %",
        why="The mean over tasks, with an interval from a bootstrap over seeds within each task; 1 is the best",
        numeric=True,
    ),
    Column(
        title="No significant difference from",
        why="The methods from which this one does not differ significantly over all these tasks",
        wrap=True,
    ),
    Column(title="Seeds", why="The smallest number of runs that gave a value on one of the tasks", numeric=True),
    Column(title="Failed", why="The number of runs that failed, over all tasks", numeric=True),
)


def _cells(row: Row, places: list[int | None], marks: Sequence[Badge]) -> list[Cell]:
    rank, low, high = row["rank"], row["rank_low"], row["rank_high"]
    tied: list[Any] = row["tied_with"]
    return [
        replace(method_cell(row), badges=marks),
        missing("Not ranked: too few seeds")
        if row["place"] is None
        else Cell(text=place_text(row["place"], places), sort=row["place"]),
        Cell(text=plain(rank) if low is None else between(rank, low, high), sort=rank),
        Cell(text=listed(tied, 4), sort=len(tied), why=", ".join(tied))
        if tied
        else missing("Differs significantly from all others"),
        Cell(text=str(row["seeds"]), sort=row["seeds"]),
        Cell(text=str(row["failed"]), sort=row["failed"], mark="failed" if row["failed"] else ""),
    ]


def _remarks(rows: Sequence[Row]) -> Iterable[str]:
    absent = [row for row in rows if row["rank"] is None]
    without = [row["method"] for row in absent if not row["several"]]
    several = [row["method"] for row in absent if row["several"]]
    if without:
        yield f"Not compared, since they have no value on one of these tasks: {listed(without, 12)}."
    if several:
        yield f"Not compared, since only validation may choose one of their several settings: {listed(several, 12)}."
