"""A disk that loses what was not synced: it watches the calls that make files durable, and knows their order."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest


class Disk:
    """Watches ``os.fsync``, ``os.replace`` and ``os.rename`` below ``root`` while it is patched in."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self._root = root.resolve()
        self.events: list[str] = []
        self._synced: dict[Path, tuple[int, int]] = {}
        self.faults: list[str] = []
        """What a power cut could have spoiled: moved before its content was synced, or a name that never was."""
        self._pending: list[Path] = []
        fsync, replace = os.fsync, os.replace

        def synced(file: int) -> None:
            fsync(file)
            self._sync(Path(os.readlink(f"/proc/self/fd/{file}")))

        def moved(source: Path, target: Path) -> None:
            replace(source, target)
            self._move(Path(source).resolve(), Path(target).resolve())

        patch.setattr(os, "fsync", synced)
        patch.setattr(os, "replace", moved)
        patch.setattr(os, "rename", moved)

    def unsafe(self) -> list[str]:
        """Every fault so far, and the names that a power cut would lose now."""
        return [*self.faults, *(f"the name {self._short(path)} was not synced" for path in self._pending)]

    def _sync(self, path: Path) -> None:
        if not path.is_relative_to(self._root):
            return
        self.events.append(f"sync {self._short(path)}")
        self._synced[path] = _state(path)
        self._pending = [one for one in self._pending if one.parent != path]

    def _move(self, source: Path, target: Path) -> None:
        if not target.is_relative_to(self._root):
            return
        self.events.append(f"move {self._short(target)}")
        self.faults += [f"{self._short(target)} was moved before it moved {self._short(one)}" for one in self._pending]
        for path in [target, *target.rglob("*")]:
            before = source / path.relative_to(target)
            if self._synced.pop(before, None) != _state(path):
                self.faults.append(f"{self._short(path)} was moved before it was synced")
        self._pending.append(target)

    def _short(self, path: Path) -> str:
        """A temporary file is named as the file that it becomes, with a star."""
        return re.sub(r"\.([^/]+)\.[0-9a-f]{8}\.tmp$", r"\1*", str(path.relative_to(self._root)))


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return (0 if path.is_dir() else found.st_size, found.st_mtime_ns)
