"""A plug-in that is a single Python file, in the form in which it is read and sent (no torch)."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from harness.errors import PluginError

VERSION_CHARACTERS = 12


@dataclass(frozen=True, kw_only=True)
class PluginFile:
    """A file as it was read, in the form in which it is sent to other processes.

    Attributes:
        path: Where it was read, which need not exist in this process.
        content: Its bytes.
    """

    path: str
    content: bytes

    @property
    def name(self) -> str:
        """Its name without the folder, under which records list it."""
        return PurePath(self.path).name

    @cached_property
    def digest(self) -> str:
        """The SHA-256 digest of its content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def version(self) -> str:
        """The beginning of its digest, since a file has no version."""
        return self.digest[:VERSION_CHARACTERS]

    @property
    def module(self) -> str:
        """The name of its module."""
        stem = re.sub(r"\W", "_", PurePath(self.path).stem)
        return f"plugin_file_{stem}_{self.version}"


def read_file(path: Path | str) -> PluginFile:
    """Reads a plug-in file.

    Raises:
        PluginError: There is no such file, or it is no Python file.
    """
    place = Path(os.path.expanduser(path))
    if os.path.isdir(place):
        raise PluginError(
            f"{place} is a folder, and a plug-in is one Python file: name that file, or install the package in the "
            "folder ('pip install -e')."
        )
    if place.suffix != ".py":
        raise PluginError(f"{place} is no Python file: the name of a plug-in file ends in .py.")
    try:
        return PluginFile(path=str(place.absolute()), content=place.read_bytes())
    except FileNotFoundError:
        raise PluginError(f"There is no plug-in file {place}.") from None
    except (OSError, ValueError) as error:  # ValueError: a path that no system has
        reason = getattr(error, "strerror", None) or error
        raise PluginError(f"The plug-in file {place} cannot be read: {reason}.") from error
