"""Short forms of texts for messages."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class if there is no message."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def shortened(text: str, most: int = 200) -> str:
    """The text on one line, printable, cut to at most ``most`` characters."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode()
    return line if len(line) <= most else f"{line[: most - 3]}..."
