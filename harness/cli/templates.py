"""The command that writes a plug-in: new."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="task, base, sampler or network.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the package, such as my_net.")],
    folder: Annotated[
        Path, typer.Option("--folder", metavar="PATH", help="Where the folder NAME is made.", show_default="here")
    ] = Path(),
) -> None:
    """Write a package with a task, a base model, a sampler or an equivariant network that works, to be changed."""
    from harness.templates.writing import KINDS, write

    made = write(kind, name, folder)
    typer.echo(
        f"{made} has {KINDS[kind].article} that works: change {made.name.replace('-', '_')}/{KINDS[kind].module}.py."
    )
    typer.echo(f"To check it: cd {made} && pytest. Its README.md says how to install and run it.")
