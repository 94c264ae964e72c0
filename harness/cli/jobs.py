"""Commands that run suites on a remote cluster: submit, jobs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import INTERRUPTED, JsonOption, OnlyOption, SetOption, SuiteArgument, dashboard, local
from harness.cli.printing import cell, print_table
from harness.errors import SettingsError
from harness.utils.redaction import redacted
from tasks.extras import require

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
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Print the output of the job until it ends.")]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="The ID of a job, as listed by symbench jobs.")]

app = typer.Typer()
jobs_app = typer.Typer(help="List the jobs of a cluster, stop them, print their logs.", invoke_without_command=True)
app.add_typer(jobs_app, name="jobs")


@app.command()
def submit(
    suite: SuiteArgument,
    overrides: SetOption = None,
    only: OnlyOption = None,
    store: Annotated[
        str,
        typer.Option(
            metavar="DIR", envvar="SYMBENCH_STORE", help="A folder that all nodes share, or an address such as s3://..."
        ),
    ] = "",
    address: DashboardOption = None,
    slots: Annotated[int | None, typer.Option(min=1, metavar="N", help="The maximum number of runs at once.")] = None,
    runtime_env: Annotated[
        Path | None,
        typer.Option(
            parser=local, metavar="FILE", help="A YAML file with Ray's runtime environment: env_vars, pip, ..."
        ),
    ] = None,
    follow: FollowOption = False,
) -> None:
    """Run a suite or a search on a remote cluster. It is sent there together with this code."""
    from harness import registry
    from harness.execution.jobs import JobServer
    from harness.execution.submission import Submission, job_folder, runtime_environment, sendable
    from harness.records.plugin_code import used_by
    from harness.search.loading import FOLDER as SEARCHES
    from harness.search.loading import is_search
    from harness.suites.loading import locate

    require("symbench submit", "ray", "aiohttp")
    search = is_search(suite)
    name, runs, specs = (_of_search if search else _of_suite)(suite, overrides or (), only or ())
    file = locate(suite, SEARCHES, "search") if search else locate(suite)
    submission = Submission(
        file=file,
        store=store,
        overrides=overrides or (),
        only=only or (),
        slots=slots,
        search=search,
        plugin_files=registry.files(),
    )
    environment = runtime_environment(runtime_env)
    plugins = sendable(used_by(specs))
    server = JobServer(address)
    with job_folder(submission, plugins) as folder:
        job_id = server.submit(folder, submission.entrypoint, environment, name, redacted(store))
    typer.echo(f"Job {job_id}: {name}, {runs} runs, records in {redacted(store)}")
    if search:
        words = ["symbench", "search", suite, *(word for one in overrides or () for word in ("--set", one))]
        words += [word for one in submission.plugin_files for word in ("--plugin", one.path)]
        typer.echo(f"Once it has ended, {redacted(shlex.join([*words, '--store', store]))} shows its results here.")
    sent = [f"{one.distribution} {one.version}" for one in plugins]
    if sent := [*sent, *(f"{file.name} {file.version}" for file in submission.plugin_files)]:
        typer.echo(f"Sent along: {', '.join(sent)}")
    if follow:
        _follow(server, job_id)
    else:
        typer.echo(f"Next: symbench jobs logs {job_id} --follow --address {redacted(server.address)}")


Submitted = tuple[str, int, "list[RunSpec]"]
"""The name of what is submitted, its number of runs, and the runs from which the plug-ins it needs are known."""


def _of_suite(suite: str, overrides: Sequence[str], only: Sequence[str]) -> Submitted:
    from harness.suites import plan
    from harness.suites.loading import load

    loaded = load(suite, overrides)
    planned = plan.plan(loaded, None, only)
    planned.check_some()
    return loaded.name, len(planned.jobs), [job.spec for job in planned.jobs]


def _of_search(search: str, overrides: Sequence[str], only: Sequence[str]) -> Submitted:
    from harness.search.loading import load

    if only:
        raise SettingsError(f"--only picks runs of a suite, and {search} is a search: leave it out.")
    loaded = load(search, overrides)
    return loaded.suite_name, loaded.most_runs, [loaded.example.spec]


@jobs_app.callback()
def jobs(context: typer.Context, address: DashboardOption = None, as_json: JsonOption = False) -> None:
    """List the jobs of a cluster; subcommands stop them and print their logs."""
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
    """Stop a job. Finished runs keep their records; submitting the suite again runs the rest."""
    from harness.execution.jobs import JobServer

    server = JobServer(address or context.obj)
    if server.stop(job_id):
        typer.echo(f"Job {job_id} is being stopped.")
    else:
        typer.echo(f"Job {job_id} has ended already ({server.job(job_id).status}).")


@jobs_app.command("logs")
def job_logs(
    context: typer.Context, job_id: JobArgument, follow: FollowOption = False, address: DashboardOption = None
) -> None:
    """Print the output of a job."""
    from harness.execution.jobs import JobServer

    server = JobServer(address or context.obj)
    if follow:
        _follow(server, job_id)
    else:
        typer.echo(server.log(job_id), nl=False)
        if reason := server.job(job_id).reason:
            typer.echo(f"Job {job_id}: {reason}", err=True)


def _follow(server: JobServer, job_id: str) -> None:
    """Prints the output of a job until it ends. The exit code is 0 only if it succeeds; Ctrl-C does not stop it."""
    try:
        job = server.follow(job_id, lambda text: typer.echo(text, nl=False))
    except KeyboardInterrupt:
        typer.echo(f"The job is still running: stop it with 'symbench jobs stop {job_id}'.")
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"Job {job_id}: {job.status}")
    if job.status != "SUCCEEDED":
        typer.echo(redacted(job.reason or job.message or ""), err=True)
        raise typer.Exit(job.exit_code or 1)
