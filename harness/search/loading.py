"""Reads a search from its file: found, parsed and validated (no torch)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from harness.errors import SuiteError
from harness.registry import renamed_methods
from harness.search.model import Search
from harness.search.space import Dimension
from harness.search.validation import check
from harness.suites import loading
from harness.suites.plugins import register
from harness.suites.source import Loc, SuiteFile
from harness.suites.validation import sentence, suite_keys

FOLDER = loading.FOLDER / "search"


def is_search(name: Path | str) -> bool:
    """Whether ``name`` is a search and not a suite. Raises :class:`SuiteError` for a file that is not YAML."""
    if Path(name).is_file():
        return "space" in SuiteFile(Path(name)).data
    return not (loading.FOLDER / f"{name}.yaml").is_file() and (FOLDER / f"{name}.yaml").is_file()


def load(path: Path | str, overrides: Sequence[str] = ()) -> Search:
    """The search in a file, or the bundled one of that name, with ``key.key=value`` overrides on top.

    Its plug-in files are registered. Raises :class:`SuiteError` with one sentence (file, line, the closest known name)
    for the first error in it.
    """
    file = SuiteFile(loading.locate(path, FOLDER, "search"), overrides)
    try:
        search = Search.model_validate({"name": file.path.stem, **file.data})
    except ValidationError as error:
        raise SuiteError(sentence(error, file, keys=_keys)) from error
    register(search.plugins, file)
    for name in renamed_methods([search.method]).values():
        search = search.model_copy(update={"method": name})
    check(search, file)
    return search


def _keys(loc: Loc) -> Iterable[str]:
    """The keys that the mapping at ``loc`` of a search may have."""
    match loc:
        case ():
            return Search.model_fields
        case ("space", _):
            return Dimension.model_fields
        case _:
            return suite_keys(loc)
