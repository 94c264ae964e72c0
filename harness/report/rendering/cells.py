"""Tables as both templates draw them: cells that say how they sort and why they are what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.report.rendering.styles import Look

Mark = Literal["", "best", "tied", "missing", "failed"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """``sort`` orders the column (``None`` always last), ``why`` explains on hover, ``note`` is a small second line.

    ``link`` is the id of the part of the page that says more.
    """

    text: str
    sort: float | str | None = None
    why: str = ""
    note: str = ""
    mark: Mark = ""
    code: bool = False
    look: Look | None = None
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """``why`` says what the column holds, on hover; ``wrap`` lets long text take several lines."""

    title: str
    why: str = ""
    numeric: bool = False
    wrap: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """``caption`` names the table; ``id`` is unique in the page; ``remark`` says what is not in it."""

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]] = field(default_factory=list)
    remark: str = ""


def text(value: str | None, *, why_missing: str, why: str = "", note: str = "", code: bool = False) -> Cell:
    """A word, or a dash that says why there is none."""
    if not value:
        return missing(why_missing)
    return Cell(text=value, sort=value.lower(), why=why, note=note, code=code)


def number(value: float | None, shown: str, *, why_missing: str, why: str = "") -> Cell:
    """A number as ``shown``, or a dash that says why there is none."""
    return missing(why_missing) if value is None else Cell(text=shown, sort=value, why=why)


def missing(why: str) -> Cell:
    return Cell(text="–", why=why, mark="missing")  # noqa: RUF001 (an en dash is what a table's empty cell shows)
