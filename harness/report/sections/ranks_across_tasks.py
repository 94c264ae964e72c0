"""Methods ranked across tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.collate import Tables
from harness.report.content.comparison_groups import Row
from harness.report.content.published import PROTOCOL
from harness.report.content.ranking import place_text
from harness.report.rendering.cells import Cell, Column, Table, missing
from harness.report.rendering.formats import between, counted, listed, plain
from harness.report.sections.leaderboard import method_cell


@dataclass(frozen=True, kw_only=True)
class League:
    """Methods that ran the same tasks; ``is_main`` for the largest league of a protocol."""

    protocol: str
    is_main: bool
    table: Table
    remarks: tuple[str, ...]


def rank_leagues(tables: Tables) -> list[League]:
    """``paper`` first, and of each protocol the league with most values first."""
    looks = tables.accuracy.unique("method", keep="first").select("method", "sampler", "base_model", "weights")
    rows = tables.ranks.join(looks, on="method", how="left", maintain_order="left")
    grouped = rows.group_by("protocol", "ranking", maintain_order=True)
    found = [_league(place, part.to_dicts()) for place, (_, part) in enumerate(grouped, start=1)]
    return sorted(found, key=lambda league: (league.protocol != PROTOCOL, league.protocol))


def _league(place: int, rows: Sequence[Row]) -> League:
    ranked = [row for row in rows if row["rank"] is not None]
    tasks = rows[0]["tasks"]
    return League(
        protocol=rows[0]["protocol"],
        is_main=rows[0]["ranking"] == 1,
        table=Table(
            id=f"ranks-{place}",
            caption=f"Mean rank over {counted(len(tasks), 'task')}: {listed(tasks, 12)}",
            columns=_COLUMNS,
            rows=[_cells(row, [other["place"] for other in ranked]) for row in ranked],
        ),
        remarks=tuple(_remarks(rows)),
    )


_COLUMNS = (
    Column(title="Method"),
    Column(title="Place", why="1 + the number of methods at better places", numeric=True),
    Column(title="Mean rank, 95 %", why="Bootstrap over seeds within each task; 1 is the best", numeric=True),
    Column(
        title="Not told apart from",
        why="Methods between which and this one nothing decides over all these tasks",
        wrap=True,
    ),
    Column(title="Seeds", why="The fewest that gave a value on one of the tasks", numeric=True),
    Column(title="Failed", why="Runs that failed, over all tasks", numeric=True),
)


def _cells(row: Row, places: list[int | None]) -> list[Cell]:
    rank, low, high = row["rank"], row["rank_low"], row["rank_high"]
    tied: list[Any] = row["tied_with"]
    return [
        method_cell(row),
        missing("Not placed: too few seeds")
        if row["place"] is None
        else Cell(text=place_text(row["place"], places), sort=row["place"]),
        Cell(text=plain(rank) if low is None else between(rank, low, high), sort=rank),
        Cell(text=listed(tied, 4), sort=len(tied), why=", ".join(tied)) if tied else missing("Told apart from all"),
        Cell(text=str(row["seeds"]), sort=row["seeds"]),
        Cell(text=str(row["failed"]), sort=row["failed"], mark="failed" if row["failed"] else ""),
    ]


def _remarks(rows: Sequence[Row]) -> Iterable[str]:
    absent = [row for row in rows if row["rank"] is None]
    without = [row["method"] for row in absent if not row["several"]]
    several = [row["method"] for row in absent if row["several"]]
    if without:
        yield f"Not compared, for want of a value on one of these tasks: {listed(without, 12)}."
    if several:
        yield f"Not compared, since only validation may choose among their several settings: {listed(several, 12)}."
