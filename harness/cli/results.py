"""Commands over the records: collate, tables, report, compare, export, import, compact, ui, sync."""

from __future__ import annotations

import json
import logging
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness import renames
from harness.cli import completion
from harness.cli.options import STORE, JsonOption, StoreOption, local
from harness.cli.printing import needed_store, print_table, shown
from harness.errors import SettingsError, TrackingError
from harness.utils.redaction import redacted
from tasks.extras import installed, require

if TYPE_CHECKING:
    import polars as pl

    from harness.collate.dictionary import Column
    from harness.records.store import Store
    from harness.report.sections.regression import RegressionSection

app = typer.Typer()


class Font(StrEnum):
    """The families of type."""

    SERIF = "serif"
    SANS_SERIF = "sans-serif"
    MONOSPACE = "monospace"


_log = logging.getLogger(__name__)


@app.command()
def collate(store: StoreOption = STORE) -> None:
    """Collect the records into tables: runs, accuracy, sample_complexity, scaling and others (Parquet and CSV)."""
    from harness.collate import collate as collate_tables
    from harness.collate import results_folder

    opened = needed_store(store)
    collate_tables(opened)
    typer.echo(f"Tables: {shown(results_folder(opened) / 'tables')}")


@app.command()
def tables(
    table: Annotated[
        str | None, typer.Argument(metavar="TABLE", help="Only this table.", autocompletion=completion.tables)
    ] = None,
    describe: Annotated[bool, typer.Option("--describe", help="Name, type, unit and meaning of every column.")] = False,
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The same as Markdown.")] = False,
) -> None:
    """List the tables that symbench collate writes; with --describe their columns."""
    from harness.collate import dictionary

    if markdown:
        typer.echo(dictionary.markdown(table), nl=False)
    elif describe:
        _print_columns(dictionary.columns(table), as_json)
    elif as_json:
        typer.echo(json.dumps(dictionary.described(table), indent=1))
    else:
        print_table(["table", "rows"], dictionary.described(table).items())


@app.command()
def report(
    store: StoreOption = STORE,
    out: Annotated[
        Path | None,
        typer.Option(parser=local, metavar="DIR", help="The folder of the report (default: the folder of the tables)."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            parser=local,
            metavar="PATH",
            help="Earlier results, a store or a bundle: list the changes beyond noise since then.",
        ),
    ] = None,
    only_before: Annotated[
        bool, typer.Option("--only-before", help="With --against, also list results that have no run now.")
    ] = False,
) -> None:
    """Collate the records and write leaderboard.html, leaderboard.md and leaderboard.tex.

    With --against, the exit code is 1 if a result is significantly worse than before, or if all its runs failed.
    """
    from harness.collate import collate as collate_tables
    from harness.collate import results_folder
    from harness.report import write_report

    require("symbench report", "jinja2", "markupsafe", "plotly")
    if only_before and against is None:
        raise SettingsError("--only-before lists what earlier results have: name them with --against.")
    opened = needed_store(store)
    tables = collate_tables(opened)
    changes = _changes_since(against, tables.runs, only_before) if against else None
    for path in write_report(tables, opened, out or results_folder(opened), changes):
        typer.echo(f"Report: {shown(path)}")
    if changes and changes.regressed:
        raise typer.Exit(1)


@app.command()
def figure(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A figure of the report; without a name all are listed.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(parser=local, metavar="FILE", help="A .pdf, .svg or .png file, or .csv for its data.")
    ] = None,
    store: StoreOption = STORE,
    width: Annotated[float, typer.Option(min=1, max=40, help="Its width in inches.")] = 3.25,
    height: Annotated[float, typer.Option(min=1, max=40, help="Its height in inches, without the legend.")] = 2.2,
    font_size: Annotated[float, typer.Option(min=1, max=100, help="In points.")] = 8.0,
    font: Annotated[Font, typer.Option(help="The family of its type.")] = Font.SERIF,
) -> None:
    """Write one figure of the report for a paper: vector graphics in its size and type, or the data as CSV."""
    require("symbench figure", "jinja2", "matplotlib")
    from harness.collate import collate as collate_tables
    from harness.report.figures import named_figures, write_figure
    from harness.report.rendering.vector import Layout
    from harness.report.report import report_contents

    if name is not None and out is None:
        raise SettingsError("Where to? Name a file, such as --out figure.pdf.")
    opened = needed_store(store)
    contents = report_contents(collate_tables(opened), store_name=store, histories=opened.history)
    figures = named_figures(contents)
    if name is None or out is None:
        print_table(["name", "chips"], [[one.name, ", ".join(one.group.chips)] for one in figures.values()])
        return
    write_figure(figures, name, out, Layout(width=width, height=height, font_size=font_size, font=font.value))
    typer.echo(f"Figure: {shown(out)}")


@app.command()
def compare(
    first: Annotated[
        str,
        typer.Argument(metavar="METHOD", help="A method, such as mlp-ps.", autocompletion=completion.methods),
    ],
    second: Annotated[
        str,
        typer.Argument(metavar="METHOD", help="Another method, such as mlp-ga.", autocompletion=completion.methods),
    ],
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="Compare on this task only.", autocompletion=completion.tasks),
    ] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Compare two methods on the seeds that both ran, with 95 % bootstrap intervals."""
    from harness.collate import collate as collate_tables
    from harness.collate.comparison import compare as compare_runs
    from harness.report.content.method_comparison import as_values, sentences, table
    from harness.tracking.connection import is_server
    from harness.tracking.server import COMPARED, HOST, PORT, compare_url_of

    opened = needed_store(store)
    runs = collate_tables(opened).runs
    if names := renames.replaced([first, second], set(runs["method"])):
        _log.warning("%s", renames.warning(names))
        first, second = (names.get(name, name) for name in (first, second))
    found = compare_runs(runs, first, second, task)
    if as_json:
        typer.echo(json.dumps(as_values(found), indent=1))
        return
    print_table(*table(found, first, second))
    for sentence in sentences(found, first, second):
        typer.echo(sentence)
    digests = [digest for one in found for digest in one.digests]
    uri = opened.mlflow_uri
    pages = uri if is_server(uri) else f"http://{HOST}:{PORT}"
    if installed("mlflow") and (page := compare_url_of(digests, pages, uri)):
        address, shown_runs = page
        part = ""
        if shown_runs < (all_runs := len(set(digests))):
            part = f" ({shown_runs} of {all_runs} runs; others are not in MLflow, or more than {COMPARED})"
        typer.echo(f"In MLflow{'' if pages == uri else ', while symbench ui runs'}{part}: {redacted(address)}")


@app.command()
def export(
    out: Annotated[
        Path, typer.Argument(parser=local, metavar="OUT", help="A new folder, or a file that ends in .zip.")
    ],
    store: StoreOption = STORE,
    suites: Annotated[
        list[str] | None, typer.Option("--suite", metavar="NAME", help="Export only the runs of this suite.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of the bundle in tables (default: that of OUT).")
    ] = None,
) -> None:
    """Write the records and tables of this store as a bundle that others can check and import."""
    from harness.bundles.exporting import export as export_bundle

    manifest = export_bundle(needed_store(store), out, suites=suites or (), name=name)
    typer.echo(f"Bundle: {shown(out)} ({manifest.runs:,} runs, {manifest.source})")


@app.command(name="import")
def import_(
    bundle: Annotated[
        Path, typer.Argument(parser=local, metavar="BUNDLE", help="A folder or .zip file written by symbench export.")
    ],
    store: StoreOption = STORE,
) -> None:
    """Check the checksums and digests of a bundle and import its records, apart from those of this store."""
    from harness.bundles.importing import checked_bundle, import_bundle
    from harness.records.opening import open_store

    checked = checked_bundle(bundle)
    for sentence in import_bundle(open_store(store), checked).sentences():
        typer.echo(sentence)


@app.command()
def compact(store: StoreOption = STORE) -> None:
    """Merge the files of records and histories into a few segments, which are read much faster.

    It can be interrupted and repeated. All commands read segments, and launches of many runs compact the store too.
    """
    from harness.collate.kept import keep_rows
    from harness.records.compaction import compact as compact_store

    opened = needed_store(store)
    for one in (opened, *opened.searches()):
        with one.lock():
            typer.echo(f"{shown(one.address)}: {compact_store(one)}")
            keep_rows(one)


@app.command()
def ui(
    store: StoreOption = STORE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the server.")] = 5000,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="Only the page of this task.", autocompletion=completion.tasks),
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", metavar="NAME", help="Only the pages of this suite.")] = None,
) -> None:
    """Start an MLflow server for the store on this machine and print the URL of a page for each task.

    The page shows all runs of the task, best first, with charts of its metric.
    """
    from harness.tracking import serve

    require("symbench ui", "mlflow")
    serve(needed_store(store), port, announce=typer.echo, task=task, suite=suite)
    typer.echo("The MLflow server has ended.")


@app.command()
def sync(store: StoreOption = STORE) -> None:
    """Log all records to MLflow that are missing there."""
    from harness.tracking import sync as sync_records

    require("symbench sync", "mlflow")
    opened = needed_store(store)
    result = sync_records(opened, opened.mlflow_uri)
    if result.unusable and result.reason:
        raise TrackingError(f"{result.reason}: check MLFLOW_TRACKING_URI, or start the server.")
    typer.echo(str(result))
    if result.failed:
        raise typer.Exit(1)


@app.command()
def register(
    digest: Annotated[str | None, typer.Argument(metavar="DIGEST", help="A run that kept its weights.")] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="The winner of this task.", autocompletion=completion.tasks),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name in MLflow's registry (default: that of the task).")
    ] = None,
    store: StoreOption = STORE,
) -> None:
    """Register the kept weights of a run, or of a task's winner, as a model of MLflow, for mlflow.pytorch.load_model.

    The winner is the method that is alone on the first place of the task's leaderboard, with its lowest seed.
    """
    require("symbench register", "mlflow")
    if (digest is None) == (task is None):
        raise SettingsError("Name a run by its digest, or the task whose winner is to be registered with --task.")
    from harness.tracking.models import register as register_model

    opened = needed_store(store)
    if task is not None:
        digest = _winning_run(opened, task)
        typer.echo(f"The winner's run: {digest}")
    assert digest is not None
    model = register_model(opened, digest, name or task or f"symbench-{digest}")
    typer.echo(f'Registered: load it with mlflow.pytorch.load_model("{model}")')


def _winning_run(store: Store, task: str) -> str:
    """The digest of the run of the task's winner with the lowest seed."""
    from harness.collate import collate as collate_tables
    from harness.report.content.winner import winner

    tables = collate_tables(store)
    best = winner(tables, task)
    runs = tables.runs.filter(status="succeeded", setting=best["setting"]).sort("seed")
    return str(runs["digest"][0])


def _print_columns(columns: list[Column], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([column.as_dict() for column in columns], indent=1))
        return
    for number, (table, group) in enumerate(groupby(columns, lambda column: column.table)):
        typer.echo(f"{chr(10) if number else ''}{table}")
        rows = [[column.name, column.type, column.unit or "-", column.meaning] for column in group]
        print_table(["column", "type", "unit", "meaning"], rows)


def _changes_since(path: Path, runs: pl.DataFrame, only_before: bool) -> RegressionSection:
    """Prints the changes since the results at ``path``: the verdict, the counts, then what moved."""
    from harness.bundles.reference import reference_runs
    from harness.collate.regression import regression
    from harness.report.sections.regression import regression_section

    found = regression_section(regression(runs, reference_runs(path)), str(path), only_before=only_before)
    for sentence in found.sentences:
        typer.echo(sentence)
    if found.table.rows:
        rows = [[cell.text for cell in row] for row in found.table.rows]
        print_table([column.title for column in found.table.columns], rows)
    return found
