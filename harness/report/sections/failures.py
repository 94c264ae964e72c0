"""The failed runs. Runs that failed with the same message are listed together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from harness.report.rendering.formats import counted, listed

MAX_TRACEBACKS = 50


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Runs that failed with the same message. Traceback and log are those of the first of them."""

    sentence: str
    count: str
    runs: str
    traceback: str
    log: str


def failures(runs: pl.DataFrame) -> list[Failure]:
    """All failures, the most frequent first."""
    failed = runs.filter(pl.col("status") == "failed")
    name = pl.format("{} × {} (protocol {}{}, seed {})", "task", "method", "protocol", _label(), "seed")  # noqa: RUF001
    grouped = (
        failed.with_columns(name.alias("name"), pl.col("error").fill_null("No reason was recorded."))
        .group_by("error", maintain_order=True)
        .agg("name", pl.col("traceback", "digest").first())
        .sort(pl.col("name").list.len(), "error", descending=[True, False])
    )
    return [
        Failure(
            sentence=row["error"],
            count=counted(len(row["name"]), "run"),
            runs=listed(row["name"], 8),
            traceback=row["traceback"] or "",
            log=f"logs/{row['digest']}.log",
        )
        for row in grouped.iter_rows(named=True)
    ]


def omitted(found: list[Failure]) -> Iterable[str]:
    """A sentence about the failures that the page does not show, if there are more than it shows."""
    if len(found) > MAX_TRACEBACKS:
        further = counted(len(found) - MAX_TRACEBACKS, "further message")
        yield f"{further} not shown. The column error of tables/runs.csv has all of them."


def _label() -> pl.Expr:
    return pl.when(pl.col("setting_label").is_null()).then(pl.lit("")).otherwise(pl.format(", {}", "setting_label"))
