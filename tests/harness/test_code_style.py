"""Sizes that keep the code readable: functions that fit a screen, short files, and hardly any formatting by hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("harness", "baselines", "tasks", "tests")
FUNCTION_LINES, FILE_LINES = 60, 400
UNFORMATTED = 10
BY_HAND = re.compile(r"# fmt: " + "(skip|off)")


@cache
def sources() -> dict[str, str]:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = {
        f"{name}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for name, source in sources().items()
        for function in functions(source)
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def test_no_file_is_long() -> None:
    lengths = {name: len(source.splitlines()) for name, source in sources().items()}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_hardly_anything_is_formatted_by_hand() -> None:
    by_hand = {name: len(BY_HAND.findall(source)) for name, source in sources().items()}
    assert sum(by_hand.values()) < UNFORMATTED, sorted(name for name, places in by_hand.items() if places)
