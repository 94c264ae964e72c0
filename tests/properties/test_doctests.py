"""The examples in docstrings run and print what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRST_READ = (
    "baselines.samplers.group_averaging",
    "baselines.symmetrized",
    "harness.records.store",
    "harness.registry",
    "harness.symmetrize",
    "tasks.symmetry.groups",
    "tasks.symmetry.structure",
)
"""Modules that a newcomer reads first: each has an example."""


def modules_with_examples() -> list[str]:
    return [
        path.relative_to(ROOT).as_posix().removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for package in ("tasks", "baselines", "harness")
        for path in sorted((ROOT / package).rglob("*.py"))
        if ">>> " in path.read_text()
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_print_what_they_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_modules_that_newcomers_read_have_examples() -> None:
    assert set(FIRST_READ) - set(modules_with_examples()) == set()
