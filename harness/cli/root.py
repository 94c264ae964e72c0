"""The command ``symbench``. Torch, Ray, MLflow, Polars and plotly are imported by the commands that need them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness.cli import jobs, launching, registered, results, settings
from harness.cli.options import INTERRUPTED, MISTAKE
from harness.errors import SymbenchError
from harness.plugins.entry_points import read_past_damage
from harness.utils.interrupts import interruptible
from harness.utils.redaction import redacted

_UsageError: Any = typer.BadParameter.__base__
"""Typer does not export it."""


class _Commands(TyperGroup):
    """What was typed wrongly is one sentence, as all mistakes are, and an interrupt is another."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _said_plainly():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _said_plainly():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted: what was finished is kept, and the same command starts again.", err=True)
            raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        about = error.ctx.command_path if error.ctx else "symbench"
        said = " ".join(error.format_message().split()).rstrip(".")
        raise SymbenchError(f"{said}: '{about} --help' says what there is.") from error


app = typer.Typer(
    name="symbench",
    cls=_Commands,
    help="Compare ways to make a model symmetric: tasks x methods, from a suite file to a leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (registered, settings, launching, jobs, results):
    app.add_typer(part.app)


def main() -> None:
    """The console script: an error that the user can mend is one sentence on stderr, with exit code 2.

    SIGTERM and SIGHUP end it as Ctrl-C does, with 143 and 129.
    """
    with interruptible() as asked:
        if warning := read_past_damage():
            typer.echo(warning, err=True)
        try:
            app()
        except SymbenchError as error:
            typer.echo(redacted(str(error)), err=True)
            sys.exit(asked.exit_code or MISTAKE)
        except OSError as error:  # what no command foresaw: a disk that is full, a folder that may not be read, ...
            said = " ".join(str(error.strerror or error).split()) + (f" ({error.filename})" if error.filename else "")
            typer.echo(redacted(f"{said}: see to it, then give the command again."), err=True)
            sys.exit(asked.exit_code or MISTAKE)
        except SystemExit:
            if asked.number in (signal.SIGTERM, signal.SIGHUP):
                sys.exit(asked.exit_code)
            raise


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
