"""Running suites on a cluster from outside of it: submit, jobs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import INTERRUPTED, JsonOption, OnlyOption, SetOption, SuiteArgument
from harness.cli.printing import cell, print_table

if TYPE_CHECKING:
    from harness.execution.jobs import JobServer

DashboardOption = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="URL", help="The cluster's dashboard, http://HEAD:8265 (default: RAY_API_SERVER_ADDRESS)."
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
