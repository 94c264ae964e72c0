"""The options that several commands share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import SymbenchError


def local(text: str) -> Path:
    """A path on this machine. As one, an address would be a folder named ``s3:``."""
    if "://" in text:
        raise SymbenchError(f"{text} is an address: name a file or a folder on this machine.")
    return Path(text)


STORE = "results/store"
INTERRUPTED = 130

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
AddressOption = Annotated[
    str | None,
    typer.Option("--address", metavar="ADDR", help="A Ray cluster to join; without it a local Ray is started."),
]
SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", min=1, metavar="N", help="How many runs at once on a local Ray (default: one a core)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
