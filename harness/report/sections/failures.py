"""What failed: runs that ended alike are told once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from harness.report.rendering.formats import counted, listed

MOST_TRACEBACKS = 50


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Runs with one sentence; the traceback and the log are those of the first."""

    sentence: str
    count: str
    runs: str
    traceback: str
    log: str


def failures(runs: pl.DataFrame) -> list[Failed]:
    """The most frequent first."""
    failed = runs.filter(pl.col("status") == "failed")
    name = pl.format("{} × {} (protocol {}{}, seed {})", "task", "method", "protocol", _label(), "seed")  # noqa: RUF001
    grouped = (
        failed.with_columns(name.alias("name"), pl.col("error").fill_null("No reason was recorded."))
        .group_by("error", maintain_order=True)
        .agg("name", pl.col("traceback", "digest").first())
        .sort(pl.col("name").list.len(), "error", descending=[True, False])
    )
    return [
        Failed(
            sentence=row["error"],
            count=counted(len(row["name"]), "run"),
            runs=listed(row["name"], 8),
            traceback=row["traceback"] or "",
            log=f"logs/{row['digest']}.log",
        )
        for row in grouped.iter_rows(named=True)
    ]


def left_out(found: list[Failed]) -> Iterable[str]:
    """What the page does not show of them."""
    if len(found) > MOST_TRACEBACKS:
        further = counted(len(found) - MOST_TRACEBACKS, "further reason")
        yield f"{further} not shown: column error of tables/runs.csv has all."


def _label() -> pl.Expr:
    return pl.when(pl.col("setting_label").is_null()).then(pl.lit("")).otherwise(pl.format(", {}", "setting_label"))
