"""Tables as the templates of all formats draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.report.rendering.styles import Style

Mark = Literal["", "best", "tied", "missing", "failed"]
"""How a cell is emphasized. ``tied`` means that it does not differ significantly from the best."""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """A short mark beside a method, which a reader must know before comparing it; ``why`` says what it means."""

    text: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Facets:
    """What a row, a curve or a card belongs to, by which readers filter the page.

    A facet that is empty does not apply, for example the sampler of a task's card. Where it does not apply, a filter
    by it hides nothing.
    """

    task: str = ""
    method: str = ""
    sampler: str = ""
    group: str = ""
    protocol: str = ""

    @property
    def known(self) -> dict[str, str]:
        """The facets that apply, by name."""
        return {name: value for name, value in vars(self).items() if value}


NO_FACETS = Facets()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What the cell shows.
        sort: The key by which the column is sorted; None is always last.
        why: An explanation, shown on hover.
        note: A small second line.
        mark: How the cell is emphasized.
        code: Whether the text is set in a monospaced font.
        style: The colour and marker of the method that the cell names.
        link: The id of the element of the page that says more.
        badges: Marks after the text.
        facets: What the row belongs to. Only the first cell of a row has them.
    """

    text: str
    sort: float | str | None = None
    why: str = ""
    note: str = ""
    mark: Mark = ""
    code: bool = False
    style: Style | None = None
    link: str = ""
    badges: Sequence[Badge] = ()
    facets: Facets = NO_FACETS


@dataclass(frozen=True, kw_only=True)
class Column:
    """The head of a column.

    Attributes:
        title: The text of the head.
        why: What the column contains, shown on hover.
        numeric: Whether cells are right-aligned and sorted as numbers.
        wrap: Whether a long text may take several lines.
    """

    title: str
    why: str = ""
    numeric: bool = False
    wrap: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        id: The id of the table, unique in the page.
        caption: The name of the table.
        columns: The heads of the columns.
        rows: One cell for each column in every row.
        basis: A sentence below the table on what its numbers are computed from: examples, seeds and intervals.
        remark: A sentence below the table about rows that are not in it.
    """

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]] = field(default_factory=list)
    basis: str = ""
    remark: str = ""


def text(value: str | None, *, why_missing: str, why: str = "", note: str = "", code: bool = False) -> Cell:
    """A cell with a text, or with a dash if ``value`` is None or empty; ``why_missing`` explains the dash."""
    if not value:
        return missing(why_missing)
    return Cell(text=value, sort=value.lower(), why=why, note=note, code=code)


def number(value: float | None, shown: str, *, why_missing: str, why: str = "") -> Cell:
    """A cell with a number, written as ``shown``, or with a dash if ``value`` is None."""
    return missing(why_missing) if value is None else Cell(text=shown, sort=value, why=why)


def missing(why: str) -> Cell:
    """A cell with a dash; ``why`` says why there is no value."""
    return Cell(text="–", why=why, mark="missing")  # noqa: RUF001 (an en dash is what a table's empty cell shows)
