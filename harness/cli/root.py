"""The command ``symbench``. Torch, Ray, MLflow, Polars and plotly are imported by the commands that need them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli import jobs, launching, registered, results
from harness.errors import SymbenchError

app = typer.Typer(
    name="symbench",
    help="Compare ways to make a model symmetric: tasks x methods, from a suite file to a leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (registered, launching, jobs, results):
    app.add_typer(part.app)


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
