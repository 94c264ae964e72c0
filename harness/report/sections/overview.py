"""What ran, when and where, and warnings that a reader must know before using a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from harness.collate import Tables
from harness.report.content.published import PROTOCOL
from harness.report.rendering.cells import Cell, Column, Facets, Table, missing
from harness.report.rendering.formats import counted, duration, listed, moment


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A number in the head of the page, and the word below it."""

    value: str
    word: str


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The head of the page and the table of what ran.

    Attributes:
        facts: The numbers in the head.
        period: When the first run started and the last one ended.
        machines: Where the runs ran.
        warnings: Sentences that come before all results.
        table: What ran, by suite, protocol and task.
    """

    facts: tuple[Fact, ...]
    period: str
    machines: str
    warnings: tuple[str, ...]
    table: Table


def overview(tables: Tables) -> Overview:
    """The overview of all runs."""
    runs = tables.runs
    failed = runs.filter(pl.col("status") == "failed").height
    facts = (
        _fact(runs.height - failed, "run succeeded", "runs succeeded"),
        _fact(failed, "run failed", "runs failed"),
        _fact(runs["task"].n_unique(), "task", "tasks"),
        _fact(runs["method"].n_unique(), "method", "methods"),
        _fact(runs["seed"].n_unique(), "seed", "seeds"),
        Fact(value=duration(float(runs["wall_seconds"].sum())), word="of computing"),
    )
    return Overview(
        facts=facts,
        period=_period(runs),
        machines=_machines(runs),
        warnings=tuple(_warnings(tables)),
        table=_table(runs),
    )


def _period(runs: pl.DataFrame) -> str:
    began, ended = runs["started"].min(), runs["finished"].max()
    known = isinstance(began, datetime) and isinstance(ended, datetime)
    return f"{moment(began)} to {moment(ended)}" if known else ""  # type: ignore[arg-type]


def _fact(n: int, one: str, many: str) -> Fact:
    return Fact(value=f"{n:,}", word=one if n == 1 else many)


def _warnings(tables: Tables) -> Iterable[str]:
    runs = tables.runs
    protocols = sorted(set(runs["protocol"]) - {PROTOCOL})
    if protocols:
        yield (
            f"{'Protocols' if len(protocols) > 1 else 'Protocol'} {listed(protocols)}: these runs do not use the "
            "published settings, so their numbers neither confirm nor contradict the paper."
        )
    for variant, names in sorted(_variants(runs).items()):
        yield f"Data of {listed(names)}: {variant}, not the official set."
    if dirty := runs["git_dirty"].fill_null(False).sum():
        yield f"{counted(int(dirty), 'run')} used code that differs from its commit, so git alone cannot reproduce it."
    if (commits := runs["git_commit"].drop_nulls().n_unique()) > 1:
        yield (
            f"The runs come from {commits} commits of the code (see Provenance). A row pools the runs with the same "
            "versions of task and method from all commits."
        )
    if (devices := runs.filter(pl.col("status") == "succeeded")["device"].n_unique()) > 1:
        yield f"The runs used {devices} kinds of device. Times and memory are shown separately for each device."
    yield from tables.warnings()


def _variants(runs: pl.DataFrame) -> dict[str, list[str]]:
    rows = runs.filter(pl.col("variant").is_not_null()).group_by("variant").agg(pl.col("task").unique().sort())
    return dict(rows.iter_rows())


def _moment(when: datetime | None) -> Cell:
    return missing("Not recorded") if when is None else Cell(text=moment(when), sort=when.isoformat())


def _table(runs: pl.DataFrame) -> Table:
    grouped = (
        runs.group_by("suite", "protocol", "task", maintain_order=True)
        .agg(
            pl.len(),
            (pl.col("status") == "failed").sum().alias("failed"),
            pl.col("method").n_unique().alias("methods"),
            pl.col("seed").unique().sort().cast(pl.String).alias("seeds"),
            pl.col("started").min(),
            pl.col("finished").max(),
            pl.col("wall_seconds").sum(),
        )
        .sort("suite", "protocol", "task")
    )
    rows = [
        [
            Cell(
                text=row["suite"],
                sort=row["suite"].lower(),
                facets=Facets(task=row["task"], protocol=row["protocol"]),
            ),
            Cell(text=row["protocol"], sort=row["protocol"]),
            Cell(text=row["task"], sort=row["task"], code=True),
            Cell(text=f"{row['len']:,}", sort=row["len"]),
            Cell(text=f"{row['failed']:,}", sort=row["failed"], mark="failed" if row["failed"] else ""),
            Cell(text=f"{row['methods']:,}", sort=row["methods"]),
            Cell(text=listed(row["seeds"], 5)),
            Cell(text=duration(row["wall_seconds"]), sort=row["wall_seconds"])
            if row["wall_seconds"]
            else missing("Wall time was not recorded"),
            _moment(row["started"]),
            _moment(row["finished"]),
        ]
        for row in grouped.iter_rows(named=True)
    ]
    columns = [
        Column(title="Suite"),
        Column(title="Protocol"),
        Column(title="Task"),
        Column(title="Runs", numeric=True),
        Column(title="Failed", numeric=True),
        Column(title="Methods", numeric=True),
        Column(title="Seeds"),
        Column(title="Time", why="Wall time, summed over runs", numeric=True),
        Column(title="First start"),
        Column(title="Last end"),
    ]
    return Table(id="what-ran", caption="What ran", columns=columns, rows=rows)


def _machines(runs: pl.DataFrame) -> str:
    """The host, device and number of CPUs of every machine."""
    machine = pl.col("provenance").struct.field("device", "cpus")
    found = {
        f"{host or 'unknown host'}: {device or 'unknown device'}{f', {cpus} CPUs' if cpus else ''}"
        for host, device, cpus in runs.select("host", machine).unique().iter_rows()
    }
    return listed(sorted(found), 3)
