"""What the documents tell a reader to type: command lines are read by the command line, Python code is run, and the
suites are valid. A block with a title is a file, which lies in the current folder of the page's other blocks.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from harness.cli import app
from harness.search.loading import load as load_search
from harness.suites.loading import load
from tests.pages import ROOT, blocks, write_files
from tests.plugin_files import forgotten

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
RECIPES = ROOT / "docs" / "tables.md"  # they need a store: tests/harness/collate/test_dictionary.py runs them


def having(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def lines() -> list[Any]:
    found = []
    for page in PAGES:
        for text in (*blocks(page, "bash"), *blocks(page, "")):
            for line in text.replace("\\\n", " ").splitlines():
                if line.startswith("symbench "):
                    found.append(pytest.param(page, line, id=f"{page.name}: {' '.join(line.split())[:60]}"))
    return found


def read(words: list[str]) -> None:
    """Reads a command line as the program does, up to the call of the command."""
    command, context = typer.main.get_command(app), None
    while hasattr(command, "commands"):
        name = words[0]
        if name.startswith("--"):  # of the program itself
            assert name in {option for parameter in command.params for option in parameter.opts}
            return
        command, words = command.commands[name], words[1:]
        if not words:
            break
        if hasattr(command, "commands") and words[0] not in command.commands:
            break
    with contextlib.redirect_stderr(io.StringIO()):
        context = command.make_context(command.name, list(words))
    assert context.params.keys() == {parameter.name for parameter in command.params if parameter.expose_value}


@pytest.mark.parametrize(("page", "line"), lines())
def test_command_lines_are_read(page: Path, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(page, tmp_path)
    with forgotten():  # plug-ins of other pages
        read(shlex.split(line, comments=True)[1:])


WRONG = {"runs quick": "runs", "run quick --slot 3": "--slot", "show": "name", "run quick --store s3://": "--store"}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_line_is_found(line: str) -> None:
    with pytest.raises(Exception, match=WRONG[line]):
        read(line.split())


@pytest.mark.parametrize("page", having("yaml"), ids=lambda page: page.name)
def test_suites_and_searches_are_valid(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "yaml")):
        keys = yaml.safe_load(text).keys()
        file = tmp_path / f"block{number}.yaml"
        file.write_text(text)
        if "space" in keys:
            load_search(file)
        elif "experiments" in keys:
            load(file).expand()


@pytest.mark.parametrize("page", [page for page in having("python") if page != RECIPES], ids=lambda page: page.name)
def test_python_code_runs(page: Path, tmp_path: Path, generated_data: Path) -> None:
    """The blocks of a page are one program. A block that is only part of one, as in a list, is indented."""
    write_files(page, tmp_path)
    program = "\n".join(blocks(page, "python"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs the extra 'docs'")
def test_the_site_is_built_without_a_warning_and_loads_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", "docs/site/mkdocs.yml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*command, "-d", str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["'](?:https?:)?//[^"']+""")
    pages = sorted(tmp_path.rglob("*.html"))
    found = {text for page in pages for text in loaded.findall(page.read_text()) if 'rel="canonical"' not in text}
    assert len(pages) > 15 and found == set()
    reference = (tmp_path / "reference" / "python.html").read_text()
    import symbench

    assert [name for name in symbench.__all__ if f"symbench.{name}" not in reference] == []
