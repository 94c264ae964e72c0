"""The report's files."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.collate import Tables
from harness.errors import SymbenchError
from harness.report.content.histories import Histories, Readable
from harness.report.content.ranking import RULE
from harness.report.rendering.pages import render_html, render_latex, render_markdown
from harness.report.rendering.size_limits import trimmed
from harness.report.sections.costs import costs
from harness.report.sections.failures import MOST_TRACEBACKS, failures, left_out
from harness.report.sections.group_size_scaling import size_curves
from harness.report.sections.leaderboard import leaderboard
from harness.report.sections.method_cards import method_cards, task_cards
from harness.report.sections.overview import overview
from harness.report.sections.paper_study import paper_study
from harness.report.sections.provenance import environments, reproduction
from harness.report.sections.ranks_across_tasks import rank_leagues
from harness.report.sections.regression import Against
from harness.report.sections.replication import replication
from harness.report.sections.sample_complexity import sample_curves
from tasks.sources.atomic_files import staged

if TYPE_CHECKING:
    from harness.records.store import Store

log = logging.getLogger(__name__)


def write_report(tables: Tables, store: Store, out: Path, against: Against | None = None) -> list[Path]:
    """``leaderboard.html``, ``leaderboard.md`` and ``leaderboard.tex`` in ``out``, each whole or not at all.

    ``against`` is what moved since earlier results, for a section of its own.

    Raises :class:`SymbenchError` where ``out`` cannot be written.
    """
    found = report_contents(tables, store_name=_relative(store.root, out), histories=store.history)
    contents = trimmed(found | {"against": against})
    written = {
        "leaderboard.html": render_html(contents),
        "leaderboard.md": render_markdown(contents),
        "leaderboard.tex": render_latex(contents),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in written.items():
            with staged(out / name) as place:
                place.write_text(text, encoding="utf-8", errors="replace")
        return [out / name for name in written]
    except OSError as error:
        raise SymbenchError(f"The report cannot be written to {out} ({error.strerror or error}).") from error


def report_contents(tables: Tables, *, store_name: str, histories: Histories | None = None) -> dict[str, Any]:
    """What the templates show. Histories that cannot be read are named in one warning."""
    failed = failures(tables.runs)
    readable = Readable(histories) if histories else None
    head = overview(tables)
    contents = {
        "leaderboard": leaderboard(tables),
        "rank_rule": RULE,
        "papers": replication(tables),
        "costs": costs(tables),
        "leagues": rank_leagues(tables),
        "against": None,
        "curves": sample_curves(tables, readable),
        "paper_study": paper_study(tables.output_variance, tables.runs, readable),
        "sizes": size_curves(tables),
        "failures": failed[:MOST_TRACEBACKS],
        "failures_left_out": list(left_out(failed)),
        "method_cards": method_cards(tables.runs),
        "task_cards": task_cards(tables.runs),
        "environments": environments(tables.runs),
        "reproduction": reproduction(tables.runs),
        "store_name": store_name,
    }
    damaged = tuple(readable.warnings()) if readable else ()
    for sentence in damaged:
        log.warning("%s", sentence)
    return contents | {"overview": replace(head, warnings=(*head.warnings, *damaged))}


def _relative(store: Path, out: Path) -> str:
    """The store as seen from the report, so that a report moved with its store still says where it is."""
    try:
        return os.path.relpath(store, out)
    except ValueError:  # on another drive
        return str(store)
