"""Every public method says what it does, in its own docstring or in that of the method that it overrides."""

from __future__ import annotations

import importlib
import inspect
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
EXEMPT = [pattern for pattern, rules in LINT["per-file-ignores"].items() if "D" in rules]
"""What ruff does not check for docstrings is not checked here either."""


def checked_modules() -> Iterator[str]:
    for package in ("tasks", "baselines", "harness"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            is_script = path.name == "__main__.py"  # importing it would run it
            if not is_script and not any(fnmatch(name, pattern) for pattern in EXEMPT):
                yield name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def undocumented_methods(module: ModuleType) -> Iterator[str]:
    for class_name, kind in vars(module).items():
        if class_name.startswith("_") or not inspect.isclass(kind) or kind.__module__ != module.__name__:
            continue
        for name, member in vars(kind).items():
            is_method = isinstance(member, (staticmethod, classmethod, property)) or inspect.isfunction(member)
            is_method = is_method and name not in getattr(kind, "__dataclass_fields__", ())  # a default of a field
            if is_method and not name.startswith("_") and not inspect.getdoc(getattr(kind, name)):
                yield f"{class_name}.{name}"


@pytest.mark.parametrize("name", list(checked_modules()))
def test_public_methods_have_a_docstring_or_inherit_one(name: str) -> None:
    assert list(undocumented_methods(importlib.import_module(name))) == []
