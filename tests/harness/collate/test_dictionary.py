"""The dictionary of the tables describes each column once; the page of the documentation has the same text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.collate import Tables, collate, dictionary
from harness.collate.columns import COMMON, OF_TABLE, ROWS, UNITS
from harness.collate.tables import NAMES
from harness.errors import UnknownName
from harness.records.store import Store
from tests.harness.collate.pooling import variance_points
from tests.harness.synthetic import demo_records, make_record, write
from tests.pages import ROOT, blocks

PAGE = ROOT / "docs" / "tables.md"
COLUMNS = PAGE.read_text().partition("`symbench tables --markdown` prints what follows.\n\n")[2]
RECIPES = blocks(PAGE, "python")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``results/tables`` of a store with rows in every table."""
    folder = tmp_path_factory.mktemp("demo")
    varied = make_record("exp_classify", "mlp-ps", "paper", value=0.9, output_variance=variance_points(1.0))
    write(folder / "results" / "store", *demo_records(), varied)
    collate(Store(folder / "results" / "store"))
    return folder


@pytest.fixture(scope="module")
def tables(results: Path) -> Tables:
    return collate(Store(results / "results" / "store"))


@pytest.mark.parametrize("table", NAMES)
def test_every_column_of_a_table_with_rows_is_described(table: str, tables: Tables) -> None:
    frame = tables.frames()[table]
    assert frame.height > 0
    fields = [column.name for column in dictionary.columns(table) if "." in column.name]
    assert fields == list(fields_of(frame.schema))
    described = [column for column in dictionary.columns(table) if "." not in column.name]
    assert [column.name for column in described] == frame.columns
    assert [column.type for column in described] == [
        re.sub(r"Struct\({.*}\)|\(time_unit.*\)", lambda found: found[0].partition("(")[0], str(dtype))
        for dtype in frame.dtypes
    ]


def fields_of(schema: pl.Schema) -> Iterator[str]:
    """The fields of all structs, by their places in a column, such as ``curve.samples``."""
    for name, dtype in schema.items():
        inner = dtype.inner if isinstance(dtype, pl.List) else dtype
        for field in inner.fields if isinstance(inner, pl.Struct) else []:
            yield f"{name}.{field.name}"
            yield from fields_of(pl.Schema({f"{name}.{field.name}": field.dtype}))


def test_there_is_no_description_without_a_column() -> None:
    found = {table: {column.name for column in dictionary.columns(table)} for table in NAMES}
    assert set(ROWS) == set(OF_TABLE) == set(NAMES)
    assert [(table, name) for table, names in OF_TABLE.items() for name in names if name not in found[table]] == []
    using = {
        name: sum(name in names and name not in OF_TABLE[table] for table, names in found.items()) for name in COMMON
    }
    assert [name for name, tables in using.items() if not tables] == []


def test_a_number_has_a_unit_and_a_name_has_none() -> None:
    columns = dictionary.columns()
    assert {column.unit for column in columns} == set(UNITS)
    assert [column.name for column in columns if column.type.startswith(("Float", "Date")) and not column.unit] == []
    texts = [
        column for column in columns if column.type in ("String", "Boolean", "List(String)", "Struct", "List(Struct)")
    ]
    assert {column.unit for column in texts} == {""}


def test_a_meaning_is_one_sentence_and_a_column_that_it_names_exists() -> None:
    columns = dictionary.columns()
    values = {"succeeded", "failed", "initialised", "trained", "max", "min", "symmetrized", "equivariant", " x "}
    values |= {"cpu", "cuda", "run"}
    for column in columns:
        assert re.fullmatch(r"['A-Z].*[^.]\.", column.meaning) and ". " not in column.meaning
        siblings = {other.name for other in columns if other.table == column.table}
        named = set(re.findall(r"'([^']+)'", column.meaning)) - values
        elsewhere = {"test_samples"} if column.table != "runs" else set()
        assert named <= siblings | elsewhere, column.name


def test_the_page_has_the_columns_of_today() -> None:
    assert dictionary.markdown() == COLUMNS, "replace the section Columns by the output of symbench tables --markdown"


def test_the_command_prints_the_same_as_json_and_as_a_table() -> None:
    run = CliRunner().invoke
    everything = json.loads(run(app, ["tables", "--describe", "--json"]).output)
    assert everything == [column.as_dict() for column in dictionary.columns()]
    lines = run(app, ["tables", "--describe", "ranks"]).output.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [one["name"] for one in everything if one["table"] == "ranks"]
    assert json.loads(run(app, ["tables", "--json"]).output) == ROWS
    with pytest.raises(UnknownName, match="There is no table 'rank': did you mean 'ranks'"):
        run(app, ["tables", "rank"], catch_exceptions=False)


@pytest.mark.parametrize(("place", "name"), [(0, "by_method"), (2, "curve"), (4, "cost"), (6, "metrics")])
def test_recipes_run_and_give_the_same_in_polars_and_pandas(
    place: int, name: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(RECIPES) == 8
    monkeypatch.chdir(results)
    in_polars, in_pandas = (_run(recipe)[name] for recipe in RECIPES[place : place + 2])
    if name == "by_method":
        in_polars = in_polars.sort("method").select("method", *sorted(in_polars.columns[1:]))
        in_pandas = in_pandas.reset_index()
    same = pl.from_pandas(in_pandas).select(pl.col(one).cast(in_polars.schema[one]) for one in in_polars.columns)
    assert in_polars.height > 2 and same.equals(in_polars)


def test_the_recipes_show_what_the_tables_hold(results: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results)
    pivoted, curve, cost = (_run(RECIPES[place])[name] for place, name in ((0, "by_method"), (2, "curve"), (4, "cost")))
    quick = tables.accuracy.filter(protocol="quick")
    assert set(pivoted.columns) == {"method", "graph8c", "exp_classify", *(f"nbody {n}" for n in (4, 5, 8, 16, 32))}
    expected = quick.filter(task="nbody", size=8, method="egnn")["score"].item()
    assert pivoted.filter(method="egnn")["nbody 8"].item() == expected
    assert curve["samples"].to_list() == [1, 4, 16]
    every = _run(RECIPES[6])["metrics"]
    assert every.height == tables.runs["metrics"].list.len().sum()
    scores = every.join(tables.runs.select("digest", name="metric", score="value").drop_nulls(), on=["digest", "name"])
    assert scores["value"].equals(scores["score"]) and scores.height > 9
    assert cost.height == tables.costs.select("setting", "device").n_unique()


def _run(recipe: str) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec(recipe, scope)
    return scope
