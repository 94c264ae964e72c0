"""The dictionary of the tables: name, type, unit and meaning of every column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import polars as pl

from harness.collate.collating import frames_of
from harness.collate.columns import COMMON, OF_TABLE, ROWS, UNITS, Meaning
from harness.collate.incremental import ROWS as RECORDS
from harness.collate.runs import runs
from harness.errors import UnknownName
from harness.utils.text import nearest

_DERIVED = {
    "_stderr": "The standard error of '{}' over seeds; null for one seed.",
    "_low": "The lower end of the 95 % interval of '{}'; null if there is too little data.",
    "_high": "The upper end of the 95 % interval of '{}'; null if there is too little data.",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table, or a field of the structs in it.

    Attributes:
        table: The name of the table.
        name: The name; that of a field is ``column.field``.
        type: The Polars type; the fields of a ``Struct`` or a ``List(Struct)`` have entries of their own.
        unit: One of :data:`~harness.collate.columns.UNITS`.
        meaning: One sentence.
    """

    table: str
    name: str
    type: str
    unit: str
    meaning: str

    def as_dict(self) -> dict[str, str]:
        """The entry as JSON values."""
        return asdict(self)


def described(table: str | None = None) -> dict[str, str]:
    """What a row of each table, or of one table, is.

    Raises:
        UnknownName: There is no such table.
    """
    if table is None:
        return dict(ROWS)
    if table not in ROWS:
        raise UnknownName(f"There is no table '{table}': {nearest(table, ROWS)}")
    return {table: ROWS[table]}


def columns(table: str | None = None) -> list[Column]:
    """The columns of a table in their order, or those of all tables.

    The types are those of tables without rows, which are made by the same code as all others.

    Raises:
        UnknownName: There is no such table.
    """
    wanted = described(table)
    frames = frames_of(runs(RECORDS.to_frame()))
    return [column for name in wanted for column in _columns(name, frames[name].schema)]


def markdown(table: str | None = None) -> str:
    """The dictionary as Markdown: the units, then a section for each table, or for one table.

    Raises:
        UnknownName: There is no such table.
    """
    found = columns(table)
    sections = (line for name in described(table) for line in _section(name, found))
    return "\n".join([*_units(), *sections]) + "\n"


def _columns(table: str, schema: pl.Schema) -> Iterator[Column]:
    for name, dtype in schema.items():
        yield _column(table, name, _type(dtype))
        yield from _columns(table, pl.Schema({f"{name}.{field.name}": field.dtype for field in _fields(dtype)}))


def _type(dtype: pl.DataType) -> str:
    """The name of a type, without what the unit or the fields say."""
    if _fields(dtype):
        return "List(Struct)" if isinstance(dtype, pl.List) else "Struct"
    return "Datetime" if dtype == pl.Datetime else str(dtype)


def _fields(dtype: pl.DataType) -> list[pl.Field]:
    """The fields of a struct or of a list of structs."""
    inner = dtype.inner if isinstance(dtype, pl.List) else dtype
    return inner.fields if isinstance(inner, pl.Struct) else []


def _column(table: str, name: str, dtype: str) -> Column:
    unit, text = _meaning(table, name)
    return Column(table=table, name=name, type=dtype, unit=unit, meaning=text)


def _meaning(table: str, name: str) -> Meaning:
    found = OF_TABLE[table].get(name) or COMMON.get(name)
    if found is not None:
        return found
    base, ending = next((name.removesuffix(one), one) for one in _DERIVED if name.endswith(one))
    return Meaning(_meaning(table, base).unit, _DERIVED[ending].format(base))


def _units() -> Iterator[str]:
    yield from ("| unit | is |", "| --- | --- |")
    yield from (f"| {unit or '-'} | {text} |" for unit, text in UNITS.items())


def _section(table: str, found: list[Column]) -> Iterator[str]:
    yield from ("", f"### {table}", "", ROWS[table], "")
    yield from ("| column | type | unit | meaning |", "| --- | --- | --- | --- |")
    of_table = (one for one in found if one.table == table)
    yield from (f"| `{one.name}` | {one.type} | {one.unit or '-'} | {one.meaning} |" for one in of_table)
