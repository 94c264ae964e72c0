"""Texts as a sentence shows them."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def shortened(text: str, most: int = 200) -> str:
    """On one line, printable, and no longer than ``most`` characters."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode()
    return line if len(line) <= most else f"{line[: most - 3]}..."
