"""File names of pages. Tasks and methods may have any name; each gets a file name that every file system accepts."""

from __future__ import annotations

import hashlib
import re

_SAFE = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_MOST = 60
_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}
"""Windows has no files of these names."""


def page_name(name: str) -> str:
    """The file name of a page: the name itself if it is short and plain, else a short form and a digest of it.

    Two names never share a file, not even where upper and lower case are the same: only the second form has ``--``.
    """
    if _SAFE.fullmatch(name) and len(name) <= _MOST and name not in _DEVICES:
        return f"{name}.html"
    short = re.sub(r"[^a-z0-9]+", "-", name.lower())[: _MOST // 2].strip("-") or "page"
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{short}--{digest}.html"
