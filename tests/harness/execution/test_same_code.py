"""Workers and the driver of a launch run the same code, wherever each of them found it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import SymbenchError
from harness.execution.dispatch import _Dispatcher
from harness.execution.worker import Greeting, greeting
from harness.records.provenance import code_digest

ROOT = Path(__file__).resolve().parents[3]
ASK = "from harness.records.provenance import code_digest; print(code_digest())"


def digest_in(folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", ASK]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_a_copy_is_the_same_code_until_a_line_of_it_changes(tmp_path: Path) -> None:
    for name in ("harness", "baselines", "tasks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    same = digest_in(tmp_path)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("harness", "baselines", "tasks"):
        (tmp_path / name).rename(moved / name)
    assert digest_in(moved) == same
    with (moved / "baselines" / "symmetrized.py").open("a") as file:
        file.write("# \n")
    assert digest_in(moved) != same


def welcome(theirs: Greeting) -> None:
    dispatcher = _Dispatcher.__new__(_Dispatcher)
    dispatcher._welcome(theirs)


def test_who_is_welcome() -> None:
    ours = greeting()
    assert ours.code == code_digest()
    welcome(ours)
    welcome(replace(ours, tasks_file="/elsewhere/tasks/__init__.py"))  # a copy, as each node has of a job's code
    welcome(replace(ours, code="edited meanwhile"))
    welcome(replace(ours, host="n2", tasks_file="/elsewhere/tasks/__init__.py"))
    other = replace(ours, code="other")
    with pytest.raises(SymbenchError, match=r"Workers import the tasks of /elsewhere/.*: start symbench from another"):
        welcome(replace(other, tasks_file="/elsewhere/tasks/__init__.py"))
    with pytest.raises(SymbenchError, match=r"The node n2 has other code in .*: bring all nodes to the same commit"):
        welcome(replace(other, host="n2"))
