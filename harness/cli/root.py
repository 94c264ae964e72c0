"""The command ``symbench``. Torch, Ray, MLflow, Polars and plotly are imported by the commands that need them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness.cli import checking, completion, jobs, launching, registered, results, settings, site, templates
from harness.cli.options import INTERRUPTED, MISTAKE, PluginOption
from harness.errors import SettingsError, SymbenchError
from harness.plugins.entry_points import check_entry_points
from harness.utils.interrupts import interruptible
from harness.utils.redaction import redacted
from tasks.extras import named_extras

_UsageError: Any = typer.BadParameter.__base__
"""The class of errors in arguments, which Typer does not export."""


class _Commands(TyperGroup):
    """Reports wrong arguments and interrupts in one sentence, and gives ``--plugin`` to every command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        plugin = next(option for option in self.params if "--plugin" in option.opts)
        for command in _below(self):
            command.params.append(plugin)

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _one_sentence():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _one_sentence():
            return super().invoke(ctx)


def _below(group: TyperGroup) -> Iterator[Any]:
    """The commands of a group and of the groups in it."""
    for command in group.commands.values():
        yield command
        if isinstance(command, TyperGroup):
            yield from _below(command)


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Interrupted: what was finished is kept, and the same command starts again.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        about = error.ctx.command_path if error.ctx else "symbench"
        message = " ".join(error.format_message().split()).rstrip(".")
        raise SettingsError(f"{message}: see '{about} --help'.") from error


app = typer.Typer(
    name="symbench",
    cls=_Commands,
    help="Compare ways to make a model symmetric: tasks x methods, from a suite file to a leaderboard.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for part in (registered, checking, settings, templates, launching, jobs, results, site):
    app.add_typer(part.app)


def main() -> None:
    """The console script. A :class:`SymbenchError` is printed as one sentence on stderr; the exit code is then 2.

    SIGTERM and SIGHUP interrupt it like Ctrl-C, with the exit codes 143 and 129.
    """
    with interruptible() as interrupts:
        if (warning := check_entry_points()) and not completion.asked():
            typer.echo(warning, err=True)
        try:
            with named_extras():
                app(prog_name="symbench")
        except SymbenchError as error:
            typer.echo(redacted(str(error)), err=True)
            sys.exit(interrupts.exit_code or MISTAKE)
        except OSError as error:  # not handled by the command: a full disk, a folder without permission, ...
            reason = " ".join(str(error.strerror or error).split()) + (f" ({error.filename})" if error.filename else "")
            typer.echo(redacted(f"{reason}: solve this and run the command again."), err=True)
            sys.exit(interrupts.exit_code or MISTAKE)
        except SystemExit:
            if interrupts.number in (signal.SIGTERM, signal.SIGHUP):
                sys.exit(interrupts.exit_code)
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
    plugins: PluginOption = None,
) -> None:
    pass
