"""The documents name files and folders that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "README.md",
    *map("docs/{}.md".format, ("design-decisions", "gpu", "scale", "speed", "tables")),
)
TOP = "baselines|docs|harness|ray_configs|results|tasks|tests"
NAMED = re.compile(rf"`((?:{TOP})/[\w./-]*)`")
LINKED = re.compile(r"\]\((?!https?:|#)([^)#]+)")
TWO_PAGES = 130  # lines


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_a_document_names_exist(name: str) -> None:
    text, folder = (ROOT / name).read_text(), (ROOT / name).parent
    named = {path for path in NAMED.findall(text) if "my" not in path and not path.startswith("results/")}
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing + [path for path in LINKED.findall(text) if not (folder / path).exists()] == []


def test_the_architecture_fits_two_pages() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= TWO_PAGES


def test_each_walk_of_the_architecture_names_a_module() -> None:
    walks = (ROOT / "ARCHITECTURE.md").read_text().partition("## Five walks")[2].strip().split("\n* ")
    assert len(walks) == 5
    for walk in walks:
        question, answer = walk.split("?", 1)
        assert any(path.endswith(".py") for path in NAMED.findall(answer)), question
