"""Reads a suite from its file: found, parsed and validated (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from harness.errors import SuiteError, UnknownName
from harness.suites.model import Suite
from harness.suites.plugins import register
from harness.suites.source import SuiteFile
from harness.suites.validation import check_names, sentence
from harness.utils.text import nearest

FOLDER = Path(__file__).resolve().parents[2] / "ray_configs"


def load(path: Path | str, overrides: Sequence[str] = ()) -> Suite:
    """The suite in a file, or the bundled one of that name, with ``key.key=value`` overrides on top.

    Its plug-in files are registered. Raises :class:`SymbenchError` with one sentence (file, line, the closest known
    name) for the first error in it.
    """
    file = SuiteFile(locate(path), overrides)
    _refuse_search(file)
    try:
        suite = Suite.model_validate({"name": file.path.stem, **file.data})
    except ValidationError as error:
        raise SuiteError(sentence(error, file)) from error
    register(suite.plugins, file)
    suite = suite.under_current_names()
    check_names(suite, file)
    suite._file = file
    return suite


def _refuse_search(file: SuiteFile) -> None:
    """Raises :class:`SymbenchError` for a search, which has a space of settings and no experiments."""
    if "space" in file.data and "experiments" not in file.data:
        raise SuiteError(_of_a_search(file.path))


def _of_a_search(path: Path) -> str:
    return (
        f"{path} is a search, not a suite: 'symbench search {path}' runs it, on a cluster with --address HOST:PORT, "
        "and 'symbench submit' sends it to one."
    )


def locate(suite: Path | str, folder: Path = FOLDER, kind: str = "suite") -> Path:
    """The file of a suite, given by its path or by its name in ``folder``."""
    path, bundled = Path(suite), folder / f"{suite}.yaml"
    if path.is_file():
        return path
    if bundled.is_file():
        return bundled
    if kind == "suite" and (search := folder / "search" / f"{suite}.yaml").is_file():
        raise SuiteError(_of_a_search(search))
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    hint = f": {nearest(str(suite), names)}" if names else ": give the path of a YAML file."
    raise UnknownName(f"There is no {kind} file '{suite}'{hint}")
