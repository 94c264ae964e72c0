"""The provenance of every number, and the command that reproduces it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from harness.report.rendering.cells import Cell, Column, Facets, Table, missing, text
from harness.report.rendering.formats import listed
from harness.utils.redaction import redacted_words

_LOCAL_OPTIONS = ("--only", "--store", "--address")
"""Options that say where a suite ran, or which part of it. They do not change what was computed."""


def environments(runs: pl.DataFrame) -> Table:
    """One row for each combination of code, packages and device."""
    item = pl.element().struct.field
    of_package = (
        pl.col("provenance").struct.field("packages").list.eval(pl.format("{} {}", item("name"), item("version")))
    )
    values = (
        runs.select(
            "symbench_version",
            "git_commit",
            "git_dirty",
            pl.col("provenance").struct.field("device"),
            "host",
            pl.col("provenance").struct.field("python"),
            of_package.list.join(", ").alias("packages"),
        )
        .group_by(pl.all(), maintain_order=True)
        .len()
        .sort("len", descending=True, maintain_order=True)
    )
    columns = [
        Column(title="Commit"),
        Column(title="Runs", numeric=True),
        Column(title="symbench"),
        Column(title="Code", why="Whether the code differed from its commit"),
        Column(title="Device"),
        Column(title="Host"),
        Column(title="Python"),
        Column(title="Packages", wrap=True),
    ]
    rows = [_environment_cells(*row) for row in values.iter_rows()]
    return Table(id="environments", caption="Code, packages and machines", columns=columns, rows=rows)


def reproduction(runs: pl.DataFrame) -> Table:
    """One row for each task, method and command that ran it. Every row of the leaderboard belongs to one of them."""
    grouped = (
        runs.with_columns(pl.col("provenance").struct.field("command").alias("launched"))
        .group_by("task", "method", "suite", "launched")
        .agg(
            pl.len(),
            pl.col("protocol", "seed").unique().sort().cast(pl.String),
            pl.col("setting_label", "source").drop_nulls().unique().sort(),
        )
        .sort("task", "method", "suite", "launched", nulls_last=True)
    )
    rows = [_reproduction_cells(row) for row in grouped.iter_rows(named=True)]
    columns = [
        Column(title="Method"),
        Column(title="Task"),
        Column(title="Suite"),
        Column(title="Protocol"),
        Column(title="Settings", why="How they differ from the other settings of the method", wrap=True),
        Column(title="Seeds"),
        Column(title="Runs", numeric=True),
        Column(
            title="Command",
            why="Runs only what has no record yet. Add --store DIR with a new folder to run everything again",
            wrap=True,
        ),
    ]
    return Table(id="commands", caption="The command behind each row", columns=columns, rows=rows)


def _reproduction_cells(row: Mapping[str, Any]) -> list[Cell]:
    suite, task, method, launched = row["suite"], row["task"], row["method"], row["launched"]
    return [
        Cell(
            text=method,
            sort=method,
            note=f"from {listed(row['source'])}" if row["source"] else "",
            code=True,
            facets=Facets(task=task, method=method, protocol=row["protocol"][0] if len(row["protocol"]) == 1 else ""),
        ),
        Cell(text=task, sort=task, code=True),
        Cell(text=suite, sort=suite.lower()),
        Cell(text=", ".join(row["protocol"])),
        text(listed(row["setting_label"], 4), why_missing="In one setting only"),
        Cell(text=listed(row["seed"], 5)),
        Cell(text=f"{row['len']:,}", sort=row["len"]),
        Cell(text=command(suite, task, method, launched), code=True),
    ]


def command(suite: str, task: str, method: str, launched: Sequence[str] | None) -> str:
    """The command that reproduces a row: ``symbench run SUITE --only task=TASK,method=METHOD``.

    Args:
        suite: The name of the suite.
        task: The name of the task.
        method: The name of the method.
        launched: The words of the recorded command; its suite and options are kept.
    """
    words = list(redacted_words(launched or ()))  # older records may hold secrets
    chosen = list(_kept(words[words.index("run") + 1 :])) if "run" in words else []
    before = words[: words.index("run")] if "run" in words else []
    plugins = [word for option in pairwise(before) if option[0] == "--plugin" for word in option]
    only = f"task={task},method={method}"
    return shlex.join(["symbench", "run", *(chosen or [suite]), *plugins, "--only", only])


def _kept(words: Sequence[str]) -> Iterable[str]:
    """The words of a command without local options and their values."""
    skip = False
    for word in words:
        if skip or word.split("=", 1)[0] in _LOCAL_OPTIONS:
            skip = not skip and word in _LOCAL_OPTIONS
            continue
        yield word


def _environment_cells(
    version: str | None,
    commit: str | None,
    dirty: bool | None,
    device: str | None,
    host: str | None,
    python: str | None,
    packages: str | None,
    runs: int,
) -> list[Cell]:
    no_checkout = "Not recorded: the code was in no git checkout"
    state = missing(no_checkout)
    if dirty is not None:
        state = Cell(text="changed" if dirty else "as committed", sort=int(dirty), mark="failed" if dirty else "")
    return [
        Cell(text=commit[:10], sort=commit, why=commit, code=True) if commit else missing(no_checkout),
        Cell(text=f"{runs:,}", sort=runs),
        text(version, why_missing="Not recorded: symbench was not installed as a package"),
        state,
        text(device, why_missing="Not recorded"),
        text(host, why_missing="Not recorded"),
        text(python, why_missing="Not recorded"),
        text(packages, why_missing="Not recorded"),
    ]
