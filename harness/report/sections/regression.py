"""The changes since earlier results, for the report and for the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from harness.collate.bootstrap import LEVEL
from harness.collate.regression import REGRESSIONS
from harness.collate.significance import LEAST_SEEDS
from harness.report.content.comparison_groups import Row
from harness.report.content.titles import arrow
from harness.report.rendering.cells import Cell, Column, Table, missing
from harness.report.rendering.formats import between, counted, plain

_UNCHANGED = ("within noise", "same")
MAX_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class RegressionSection:
    """The changes since earlier results.

    Attributes:
        name: The name of the earlier results.
        table: The results that changed.
        sentences: The verdict, the counts, and remarks on the tests.
        regressed: Whether a result is worse or lost.
    """

    name: str
    table: Table
    sentences: tuple[str, ...]
    regressed: bool


def regression_section(found: pl.DataFrame, name: str, *, only_before: bool = False) -> RegressionSection:
    """The section for the result of :func:`~harness.collate.regression.regression`.

    Args:
        found: The compared results, one row for each setting.
        name: The name of the earlier results.
        only_before: Also lists the results that have no run now.
    """
    hidden = _UNCHANGED if only_before else (*_UNCHANGED, "only before")
    shown = found.filter(~pl.col("change").is_in(hidden))
    rows = [_cells(row) for row in shown.head(MAX_ROWS).iter_rows(named=True)]
    left_out = shown.height - len(rows)
    return RegressionSection(
        name=name,
        table=Table(id="changes-table", caption=f"Changes since {name}", columns=_COLUMNS, rows=rows),
        sentences=(
            _verdict(Counter(found["change"])),
            *_sentences(found, only_before),
            *([f"{counted(left_out, 'further row')} not shown."] if left_out else []),
        ),
        regressed=not found.filter(pl.col("change").is_in(REGRESSIONS)).is_empty(),
    )


def _verdict(counts: Counter[str]) -> str:
    words = {"worse": "significantly worse", "lost": "lost"}
    if found := [f"{_results(counts[change])} {said}" for change, said in words.items() if counts[change]]:
        return f"Regression: {' and '.join(found)}."
    if counts.total() == counts["only before"] + counts["only now"]:
        return "Nothing to compare: no result has runs with exactly the same settings on both sides."
    untested = counts["too few seeds"]
    rest = f"; {_results(untested)} different with too few seeds to be tested" if untested else ""
    return f"No regression found: no result is significantly worse or lost{rest}."


def _results(n: int) -> str:
    return f"{counted(n, 'result')} {'is' if n == 1 else 'are'}"


def _sentences(found: pl.DataFrame, only_before: bool) -> Iterable[str]:
    counts = Counter(found["change"])
    both = counts.total() - counts["only before"] - counts["only now"]
    words = [f"{counts[word]:,} {word}" for word in ("worse", "lost", "better", "gained") if counts[word]]
    yield f"{counted(both, 'result')} in both: {', '.join(words) or 'no change beyond noise'}."
    if tested := found["p"].count():
        outside = found.filter((pl.col("p") <= 1 - LEVEL) & (pl.col("change") == "within noise")).height
        yield (
            f"{counted(tested, 'difference')} tested at once, so p-values are adjusted by Holm's method: if nothing "
            f"changed, at most one report in twenty names a result. {counted(outside, 'further 95 % interval')} "
            "without 0 can be explained by chance."
        )
    if counts["too few seeds"]:
        yield (
            f"{counted(counts['too few seeds'], 'result')} with another value but too few seeds to test the "
            f"difference: {LEAST_SEEDS} are needed on both sides."
        )
    for side in ("only before", "only now"):
        if counts[side]:
            hint = " (--only-before lists them)" if side == "only before" and not only_before else ""
            only = f"{counted(counts[side], 'result')} {side}{hint}"
            yield f"{only}: the other side has no run with exactly these settings."


_SCORE = "Mean over seeds of the ranking score: the worse of the scores on original and transformed inputs"
_COLUMNS = (
    Column(title="Method"),
    Column(title="Change"),
    Column(title="Task"),
    Column(title="Protocol"),
    Column(title="Settings", wrap=True),
    Column(title="Metric"),
    Column(title="Before", why=_SCORE, numeric=True),
    Column(title="Now", why=_SCORE, numeric=True),
    Column(
        title="Difference, 95 %",
        why=f"Over shared seeds if there are at least {LEAST_SEEDS} (paired), else between the means (Welch)",
        numeric=True,
    ),
    Column(title="p, adjusted", why="Adjusted over all results by Holm's method", numeric=True),
    Column(title="Seeds", why="Before and now", numeric=True),
    Column(title="Failed", why="Before and now", numeric=True),
)


def _cells(row: Row) -> list[Cell]:
    settings = "; ".join(filter(None, (row["setting_label"], row["why"])))
    return [
        Cell(text=row["method"], sort=row["method"].lower(), code=True),
        Cell(text=row["change"], sort=row["change"], mark="failed" if row["change"] in REGRESSIONS else ""),
        Cell(text=row["task"], sort=row["task"].lower(), code=True),
        Cell(text=row["protocol"], sort=row["protocol"]),
        Cell(text=settings) if settings else missing("The method ran in one setting of this task only"),
        Cell(text=f"{row['metric']} {arrow(row['direction'])}"),
        _number(row["before"]),
        _number(row["now"]),
        _difference(row),
        missing("Not tested") if row["adjusted"] is None else Cell(text=f"{row['adjusted']:.2g}", sort=row["adjusted"]),
        _both(row["seeds_before"], row["seeds_now"]),
        _both(row["failed_before"], row["failed_now"]),
    ]


def _number(value: float | None) -> Cell:
    return missing("No value") if value is None else Cell(text=plain(value), sort=value)


def _difference(row: Row) -> Cell:
    if row["difference"] is None:
        return missing("No value on one side")
    if row["low"] is None:
        return Cell(text=plain(row["difference"]), sort=row["difference"], note="no interval: too few seeds")
    note = "paired" if row["paired"] else "Welch"
    return Cell(text=between(row["difference"], row["low"], row["high"]), sort=row["difference"], note=note)


def _both(before: int | None, now: int | None) -> Cell:
    return Cell(text=f"{before or 0} → {now or 0}", sort=now or 0)
