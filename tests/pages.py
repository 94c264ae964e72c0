"""The blocks of code on the pages of the documentation. One with a title is a file."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w*)(?: title=\"([^\n\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a language that are no files."""
    return [text for kind, title, text in BLOCK.findall(page.read_text()) if kind == language and not title]


def files(page: Path) -> dict[str, str]:
    """The files of a page by their names."""
    return {title: text for _, title, text in BLOCK.findall(page.read_text()) if title}


def write_files(page: Path, folder: Path) -> None:
    """Writes the files of a page."""
    for name, text in files(page).items():
        (folder / name).write_text(text)
