"""The plug-in files that a suite or a search names (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import registry
from harness.errors import PluginError, SuiteError
from harness.plugins.plugin_file import read_file
from harness.suites.source import SuiteFile


def register(paths: Sequence[str], file: SuiteFile) -> None:
    """Registers plug-in files, whose paths are relative to the folder of ``file``.

    Raises:
        SuiteError: One of them cannot be used.
    """
    for index, path in enumerate(paths):
        try:
            registry.add_files([read_file(file.path.parent / Path(path).expanduser())])
        except PluginError as error:
            raise SuiteError(f"{file.where(('plugins', index))}: {error}") from error
