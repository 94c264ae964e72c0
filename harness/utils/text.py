"""Short forms of texts for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class if there is no message."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def shortened(text: str, most: int = 200) -> str:
    """The text on one line, printable, cut to at most ``most`` characters."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode()
    return line if len(line) <= most else f"{line[: most - 3]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` where a known name is close, else the known names."""
    by_letters = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_letters, n=1, cutoff=0.5)
    return f"did you mean '{by_letters[close[0]]}'?" if close else f"known: {', '.join(by_letters.values())}"


def duration(seconds: float, *, tenths: bool = False) -> str:
    """``42 s``, ``3 min 07 s`` or ``2 h 05 min``; with ``tenths`` less than ten seconds are shown as ``4.2 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if tenths and seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"
