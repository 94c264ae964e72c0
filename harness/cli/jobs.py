"""Running suites on a cluster from outside of it: submit, jobs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import INTERRUPTED, JsonOption, OnlyOption, SetOption, SuiteArgument, dashboard, local
from harness.cli.printing import cell, print_table
from harness.errors import SymbenchError
from harness.utils.redaction import redacted

if TYPE_CHECKING:
    from harness.execution.jobs import JobServer
    from harness.spec import RunSpec

DashboardOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        parser=dashboard,
        metavar="URL",
        help="The cluster's dashboard, http://HEAD:8265 (default: RAY_API_SERVER_ADDRESS).",
    ),
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Print what the job prints, until it ends.")]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="A job, as symbench jobs lists them.")]

app = typer.Typer()
jobs_app = typer.Typer(help="List the jobs of a cluster, stop them, read their logs.", invoke_without_command=True)
app.add_typer(jobs_app, name="jobs")


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
        typer.Option(
            parser=local, metavar="FILE", help="A YAML file with Ray's runtime environment: env_vars, pip, ..."
        ),
    ] = None,
    follow: FollowOption = False,
) -> None:
    """Run a suite or a search on a cluster from outside of it: it travels there with this code, and goes on alone."""
    from harness.execution.jobs import JobServer
    from harness.execution.submission import Submission, job_folder, runtime_environment, sendable
    from harness.records.plugin_code import used_by
    from harness.search.model import FOLDER as SEARCHES
    from harness.search.model import is_search
    from harness.suites.model import locate

    search = is_search(suite)
    name, runs, specs = (_of_search if search else _of_suite)(suite, overrides or (), only or ())
    file = locate(suite, SEARCHES, "search") if search else locate(suite)
    submission = Submission(
        file=file, store=store, overrides=overrides or (), only=only or (), slots=slots, search=search
    )
    environment = runtime_environment(runtime_env)
    plugins = sendable(used_by(specs))
    server = JobServer(address)
    with job_folder(submission, plugins) as folder:
        job_id = server.submit(folder, submission.entrypoint, environment, name, redacted(store))
    typer.echo(f"Job {job_id}: {name}, {runs} runs, records in {redacted(store)}")
    if search:
        words = ["symbench", "search", suite, *(word for one in overrides or () for word in ("--set", one))]
        typer.echo(f"Once it has ended, {redacted(shlex.join([*words, '--store', store]))} shows here what it found.")
    if plugins:
        typer.echo(f"Sent along: {', '.join(f'{one.distribution} {one.version}' for one in plugins)}")
    if follow:
        _follow(server, job_id)
    else:
        typer.echo(f"Next: symbench jobs logs {job_id} --follow --address {redacted(server.address)}")


Asked = tuple[str, int, "list[RunSpec]"]
"""What is submitted: its name, how many runs that are, and those that show which plug-ins it needs."""


def _of_suite(suite: str, overrides: Sequence[str], only: Sequence[str]) -> Asked:
    from harness.suites import plan
    from harness.suites.model import load

    loaded = load(suite, overrides)
    planned = plan.plan(loaded, None, only)
    planned.check_some()
    return loaded.name, len(planned.jobs), [job.spec for job in planned.jobs]


def _of_search(search: str, overrides: Sequence[str], only: Sequence[str]) -> Asked:
    from harness.search.model import load

    if only:
        raise SymbenchError(f"--only picks runs of a suite, and {search} is a search: leave it out.")
    loaded = load(search, overrides)
    return loaded.suite_name, loaded.trials, [loaded.example.spec]


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
            cell(job.suite),
            f"{job.started:%Y-%m-%d %H:%M:%S} UTC" if job.started else "-",
            str(timedelta(seconds=round(job.seconds))) if job.seconds is not None else "-",
            cell(job.store),
        ]
        for job in found
    ]
    print_table(["job", "status", "suite", "started", "took", "store"], rows)


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
        if reason := server.job(job_id).reason:
            typer.echo(f"Job {job_id}: {reason}", err=True)


def _follow(server: JobServer, job_id: str) -> None:
    """Exit code 0 only if the job has succeeded; Ctrl-C ends the watching and not the job."""
    try:
        job = server.follow(job_id, lambda text: typer.echo(text, nl=False))
    except KeyboardInterrupt:
        typer.echo(f"The job goes on: 'symbench jobs stop {job_id}' ends it, 'symbench jobs logs {job_id}' watches it.")
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"Job {job_id}: {job.status}")
    if job.status != "SUCCEEDED":
        typer.echo(redacted(job.reason or job.message or ""), err=True)
        raise typer.Exit(job.exit_code or 1)
