"""Packages that register tasks and methods, made where Python finds them as it finds installed ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import registry
from harness.records import plugin_code

CARDS = """
from dataclasses import replace
from baselines.catalogue import EGNN, MLP
from baselines.cards import MethodCard
from tasks.catalogue import NBODY

TASK = replace(NBODY, name="NAME_nbody")
METHOD = MethodCard(base=replace(EGNN, name="NAME_egnn"))
"""


def put(
    folder: Path, name: str, points: str | bytes, sources: dict[str, str] | None = None, version: str = "1.0"
) -> Path:
    """A distribution in ``folder``: its ``entry_points.txt``, and files by their path; returns its dist-info."""
    info = folder / f"{re.sub('[-.]', '_', name).lower()}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_bytes(points if isinstance(points, bytes) else points.encode())
    for path, text in ({f"{name}_cards.py": CARDS.replace("NAME", name)} if sources is None else sources).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return info


def both(name: str, module: str | None = None) -> str:
    """Entry points of a task and a method in the module that :func:`put` writes."""
    module = module or f"{name}_cards"
    return f"[symbench.tasks]\nt = {module}:TASK\n[symbench.methods]\nm = {module}:METHOD\n"


def forget() -> None:
    """What this process knows of plug-ins."""
    registry._current.cache_clear()
    registry._warn_of_installed.cache_clear()
    plugin_code.code_of.cache_clear()


@contextmanager
def found_in(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, this process finds the packages in ``folder``; afterwards nothing is left of them."""
    before = set(sys.modules)
    with patch.context() as inside:
        inside.syspath_prepend(str(folder))
        forget()
        try:
            yield
        finally:
            for name in set(sys.modules) - before:
                if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
                    del sys.modules[name]
    forget()
