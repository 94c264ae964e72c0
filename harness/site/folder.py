"""The folder of a site: what belongs to it, and how all its files are exchanged at once."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import SiteError
from tasks.sources.atomic_files import make_folder, sync, temporary

MARKER = "symbench-site.json"
FORMAT = 1
_OURS = r"^(index|(tasks|methods)/[a-z0-9_-]+)\.html$|^assets/[a-z]+\.(js|css)$|^bundles/[A-Za-z0-9._-]+\.zip$"

File = Annotated[str, Field(pattern=_OURS)]


class Marker(BaseModel):
    """What a site says about itself.

    Attributes:
        format: The version of the format.
        bundles: The files of its bundles, in the order in which they were added.
        pages: All other files.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    format: int = FORMAT
    bundles: list[File] = []
    pages: list[File] = []


def read_marker(folder: Path) -> Marker | None:
    """The marker of a site, or None if the folder does not exist or is empty.

    Raises:
        SiteError: The folder holds something that is no site.
    """
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return None
        marker = Marker.model_validate_json((folder / MARKER).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SiteError(
            f"{folder} holds files but no site: name an empty folder, or one that symbench wrote."
        ) from error
    except (OSError, ValidationError) as error:
        raise SiteError(
            f"{folder / MARKER} cannot be read: restore it, or write the site to another folder."
        ) from error
    if marker.format > FORMAT:
        raise SiteError(f"The site {folder} has format {marker.format}: update symbench to change it.")
    return marker


@contextlib.contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """A hidden folder beside the site for its new files; removed at the end.

    Raises:
        SiteError: Files cannot be written there.
    """
    stage = temporary(folder.absolute())
    try:
        make_folder(stage)
        yield stage
    except OSError as error:
        raise SiteError(f"The site cannot be written to {folder} ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def exchange(stage: Path, folder: Path, old: Sequence[str]) -> None:
    """Moves all files of ``stage`` to the site and removes the ``old`` ones. Other files of the folder stay.

    If one step fails or is interrupted, all are undone. Only a killed process can leave both old and new pages, and the
    next writing replaces them.

    Args:
        stage: The new files, synced to disk here.
        folder: The site.
        old: Files of the site to remove unless ``stage`` has them.

    Raises:
        OSError: A file cannot be moved.
        SiteError: A folder of the site is a link that leads out of it.
    """
    new = sorted(path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file())
    for name in new:
        sync(stage / name)
    if not folder.exists():
        os.replace(stage, folder)
        return
    names = sorted({*new, *old}, key=lambda name: (name == MARKER, name))
    _refuse_links_out(folder, names)
    with _kept(folder) as backup:
        was_there: dict[str, bool] = {}
        try:
            for name in names:
                was_there[name] = (folder / name).is_file()
                _move(folder / name, backup / name)
                _move(stage / name, folder / name)
        except BaseException:
            for name, was in was_there.items():
                _undo(folder / name, backup / name, was)
            raise
    sync(folder)


@contextlib.contextmanager
def _kept(folder: Path) -> Iterator[Path]:
    backup = temporary(folder.absolute())
    try:
        yield backup
    finally:
        shutil.rmtree(backup, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    """Moves a file; one that does not exist stays away."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)


def _undo(place: Path, backup: Path, was_there: bool) -> None:
    if backup.is_file():
        os.replace(backup, place)
    elif not was_there:
        place.unlink(missing_ok=True)


def _refuse_links_out(folder: Path, names: Sequence[str]) -> None:
    inside = folder.resolve()
    for parent in {(folder / name).parent for name in names}:
        if not parent.resolve().is_relative_to(inside):
            raise SiteError(f"{parent} is a link that leads out of the site: remove it.")
