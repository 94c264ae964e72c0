"""The documents name files and folders that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", *PAGES)
TOP = "baselines|docs|harness|ray_configs|results|tasks|tests"
NAMED = re.compile(rf"`((?:{TOP})/[\w./-]*)`")
LINKED = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
REFERENCE = "reference/"  # pages that are made with the site, where MkDocs checks the links to them
TWO_PAGES = 130  # lines


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_a_document_names_exist(name: str) -> None:
    text, folder = (ROOT / name).read_text(), (ROOT / name).parent
    named = {path for path in NAMED.findall(text) if "my" not in path and not path.startswith("results/")}
    missing = [path for path in named if not (ROOT / path).exists()]
    links = [path for path, _ in LINKED.findall(text) if not path.startswith(REFERENCE)]
    assert missing + [path for path in links if not (folder / path).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_anchors_that_a_document_links_to_are_headings(name: str) -> None:
    text, folder = (ROOT / name).read_text(), (ROOT / name).parent
    wanted = [(path, anchor) for path, anchor in LINKED.findall(text) if anchor and not path.startswith(REFERENCE)]
    found = {path: headings((folder / path).read_text() if path else text) for path, _ in wanted}
    assert [f"{path}#{anchor}" for path, anchor in wanted if anchor not in found[path]] == []


def headings(text: str) -> set[str]:
    """The anchors of the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "docs" / "site" / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    assert [page for page in PAGES if f": {page.removeprefix('docs/')}\n" not in navigation] == []


def test_the_architecture_fits_two_pages() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= TWO_PAGES


def test_each_walk_of_the_architecture_names_a_module() -> None:
    walks = (ROOT / "ARCHITECTURE.md").read_text().partition("## Five walks")[2].strip().split("\n* ")
    assert len(walks) == 5
    for walk in walks:
        question, answer = walk.split("?", 1)
        assert any(path.endswith(".py") for path in NAMED.findall(answer)), question
