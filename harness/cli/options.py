"""Options and arguments that several commands share, and their parsers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from harness.cli import completion
from harness.errors import SettingsError


def local(text: str) -> Path:
    """A path on this machine. Raises :class:`SettingsError` for an address such as ``s3://...``."""
    if "://" in text:
        raise SettingsError(f"{text} is an address: name a file or a folder on this machine.")
    return _path(text)


def store_place(text: str) -> str:
    """The value of ``--store``: a folder that exists or can be created, or an address."""
    scheme, found, rest = text.partition("://")
    if found and scheme != "file":
        if not scheme or not rest.strip("/") or scheme in ("http", "https"):
            raise SettingsError(f"--store {text}: name a folder, or an address such as s3://bucket/store.")
        return text
    folder = _path(rest if found else text)
    taken = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if taken is not None:
        raise SettingsError(f"{taken} is a file, and a store is a folder: choose another --store.")
    return text


def cluster(text: str) -> str:
    """The address of a Ray cluster."""
    from harness.execution.address import check_address

    check_address(text)
    return text


def dashboard(text: str) -> str:
    """The URL of a dashboard, which accepts jobs."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise SettingsError(f"--address {text}: jobs go to the head's dashboard, such as http://HEAD:8265.")
    return text


def _path(text: str) -> Path:
    if not text:
        raise SettingsError("The path of a file or folder is empty: write its path, or '.' for the current folder.")
    try:
        path = Path(text).expanduser()
        path.exists()  # raises for an invalid name
    except (RuntimeError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise SettingsError(f"{text[:100]} cannot be used as a path ({reason}): choose another.") from error
    return Path(text)


STORE = "results/store"
MISTAKE, INTERRUPTED = 2, 130

SuiteArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUITE",
        help="A suite file, or the name of one in ray_configs, such as quick.",
        autocompletion=completion.suites,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the suite, such as settings.epochs=2.",
        autocompletion=completion.settings,
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="FILTER",
        help="Only these pairs of the suite, such as task=nbody,method=gnn-*.",
        autocompletion=completion.filters,
    ),
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        parser=store_place,
        metavar="STORE",
        envvar="SYMBENCH_STORE",
        help="The folder that holds the records, or an address such as s3://bucket/store.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address", parser=cluster, metavar="ADDR", help="The address of a Ray cluster (default: start a local Ray)."
    ),
]
SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", min=1, metavar="N", help="How many runs at once on a local Ray (default: one per core)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _register(paths: list[str] | None) -> None:
    """Registers plug-in files before the other options are read."""
    if paths:
        from harness import registry
        from harness.plugins.plugin_file import read_file

        registry.add_files(map(read_file, paths))


PluginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_register,
        help="A Python file whose tasks, base models, samplers and methods are registered.",
    ),
]
"""Every command has this option, see :mod:`harness.cli.root`."""
