"""The notebooks of the documentation run, and are stored with outputs that name no folder of a machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
PRIVATE = re.compile(r"/(?:home|work|tmp|root|Users|usr|opt)/|[A-Z]:\\\\")


def executed(book: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook with outputs of now, run in this folder."""
    client = NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    client.execute(env=environment)
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # the times of day
    return book


def kinds(book: nbformat.NotebookNode) -> list[list[str]]:
    """The forms of the outputs of each cell."""
    return [
        sorted({form for one in cell.get("outputs", ()) for form in one.get("data", [one.output_type])})
        for cell in book.cells
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_has_the_outputs_that_are_stored(path: Path, tmp_path: Path, generated_data: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    nbformat.validate(stored)
    assert "image/png" in str(kinds(stored)) and not PRIVATE.search(path.read_text())
    assert not [cell for cell in stored.cells if any(one.output_type == "error" for one in cell.get("outputs", ()))]
    assert kinds(executed(nbformat.read(path, as_version=4), tmp_path)) == kinds(stored)
