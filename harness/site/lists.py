"""The tables that only a site has: its tasks, its methods, its sources, and all results of one method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from harness.report.content.methods import method_cell
from harness.report.content.titles import card_id, method_title, task_title
from harness.report.rendering.cells import Cell, Column, Table, missing, text
from harness.report.rendering.formats import counted, listed, moment
from harness.report.sections.costs import ComparisonGroupCosts
from harness.report.sections.leaderboard import Board, TaskLeaderboard
from harness.site.sources import Source, own_records

_RANK, _SCORE = "Rank", "Score"


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A table of the report in which each row is a method, and what its rows belong to.

    Attributes:
        task: The name of the task.
        protocol: The name of the protocol.
        chips: What distinguishes the rows from others of the task.
        metric: The title of the column of scores.
        is_main: Whether these are the main rows of the protocol.
        table: The table.
    """

    task: str
    protocol: str
    chips: tuple[str, ...]
    metric: str
    is_main: bool
    table: Table

    @classmethod
    def of_board(cls, task: str, board: Board) -> Placed:
        """The table of a leaderboard, whose third column is the score."""
        metric = board.table.columns[2].title
        return cls(
            task=task,
            protocol=board.protocol,
            chips=board.chips,
            metric=metric,
            is_main=board.is_main,
            table=_renamed(board.table, metric),
        )

    @classmethod
    def of_costs(cls, task: str, costs: ComparisonGroupCosts) -> Placed:
        """The table of costs, whose column of scores has an arrow in its title."""
        metric = next(column.title for column in costs.table.columns if column.title[-1] in "↑↓")
        return cls(
            task=task,
            protocol=costs.protocol,
            chips=costs.chips,
            metric=metric,
            is_main=costs.figure_group is not None,
            table=_renamed(costs.table, metric),
        )

    def cells(self, row: Sequence[Cell]) -> dict[str, Cell]:
        """The cells of a row by the title of their column."""
        return {column.title: cell for column, cell in zip(self.table.columns, row, strict=True)}


def _renamed(table: Table, metric: str) -> Table:
    columns = [replace(column, title=_SCORE) if column.title == metric else column for column in table.columns]
    return replace(table, columns=columns)


def of_method_only(id_: str, caption: str, placed: Iterable[Placed], method: str, *, without: Sequence[str]) -> Table:
    """The rows of one method in several tables, as one table with columns for task, protocol and settings.

    Args:
        id_: The id of the table.
        caption: Its caption.
        placed: The tables.
        method: The name of the method.
        without: The titles of columns that are left out.
    """
    found = [
        (one, one.cells(row)) for one in placed for row in one.table.rows if row[0].link == card_id("method", method)
    ]
    columns: dict[str, Column] = {}
    for one, _ in found:
        new = (column for column in one.table.columns[1:] if column.title not in {*columns, *without})
        columns |= {column.title: column for column in new}
    rows = [
        [
            _task_cell(one.task),
            Cell(text=one.protocol, sort=one.protocol),
            text("; ".join(filter(None, (*one.chips, cells["Method"].note))), why_missing="In one setting only"),
            *(_in_all(one, title, cells) for title in columns),
        ]
        for one, cells in found
    ]
    heads = [Column(title="Task"), Column(title="Protocol"), Column(title="Settings", wrap=True), *columns.values()]
    return Table(id=id_, caption=caption, columns=heads, rows=rows)


def _in_all(one: Placed, title: str, cells: Mapping[str, Cell]) -> Cell:
    """A cell of a row; a score names its metric, and a rank says among how many rows."""
    if title not in cells:
        return missing("Not a measure of this task")
    cell = cells[title]
    more = {_RANK: f"of {counted(len(one.table.rows), 'row')}", _SCORE: one.metric}.get(title)
    return replace(cell, note="; ".join(filter(None, (more, cell.note)))) if more and cell.mark != "missing" else cell


def task_list(tasks: Iterable[TaskLeaderboard], runs: pl.DataFrame) -> Table:
    """One row for each task, with the best method of its first main table."""
    columns = [
        Column(title="Task"),
        Column(title="Protocol"),
        Column(title="Best method", why="The first row of the leaderboard of this protocol"),
        Column(title="Score", numeric=True),
        Column(title="Methods", numeric=True),
        Column(title="Seeds", why="Of the best method", numeric=True),
        Column(title="Runs", why="Of the task, under all protocols", numeric=True),
        Column(title="Last run", why="Of the task, under all protocols"),
    ]
    rows = [_task_row(task, board, runs) for task in tasks for board in task.boards if board.is_main]
    return Table(id="tasks-table", caption="Tasks", columns=columns, rows=rows)


def _task_row(task: TaskLeaderboard, board: Board, runs: pl.DataFrame) -> list[Cell]:
    one = Placed.of_board(task.name, board)
    best = one.cells(one.table.rows[0])
    first = [row for row in one.table.rows if one.cells(row)[_RANK].sort == 1]
    among = f"shares the first place with {counted(len(first) - 1, 'other row')}" if len(first) > 1 else ""
    methods = len({row[0].text for row in one.table.rows})
    of_task = runs.filter(pl.col("task") == task.name)
    return [
        _task_cell(task.name),
        Cell(text=board.protocol, sort=board.protocol, note="; ".join(board.chips)),
        replace(best["Method"], note=among) if first else missing("No method has a place yet"),
        replace(best[_SCORE], mark="", note=one.metric) if first else missing("No method has a place yet"),
        Cell(text=f"{methods:,}", sort=methods),
        best["Seeds"],
        Cell(text=f"{of_task.height:,}", sort=of_task.height),
        _moment(of_task["finished"].max()),
    ]


def _task_cell(name: str) -> Cell:
    return Cell(text=name, sort=name, note=task_title(name), code=True, link=card_id("task", name))


def method_list(placed: Sequence[Placed], runs: pl.DataFrame) -> Table:
    """One row for each method, with the tasks on which it is in the first place."""
    first: dict[str, set[str]] = {}
    for one in placed:
        for row in one.table.rows:
            if one.is_main and one.cells(row)[_RANK].sort == 1:
                first.setdefault(row[0].text, set()).add(one.task)
    grouped = runs.group_by("method", maintain_order=True).agg(
        pl.col("base_model", "sampler").last(),
        pl.col("task").unique().sort(),
        pl.len(),
        (pl.col("status") == "failed").sum().alias("failed"),
        pl.col("finished").max(),
    )
    found = grouped.sort("method").iter_rows(named=True)
    rows = [_method_row(row, sorted(first.get(row["method"], ()))) for row in found]
    columns = [
        Column(title="Method"),
        Column(title="Tasks", numeric=True),
        Column(title="First place on", why="Alone, or shared with methods that do not differ significantly", wrap=True),
        Column(title="Runs", numeric=True),
        Column(title="Failed", numeric=True),
        Column(title="Last run"),
    ]
    return Table(id="methods-table", caption="Methods", columns=columns, rows=rows)


def _method_row(row: Mapping[str, Any], wins: list[str]) -> list[Cell]:
    return [
        method_cell({**row, "weights": None, "source": None}, method_title(row["method"])),
        Cell(text=f"{len(row['task']):,}", sort=len(row["task"]), why=listed(row["task"], 12)),
        Cell(text=listed(wins, 4), sort=len(wins)) if wins else missing("On no task"),
        Cell(text=f"{row['len']:,}", sort=row["len"]),
        Cell(text=f"{row['failed']:,}", sort=row["failed"], mark="failed" if row["failed"] else ""),
        _moment(row["finished"]),
    ]


def source_list(sources: Sequence[Source], runs: pl.DataFrame) -> Table:
    """One row for each bundle, with a link to its file."""
    own = own_records(sources)
    alone = sum(bool(bodies) for bodies in own.values()) == 1
    columns = [
        Column(title="Bundle", why="Press it to download the bundle"),
        Column(title="Runs", numeric=True),
        Column(title="Shown", why="Runs that no earlier bundle holds; the earlier one shows the others", numeric=True),
        Column(title="First run"),
        Column(title="Last run"),
        Column(title="Commits", why="The commits of the code"),
        Column(title="symbench", why="The version that wrote the bundle"),
        Column(title="Exported"),
        Column(title="Id", why="The digest of its files"),
        Column(title="Tasks", wrap=True),
    ]
    rows = [_source_row(source, len(own[source.name]), runs, alone) for source in sources]
    return Table(id="sources-table", caption="Sources", columns=columns, rows=rows)


def _source_row(source: Source, shown: int, runs: pl.DataFrame, alone: bool) -> list[Cell]:
    of_source = (runs if alone else runs.filter(pl.col("source") == source.name)) if shown else runs.clear()
    manifest = source.manifest
    commits = [commit[:10] for commit in of_source["git_commit"].drop_nulls().unique().sort()]
    return [
        Cell(text=source.name, sort=source.name.lower(), code=True, link=card_id("source", source.name)),
        Cell(text=f"{manifest.runs:,}", sort=manifest.runs),
        Cell(text=f"{shown:,}", sort=shown),
        _moment(of_source["started"].min()),
        _moment(of_source["finished"].max()),
        text(listed(commits, 2), why_missing="Not recorded", why=", ".join(commits)),
        text(manifest.symbench_version, why_missing="Not recorded"),
        text(manifest.created, why_missing="Not recorded"),
        Cell(text=manifest.id, sort=manifest.id, code=True),
        text(listed(of_source["task"].unique().sort().to_list(), 8), why_missing="Earlier bundles hold all its runs"),
    ]


def _moment(when: Any) -> Cell:
    return missing("Not recorded") if when is None else Cell(text=moment(when), sort=when.isoformat())
