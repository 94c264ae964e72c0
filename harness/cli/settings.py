"""Commands that show what can be set: show, schema."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import completion
from harness.cli.options import JsonOption
from harness.cli.printing import print_table

if TYPE_CHECKING:
    from harness.settings_reference import Entry

app = typer.Typer()


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A method, or a task.", autocompletion=completion.tasks_and_methods),
    ],
    task: Annotated[
        str | None,
        typer.Option(
            "--task", metavar="TASK", help="The task that the method runs on.", autocompletion=completion.tasks
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show every setting: its default, its value under each protocol, what is accepted, what it means, its source."""
    from harness.settings_reference import entries

    found = entries(name, task)
    if as_json:
        typer.echo(json.dumps([entry.as_dict() for entry in found], indent=1))
        return
    for number, ((section, owner), group) in enumerate(groupby(found, lambda entry: (entry.section, entry.owner))):
        typer.echo(f"{chr(10) if number else ''}{section} ({owner})")
        _print_entries(list(group))


@app.command()
def schema(
    search: Annotated[bool, typer.Option("--search", help="The schema of search files.")] = False,
) -> None:
    """Print a JSON schema of suite files, with which editors complete and check them."""
    from harness.suites.schema import suite_schema

    if search:
        from harness.search.schema import search_schema

        typer.echo(json.dumps(search_schema(), indent=1))
    else:
        typer.echo(json.dumps(suite_schema(), indent=1))


def _print_entries(entries: list[Entry]) -> None:
    protocols = list(entries[0].values)
    columns = ["name", "default", *protocols, "accepted", "source", "meaning"]
    rows = [
        [
            entry.setting.name,
            *(_written(value) for value in (entry.setting.default, *entry.values.values())),
            entry.accepted or "-",
            entry.setting.source or "-",
            entry.setting.meaning or "-",
        ]
        for entry in entries
    ]
    print_table(columns, rows)


def _written(value: Any) -> str:
    """A value as it is written in a suite."""
    return value if isinstance(value, str) else json.dumps(value)
