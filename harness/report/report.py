"""The files of the report."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.collate import Tables
from harness.errors import StoreError
from harness.report.content.histories import Histories, HistoryReader
from harness.report.content.ranking import RULE
from harness.report.rendering.html import render_html
from harness.report.rendering.latex import render_latex
from harness.report.rendering.markdown import render_markdown
from harness.report.rendering.size_limits import limit_size
from harness.report.sections.answers import answers
from harness.report.sections.costs import costs
from harness.report.sections.failures import MAX_TRACEBACKS, failures, omitted
from harness.report.sections.group_size_scaling import group_size_scaling
from harness.report.sections.leaderboard import leaderboard
from harness.report.sections.method_cards import method_cards, task_cards
from harness.report.sections.overview import overview
from harness.report.sections.paper_study import paper_study
from harness.report.sections.provenance import environments, reproduction
from harness.report.sections.ranks_across_tasks import ranks_across_tasks
from harness.report.sections.regression import RegressionSection
from harness.report.sections.replication import replication
from harness.report.sections.sample_complexity import sample_complexity
from tasks.sources.atomic_files import publish

if TYPE_CHECKING:
    from harness.records.store import Store

log = logging.getLogger(__name__)


def write_report(tables: Tables, store: Store, out: Path, regression: RegressionSection | None = None) -> list[Path]:
    """Writes ``leaderboard.html``, ``leaderboard.md`` and ``leaderboard.tex``, each as a whole or not at all.

    Args:
        tables: The collated records.
        store: The store of the records.
        out: The folder of the files, created if it does not exist.
        regression: The changes since earlier results, for a section of their own.

    Returns:
        The paths of the files.

    Raises:
        StoreError: If ``out`` cannot be written.
    """
    found = report_contents(tables, store_name=_relative(store.root, out), histories=store.history)
    contents = limit_size(found | {"regression": regression})
    written = {
        "leaderboard.html": render_html(contents),
        "leaderboard.md": render_markdown(contents),
        "leaderboard.tex": render_latex(contents),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        publish({out / name: text.encode("utf-8", errors="replace") for name, text in written.items()})
    except OSError as error:
        raise StoreError(f"The report cannot be written to {out} ({error.strerror or error}).") from error
    return [out / name for name in written]


def report_contents(tables: Tables, *, store_name: str, histories: Histories | None = None) -> dict[str, Any]:
    """The contents of the templates. Damaged histories are left out and named in one warning.

    Args:
        tables: The collated records.
        store_name: The path of the store as the report shows it; empty if the page has no store beside it.
        histories: How the history of a run is read; without it there are no figures by epoch.
    """
    failed = failures(tables.runs)
    reader = HistoryReader(histories) if histories else None
    head = overview(tables)
    contents = {
        "answers": answers(tables),
        "leaderboard": leaderboard(tables),
        "rank_rule": RULE,
        "ranks_across_tasks": ranks_across_tasks(tables),
        "regression": None,
        "replication": replication(tables),
        "costs": costs(tables),
        "sample_complexity": sample_complexity(tables, reader),
        "paper_study": paper_study(tables.output_variance, tables.runs, reader),
        "group_size_scaling": group_size_scaling(tables),
        "failures": failed[:MAX_TRACEBACKS],
        "failures_omitted": list(omitted(failed)),
        "method_cards": method_cards(tables.runs),
        "task_cards": task_cards(tables.runs),
        "environments": environments(tables.runs),
        "reproduction": reproduction(tables.runs),
        "store_name": store_name,
    }
    damaged = tuple(reader.warnings()) if reader else ()
    for sentence in damaged:
        log.warning("%s", sentence)
    return contents | {"overview": replace(head, warnings=(*head.warnings, *damaged))}


def _relative(store: Path, out: Path) -> str:
    """The path from the report to its store, which stays true if both are moved together."""
    try:
        return os.path.relpath(store, out)
    except ValueError:  # on another drive
        return str(store)
