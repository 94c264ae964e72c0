"""The command ``symbench``. Torch, Ray, MLflow, Polars and plotly are imported by the commands that need them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import SymbenchError

if TYPE_CHECKING:
    import polars as pl

    from harness.checking import Verdict
    from harness.execution.jobs import JobServer
    from harness.execution.watching import LaunchState
    from harness.planning import Plan, Seconds
    from harness.records.store import Store
    from harness.report.against import Against
    from harness.spec import Job

STORE = "results/store"
INTERRUPTED = 130
GOES_ON = "Interrupted: every finished run has its record, and the same command goes on from there."

app = typer.Typer(
    name="symbench",
    help="Compare ways to make a model symmetric: tasks x methods, from a suite file to a leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SuiteArgument = Annotated[
    str, typer.Argument(metavar="SUITE", help="A suite file, or the name of one in ray_configs, such as quick.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the suite, such as settings.epochs=2."),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="FILTER", help="Only these pairs of the suite, such as task=nbody,method=gnn-*."),
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="STORE",
        envvar="SYMBENCH_STORE",
        help="The folder that holds the records, or an address such as s3://bucket/store.",
    ),
]
DashboardOption = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="URL", help="The cluster's dashboard, http://HEAD:8265 (default: RAY_API_SERVER_ADDRESS)."
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", metavar="ADDR", help="A Ray cluster to join; without it a local Ray is started."),
]
SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", min=1, metavar="N", help="How many runs at once on a local Ray (default: one a core)."),
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Print what the job prints, until it ends.")]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="A job, as symbench jobs lists them.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

jobs_app = typer.Typer(help="List the jobs of a cluster, stop them, read their logs.", invoke_without_command=True)
app.add_typer(jobs_app, name="jobs")


def main() -> None:
    """The console script: an error that the user can mend is one sentence on stderr, with exit code 2."""
    try:
        app()
    except SymbenchError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        from harness.doctor import symbench_version

        typer.echo(f"symbench {symbench_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def tasks(as_json: JsonOption = False) -> None:
    """List the registered tasks."""
    from harness import registry

    rows = [
        {
            "name": card.name,
            "group": card.group_name(card.params),
            "metric": card.metric,
            "direction": card.direction,
            "protocols": list(card.protocols),
            "version": card.version,
            "source": card.source,
        }
        for card in registry.tasks().values()
    ]
    _print_rows(rows, as_json)


@app.command()
def methods(as_json: JsonOption = False) -> None:
    """List the registered methods: base models with a sampler, and networks that are symmetric by construction."""
    from harness import registry

    rows = [
        {
            "name": card.name,
            "kind": card.kind,
            "base_model": card.base.name,
            "sampler": card.sampler.name if card.sampler else None,
            "version": card.version,
            "source": card.source,
        }
        for card in registry.methods().values()
    ]
    _print_rows(rows, as_json)


@app.command()
def plan(
    suite: SuiteArgument,
    overrides: SetOption = None,
    only: OnlyOption = None,
    store: StoreOption = STORE,
    cost: Annotated[
        bool, typer.Option("--cost", help="Estimate how long the runs to do will take, from the store's records.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the runs that a suite expands to, which of them have a record, and which pairs do not fit."""
    from harness import planning
    from harness.suite import load

    opened = _opened(store)
    found = planning.plan(load(suite, overrides or ()), opened, only or ())
    seconds = planning.estimates(found.todo, opened) if cost else None
    if as_json:
        typer.echo(json.dumps(_plan_values(found, seconds), indent=1))
    else:
        _print_plan(found)
        if seconds is not None:
            _print_cost(seconds)


@app.command()
def run(
    suite: SuiteArgument,
    overrides: SetOption = None,
    only: OnlyOption = None,
    store: StoreOption = STORE,
    address: AddressOption = None,
    slots: SlotsOption = None,
) -> None:
    """Execute the runs of a suite that have no record yet. Exit code 0 only if every run has succeeded."""
    from rich.console import Console

    from harness import planning
    from harness.execution.progress import progress_for
    from harness.records.opening import open_store
    from harness.suite import load

    loaded = load(suite, overrides or ())
    opened = open_store(store)
    with opened.lock():
        planned = planning.plan(loaded, opened, only or ())
        planned.check_some()
        if planned.todo:
            from harness.execution.launch import launch
            from harness.tracking import sync as sync_records

            progress = progress_for(Console(soft_wrap=True))
            progress.begin(len(planned.todo), len(planned.done))
            longest_first = planning.longest_first(planned.todo, planning.estimates(planned.todo, opened))
            try:
                launch(longest_first, opened, address=address, suite=loaded.name, progress=progress, slots=slots)
                mirrored = sync_records(opened, opened.mlflow_uri)  # what no worker lived to log
                if mirrored.failed:
                    progress.note(f"{mirrored}: run 'symbench sync' later.")
            except KeyboardInterrupt:
                progress.note(GOES_ON)
                raise typer.Exit(INTERRUPTED) from None
            finally:
                progress.end()
    _print_end(planned, opened)


@app.command()
def search(
    name: Annotated[
        str, typer.Argument(metavar="SEARCH", help="A search file, or the name of one in ray_configs/search.")
    ],
    overrides: SetOption = None,
    store: StoreOption = STORE,
    address: AddressOption = None,
    slots: SlotsOption = None,
) -> None:
    """Search settings that validate best, never looking at test data, and write the best ones as a suite."""
    from rich.console import Console

    from harness.execution.progress import progress_for
    from harness.search.file import load
    from harness.search.results import table
    from harness.search.searching import run_search

    loaded = load(name, overrides or ())
    progress = progress_for(Console(soft_wrap=True))
    try:
        found = run_search(loaded, store, address=address, progress=progress, slots=slots)
    except KeyboardInterrupt:
        progress.note(GOES_ON)
        raise typer.Exit(INTERRUPTED) from None
    if found.suite is None:
        typer.echo(found.failure, err=True)
        raise typer.Exit(1)
    Console().print(table(found))
    typer.echo(f"Trials: {_shown(found.folder / 'trials.parquet')} and trials.csv")
    typer.echo(f"Next: symbench run {shlex.quote(_shown(found.suite))} tests the best with other seeds")


@app.command()
def submit(
    suite: SuiteArgument,
    overrides: SetOption = None,
    only: OnlyOption = None,
    store: Annotated[
        str,
        typer.Option(
            metavar="DIR", envvar="SYMBENCH_STORE", help="A folder that all nodes see, or an address such as s3://..."
        ),
    ] = "",
    address: DashboardOption = None,
    slots: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many runs at once at most.")] = None,
    runtime_env: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A YAML file with Ray's runtime environment: env_vars, pip, ..."),
    ] = None,
    follow: FollowOption = False,
) -> None:
    """Run a suite on a cluster from outside of it: this code and the suite travel there, and the job goes on alone."""
    from harness import planning
    from harness.execution.jobs import JobServer
    from harness.execution.submission import Submission, runtime_environment, travelling
    from harness.suite import load

    loaded = load(suite, overrides or ())
    planned = planning.plan(loaded, None, only or ())
    planned.check_some()
    submission = Submission(suite=suite, store=store, overrides=overrides or (), only=only or (), slots=slots)
    environment = runtime_environment(runtime_env)
    server = JobServer(address)
    with travelling(submission) as folder:
        job_id = server.submit(folder, submission.entrypoint, environment, loaded.name, store)
    typer.echo(f"Job {job_id}: {loaded.name}, {len(planned.jobs)} runs, records in {store}")
    if follow:
        _follow(server, job_id)
    else:
        typer.echo(f"Next: symbench jobs logs {job_id} --follow --address {server.address}")


@jobs_app.callback()
def jobs(context: typer.Context, address: DashboardOption = None, as_json: JsonOption = False) -> None:
    """List the jobs of a cluster; its subcommands stop them and read their logs."""
    context.obj = address
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict
    from datetime import timedelta

    from harness.execution.jobs import JobServer

    found = JobServer(address).jobs()
    if as_json:
        typer.echo(json.dumps([asdict(job) for job in found], indent=1, default=str))
        return
    rows = [
        [
            job.id,
            job.status,
            _cell(job.suite),
            f"{job.started:%Y-%m-%d %H:%M:%S} UTC" if job.started else "-",
            str(timedelta(seconds=round(job.seconds))) if job.seconds is not None else "-",
            _cell(job.store),
        ]
        for job in found
    ]
    _print_table(["job", "status", "suite", "started", "took", "store"], rows)


@jobs_app.command("stop")
def stop_job(context: typer.Context, job_id: JobArgument, address: DashboardOption = None) -> None:
    """End a job: its finished runs keep their records, and submitting the suite again does the rest."""
    from harness.execution.jobs import JobServer

    server = JobServer(address or context.obj)
    if server.stop(job_id):
        typer.echo(f"Job {job_id} is told to end.")
    else:
        typer.echo(f"Job {job_id} has ended already ({server.job(job_id).status}).")


@jobs_app.command("logs")
def job_logs(
    context: typer.Context, job_id: JobArgument, follow: FollowOption = False, address: DashboardOption = None
) -> None:
    """Print what a job has printed."""
    from harness.execution.jobs import JobServer

    server = JobServer(address or context.obj)
    if follow:
        _follow(server, job_id)
    else:
        typer.echo(server.log(job_id), nl=False)


@app.command()
def status(
    suite: Annotated[str | None, typer.Argument(metavar="SUITE", help="Only the suite of this name.")] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Say how far the latest launch of each suite is: runs done, running, failed and queued, pace and time left."""
    from dataclasses import asdict

    from harness.execution.watching import watch

    found = watch(_existing(store), suite)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1, default=str))
    else:
        _print_status(found)


@app.command()
def check(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="A method, as symbench methods lists them.")],
    task: Annotated[str, typer.Option("--task", metavar="TASK", help="The task whose symmetry is meant.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as sampler.noise_scale=0.1."),
    ] = None,
    samples: Annotated[
        str, typer.Option(metavar="K,K,...", help="Numbers of group elements to compare.")
    ] = "1,4,16,64",
    universality: Annotated[
        bool, typer.Option("--universality", help="Also train it at three widths on random equivariant targets.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Test whether a method, with random weights, is as symmetric as it claims. Exit code 0 only if it is."""
    counts = _whole_numbers(samples)

    from dataclasses import asdict

    from harness import checking

    found = checking.subject(method, task, overrides or ())
    verdicts = checking.check(found, counts, universality)
    if as_json:
        typer.echo(json.dumps({"method": method, "task": task, "checks": [asdict(v) for v in verdicts]}, indent=1))
    else:
        _print_verdicts(f"{method} on {task}", verdicts)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


@app.command()
def collate(store: StoreOption = STORE) -> None:
    """Collect the records into the tables runs, accuracy, sample_complexity and scaling (Parquet and CSV)."""
    from harness.collate import collate as collate_tables

    opened = _existing(store)
    collate_tables(opened)
    typer.echo(f"Tables: {_shown(opened.root.parent / 'tables')}")


@app.command()
def report(
    store: StoreOption = STORE,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the leaderboard goes (default: beside the store).")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Earlier results, a store or a bundle: say what moved by more than noise."),
    ] = None,
) -> None:
    """Collate, and write leaderboard.html, leaderboard.md and leaderboard.tex.

    With --against, exit code 1 if a result is worse by more than noise, or lost since every run of it failed.
    """
    from harness.collate import collate as collate_tables
    from harness.report import write_report

    opened = _existing(store)
    tables = collate_tables(opened)
    moved = _moved(tables.runs, against) if against else None
    for path in write_report(tables, opened, out or opened.root.parent, moved):
        typer.echo(f"Report: {_shown(path)}")
    if moved and moved.regressed:
        raise typer.Exit(1)


def _moved(runs: pl.DataFrame, path: Path) -> Against:
    """What moved since the results at ``path``, printed."""
    from harness.collate.regression import regression
    from harness.exchange.reference import reference_runs
    from harness.report.against import against

    found = against(regression(runs, reference_runs(path)), str(path))
    if found.table.rows:
        rows = [[cell.text for cell in row] for row in found.table.rows]
        _print_table([column.title for column in found.table.columns], rows)
    for sentence in found.sentences:
        typer.echo(sentence)
    return found


@app.command()
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or a file that ends in .zip.")],
    store: StoreOption = STORE,
    suites: Annotated[
        list[str] | None, typer.Option("--suite", metavar="NAME", help="Only the runs of this suite.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What others see beside these runs (default: that of OUT).")
    ] = None,
) -> None:
    """Write the store's own records and their tables as a bundle that others can check and import."""
    from harness.exchange.exporting import export as export_bundle

    manifest = export_bundle(_existing(store), out, suites=suites or (), name=name)
    typer.echo(f"Bundle: {_shown(out)} ({manifest.runs:,} runs, {manifest.source})")


@app.command(name="import")
def import_(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What symbench export wrote, folder or .zip.")],
    store: StoreOption = STORE,
) -> None:
    """Check a bundle's checksums and digests, and take its records in, kept apart from those of this store."""
    from harness.exchange.importing import import_bundle
    from harness.records.opening import open_store

    for sentence in import_bundle(open_store(store), bundle).sentences():
        typer.echo(sentence)


@app.command()
def ui(
    store: StoreOption = STORE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on this machine.")] = 5000,
) -> None:
    """Start MLflow's pages over the store, on this machine only, and print the page that compares the runs."""
    from harness.tracking import serve

    serve(_existing(store), port, announce=typer.echo)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="METHOD", help="A method, such as mlp-learned.")],
    second: Annotated[str, typer.Argument(metavar="METHOD", help="Another one, such as mlp-haar.")],
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="On this task only.")] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Hold two methods against each other on the seeds that both ran, with 95 % bootstrap intervals."""
    from harness.collate import collate as collate_tables
    from harness.collate.comparison import compare as compare_runs
    from harness.report.comparing import as_values, sentences, table
    from harness.tracking.connection import is_server
    from harness.tracking.server import HOST, PORT, compare_url_of

    opened = _existing(store)
    found = compare_runs(collate_tables(opened).runs, first, second, task)
    if as_json:
        typer.echo(json.dumps(as_values(found), indent=1))
        return
    _print_table(*table(found, first, second))
    for sentence in sentences(found, first, second):
        typer.echo(sentence)
    digests = [digest for one in found for digest in one.digests]
    uri = opened.mlflow_uri
    pages = uri if is_server(uri) else f"http://{HOST}:{PORT}"
    if page := compare_url_of(digests, pages, uri):
        typer.echo(f"In MLflow{'' if pages == uri else ', while symbench ui runs'}: {page}")


@app.command()
def sync(store: StoreOption = STORE) -> None:
    """Log to MLflow every record that it lacks."""
    from harness.tracking import sync as sync_records

    opened = _existing(store)
    result = sync_records(opened, opened.mlflow_uri)
    typer.echo(str(result))
    if result.failed:
        raise typer.Exit(1)


@app.command()
def doctor(
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also start a local Ray, which takes some seconds.")] = False,
) -> None:
    """Check versions, devices, Ray, MLflow, disk and data. Exit code 1 if there is a problem."""
    from dataclasses import asdict

    from harness.doctor import examine

    findings = examine(store, deep=deep)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            advice = f" -> {finding.advice}" if finding.advice else ""
            typer.echo(f"{finding.status:8}  {finding.name:{width}}  {finding.text}{advice}")
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


def _opened(store: str) -> Store | None:
    """The store, if there is one: commands that only read never create it."""
    from harness.records.opening import existing_store

    return existing_store(store)


def _existing(store: str) -> Store:
    opened = _opened(store)
    if opened is None:
        raise SymbenchError(
            f"There is no store at {store}: make one with 'symbench run quick' or name one with --store."
        )
    return opened


def _follow(server: JobServer, job_id: str) -> None:
    """Exit code 0 only if the job has succeeded; Ctrl-C ends the watching and not the job."""
    try:
        job = server.follow(job_id, lambda text: typer.echo(text, nl=False))
    except KeyboardInterrupt:
        typer.echo(f"The job goes on: 'symbench jobs stop {job_id}' ends it, 'symbench jobs logs {job_id}' watches it.")
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"Job {job_id}: {job.status}")
    if job.status != "SUCCEEDED":
        typer.echo((job.message or "").partition("\n")[0], err=True)
        raise typer.Exit(job.exit_code or 1)


def _print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        columns = [key for key in rows[0] if key not in ("version", "direction")]
        _print_table(columns, [[_cell(row[column]) for column in columns] for row in rows])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """One line a row, never cut, so that it can be searched; the last column is not padded."""
    lines = [columns, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns) - 1)]
    for line in lines:
        typer.echo("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]))


def _plan_values(found: Plan, seconds: Seconds | None) -> dict[str, Any]:
    def about(job: Job) -> dict[str, Any]:
        estimate = seconds.get(job.spec.digest) if seconds is not None else None
        return {"seconds": estimate.seconds, "estimated_from": estimate.source} if estimate is not None else {}

    return {
        "suite": found.suite,
        "total": len(found.jobs),
        "done": len(found.done),
        "failed": len(found.failed),
        "todo": len(found.todo),
        "runs": [
            {"digest": job.spec.digest, "state": found.state(job), **about(job), **job.spec.to_dict()}
            for job in found.jobs
        ],
        "misfits": [pair._asdict() for pair in found.misfits],
    }


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise SymbenchError(f"--samples {text}: write whole numbers with commas, such as 1,4,16,64.") from None


def _print_verdicts(title: str, verdicts: Sequence[Verdict]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("k", "equivariance error", title=title, title_justify="left")
    numbers = verdicts[0].numbers
    for count, error in zip(numbers["samples"], numbers["errors"], strict=True):
        table.add_row(str(count), f"{error:.2e}")
    Console(soft_wrap=True).print(table)
    for verdict in verdicts:
        typer.echo(f"{'passed' if verdict.passed else 'FAILED'}  {verdict.check}: {verdict.sentence}")


def _print_status(found: Sequence[LaunchState]) -> None:
    from harness.execution.progress import duration

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
    _print_table(columns, rows)
    for launch in found:
        for run in sorted(launch.running, key=lambda one: -one.seconds):
            typer.echo(f"running for {duration(run.seconds)}: {run.run}")
        if usage := launch.usage:
            counts = {unit: usage[unit.lower()] for unit in ("CPUs", "GPUs")}
            shares = ", ".join(f"{used:g} of {there:g} {unit}" for unit, (used, there) in counts.items() if there)
            typer.echo(f"cluster of {launch.suite}, nodes: {usage['nodes']}, in use: {shares}")
        if launch.state == "lost":
            typer.echo(f"{launch.suite}: its launch says nothing any more; the same command goes on from there.")


def _print_plan(found: Plan) -> None:
    from harness.execution.progress import task_label

    rows = []
    for jobs, differs in found.lines():
        spec, states = jobs[0].spec, [found.state(job) for job in jobs]
        counts = [str(count) for count in (len(states), states.count("done"), states.count("failed"))]
        rows.append([task_label(spec), spec.method, spec.protocol, *counts, differs or "-"])
    _print_table(["task", "method", "protocol", "runs", "done", "failed", "settings"], rows)
    for pair in found.misfits:
        typer.echo(f"does not fit: {pair.task} x {pair.method}: {pair.reason}")
    typer.echo(
        f"{found.suite}: {len(found.jobs)} runs, {len(found.done)} have a record, {len(found.todo)} to do "
        f"({len(found.failed)} of them failed before), {len(found.misfits)} pairs do not fit"
    )


def _print_cost(seconds: Seconds) -> None:
    from harness.execution.progress import duration

    known = [estimate for estimate in seconds.values() if estimate is not None]
    rough = sum(estimate.source == "pair" for estimate in known)
    total = f"about {duration(sum(estimate.seconds for estimate in known))}" if known or not seconds else "unknown time"
    typer.echo(
        f"{total} on one worker: {len(known) - rough} runs as their settings took before, "
        f"{rough} roughly from other settings of their pair, {len(seconds) - len(known)} without any record to go by"
    )


def _print_end(planned: Plan, store: Store) -> None:
    statuses = store.statuses()
    succeeded = sum(statuses.get(job.spec.digest) == "succeeded" for job in planned.jobs)
    failed = sum(statuses.get(job.spec.digest) == "failed" for job in planned.jobs)
    missing = len(planned.jobs) - succeeded - failed
    typer.echo(
        f"{planned.suite}: {len(planned.jobs)} runs, {succeeded} succeeded, {failed} failed, {missing} without a record"
    )
    typer.echo(f"Records: {_shown(store.address)}")
    option = "" if store.address == str(Path(STORE).absolute()) else f" --store {shlex.quote(_shown(store.address))}"
    if failed or missing:
        typer.echo(f"Next: symbench report{option} shows why runs failed; the same command tries them again.")
        raise typer.Exit(1)
    typer.echo(f"Next: symbench report{option}")


def _shown(path: Path | str) -> str:
    """The path as seen from the current folder, where it is inside it."""
    folder = Path(path)
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    main()
