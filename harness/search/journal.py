"""The trials of a search in the order of their proposal. A search resumes from this file and the records of trials."""

from __future__ import annotations

import json
import os
from typing import Any

from harness import registry
from harness.errors import StoreError
from harness.records.store import Store
from harness.renames import current_name
from harness.search.model import Search
from harness.search.space import Values
from tasks.sources.atomic_files import publish

TRIALS, IDENTITY = "trials.jsonl", "search.json"
SHARED = ("task", "method", "protocol", "settings", "task_params", "base", "sampler", "seed", "metric")


class Journal:
    """The file ``trials.jsonl`` in the store of a search, with one point of the space on each line, each once.

    An incomplete last line is removed. Raises :class:`StoreError` if the folder belongs to another search or cannot
    be written.
    """

    def __init__(self, store: Store, search: Search) -> None:
        self._store = store
        try:
            self._compare(search)
            self._path = store.bring(store.root / TRIALS)
            self.points = self._read()
        except (OSError, ValueError) as error:
            raise StoreError(f"The search in {store.address} cannot be read ({error}): remove that folder.") from error

    def add(self, values: Values) -> None:
        """Appends a point and syncs the file, unless the point is in it."""
        if values in self.points:
            return
        self.points.append(dict(values))
        with self._store.sharing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> list[dict[str, Any]]:
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self._path.write_text(whole, encoding="utf-8")
        return [json.loads(line) for line in whole.splitlines()]

    def _compare(self, search: Search) -> None:
        wanted, path = _identity(search), self._store.bring(self._store.root / IDENTITY)
        if not path.exists():
            with self._store.sharing(path):
                publish({path: json.dumps(wanted, indent=1).encode()})
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        if not registry.is_method(found["method"]):
            found["method"] = current_name(found["method"])
        if other := [name for name in wanted if wanted[name] != found.get(name)]:
            raise StoreError(
                f"The search '{search.name}' in {self._store.address} has other {', '.join(other)}: "
                f"give this one another name (--set name={search.name}2) or remove that folder."
            )


def _identity(search: Search) -> dict[str, Any]:
    """The JSON values that all trials of one search have in common."""
    space = {name: dimension.model_dump(exclude_unset=True) for name, dimension in search.space.items()}
    versions = [registry.task(search.task).version, registry.method(search.method).version]
    shared = {name: getattr(search, name) for name in SHARED}
    plain: dict[str, Any] = json.loads(json.dumps({**shared, "space": space, "versions": versions}))
    return plain
