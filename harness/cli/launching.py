"""Commands that run suites and searches on this machine or a cluster: run, search, status."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion
from harness.cli.options import (
    INTERRUPTED,
    STORE,
    AddressOption,
    JsonOption,
    OnlyOption,
    SetOption,
    SlotsOption,
    StoreOption,
    SuiteArgument,
)
from harness.cli.printing import needed_store, print_table, shown
from harness.errors import SymbenchError
from tasks.extras import require

if TYPE_CHECKING:
    from harness.execution.progress import Progress
    from harness.execution.status import LaunchState
    from harness.records.store import Store
    from harness.suites.plan import Plan

RESUME_NOTE = "Interrupted: every finished run has its record, and the same command resumes from there."

app = typer.Typer()


@app.command()
def run(
    suite: SuiteArgument,
    overrides: SetOption = None,
    only: OnlyOption = None,
    store: StoreOption = STORE,
    address: AddressOption = None,
    slots: SlotsOption = None,
) -> None:
    """Run all runs of a suite that have no record yet. The exit code is 0 only if every run succeeded."""
    from rich.console import Console

    from harness.execution.progress import progress_for
    from harness.records.opening import open_store
    from harness.registry import check_extras
    from harness.suites import plan
    from harness.suites.loading import load

    require("symbench run", "ray", "mlflow")
    loaded = load(suite, overrides or ())
    opened = open_store(store)
    with opened.lock():
        planned = plan.plan(loaded, opened, only or ())
        planned.check_some()
        check_extras(job.spec for job in planned.todo)
        for note in planned.notes():
            typer.echo(note)
        if planned.todo:
            from harness.execution.launch import launch
            from harness.tracking import sync as sync_records

            progress = progress_for(Console(soft_wrap=True))
            progress.begin(len(planned.todo), len(planned.done))
            longest_first = plan.longest_first(planned.todo, plan.estimates(planned.todo, opened))
            try:
                launch(longest_first, opened, address=address, suite=loaded.name, progress=progress, slots=slots)
                mirrored = sync_records(opened, opened.mlflow_uri)  # records whose worker died before it logged them
                if mirrored.failed:
                    progress.note(f"{mirrored}: run 'symbench sync' later.")
                _compact_many(opened, progress)
            except KeyboardInterrupt:
                progress.note(RESUME_NOTE)
                raise typer.Exit(INTERRUPTED) from None
            finally:
                progress.end()
    _print_end(planned, opened)


@app.command()
def search(
    name: Annotated[
        str,
        typer.Argument(
            metavar="SEARCH",
            help="A search file, or the name of one in ray_configs/search.",
            autocompletion=completion.searches,
        ),
    ],
    overrides: SetOption = None,
    store: StoreOption = STORE,
    address: AddressOption = None,
    slots: SlotsOption = None,
) -> None:
    """Search for the settings with the best validation score and write them as a suite. Test data is not used."""
    from rich.console import Console

    from harness.execution.progress import progress_for
    from harness.search.loading import load
    from harness.search.results import table, title
    from harness.search.searching import run_search
    from harness.suites.plan import refuse_secrets

    require("symbench search", "optuna", "ray", "mlflow")
    loaded = load(name, overrides or ())
    refuse_secrets([loaded.example])
    progress = progress_for(Console(soft_wrap=True))
    try:
        found = run_search(loaded, store, address=address, progress=progress, slots=slots)
    except KeyboardInterrupt:
        progress.note(RESUME_NOTE)
        raise typer.Exit(INTERRUPTED) from None
    if found.suite is None:
        typer.echo(found.failure, err=True)
        raise typer.Exit(1)
    typer.echo(title(found.search))
    print_table(*table(found))
    for sentence in found.against_default.sentences() if found.against_default else ():
        typer.echo(sentence)
    typer.echo(f"Trials: {shown(found.folder / 'trials.parquet')} and trials.csv")
    typer.echo(f"Next: symbench run {shlex.quote(shown(found.suite))} tests the best with other seeds")


@app.command()
def status(
    suite: Annotated[
        str | None,
        typer.Argument(metavar="SUITE", help="Show only the suite with this name.", autocompletion=completion.suites),
    ] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Show the progress of the latest launch of each suite: runs done, running, failed and queued, pace, time left."""
    from dataclasses import asdict

    from harness.execution.status import watch

    found = watch(needed_store(store), suite)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1, default=str))
    else:
        _print_status(found)


def _compact_many(store: Store, progress: Progress) -> None:
    """Compacts a store that has many files of records, since it is read faster without them."""
    from harness.collate.kept import keep_rows
    from harness.records.compaction import WORTH, compact

    if len(store.record_files()) >= WORTH:
        try:
            progress.note(str(compact(store)))
            keep_rows(store)
        except SymbenchError as error:  # the records are not lost
            progress.note(f"{error} Run 'symbench compact' later.")


def _print_end(planned: Plan, store: Store) -> None:
    statuses = store.statuses()
    succeeded = sum(statuses.get(job.spec.digest) == "succeeded" for job in planned.jobs)
    failed = sum(statuses.get(job.spec.digest) == "failed" for job in planned.jobs)
    missing = len(planned.jobs) - succeeded - failed
    typer.echo(
        f"{planned.suite}: {len(planned.jobs)} runs, {succeeded} succeeded, {failed} failed, {missing} without a record"
    )
    typer.echo(f"Records: {shown(store.address)}")
    option = "" if store.address == str(Path(STORE).absolute()) else f" --store {shlex.quote(shown(store.address))}"
    if failed or missing:
        typer.echo(f"Next: symbench report{option} shows why runs failed; the same command tries them again.")
        raise typer.Exit(1)
    typer.echo(f"Next: symbench report{option}")


def _print_status(found: Sequence[LaunchState]) -> None:
    from harness.utils.text import duration

    rows = [
        [
            *(one.suite, one.state, str(one.runs), str(one.done), str(len(one.running)), str(one.failed)),
            str(one.queued),
            f"{one.per_minute:.3g}" if one.per_minute else "-",
            duration(one.seconds_left) if one.seconds_left is not None else "-",
            f"{one.started.astimezone():%Y-%m-%d %H:%M}",
        ]
        for one in found
    ]
    columns = ["suite", "state", "runs", "done", "running", "failed", "queued", "per minute", "left", "started"]
    print_table(columns, rows)
    for launch in found:
        for run in sorted(launch.running, key=lambda one: -one.seconds):
            typer.echo(f"running for {duration(run.seconds)}: {run.run}")
        if usage := launch.usage:
            counts = {unit: usage[unit.lower()] for unit in ("CPUs", "GPUs")}
            shares = ", ".join(f"{used:g} of {there:g} {unit}" for unit, (used, there) in counts.items() if there)
            typer.echo(f"cluster of {launch.suite}, nodes: {usage['nodes']}, in use: {shares}")
        if launch.state == "lost":
            typer.echo(f"{launch.suite}: its launch no longer writes its state; the same command resumes it.")
