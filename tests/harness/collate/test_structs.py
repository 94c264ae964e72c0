"""The nested columns of ``runs``: nothing of a record gets lost, whatever it holds, in Parquet and in CSV."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.collate import collate
from harness.collate.reading import COLUMNS
from harness.collate.structs import NESTED, PROVENANCE, as_json, metrics, provenance, series
from harness.records import provenance as recording
from harness.records.compaction import compact
from harness.records.store import Store
from harness.spec import Job, Resources
from tests.harness.synthetic import make_record, write

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def values_of(dtype: Any) -> st.SearchStrategy[Any]:
    """Values that a column of this type can hold."""
    match dtype:
        case pl.Struct():
            return st.fixed_dictionaries({field.name: values_of(field.dtype) for field in dtype.fields})
        case pl.List():
            return st.lists(values_of(dtype.inner), max_size=3)
    plain = {
        pl.String: st.text(),
        pl.Int64: st.integers(-(2**63), 2**63 - 1),
        pl.Float64: st.floats(allow_nan=False, allow_infinity=False),
        pl.Boolean: st.booleans(),
    }
    return st.none() | plain[dtype]


RECORDED = recording.provenance(
    Job(spec=registry.resolve("nbody", "egnn", "quick", 3), suite="s", resources=Resources(chunk=8)),
    wall_seconds=1.5,
    command=["symbench", "run", "quick"],
)


def test_all_that_a_run_records_of_itself_has_a_column_or_a_field() -> None:
    fields = {field.name: field.dtype for field in PROVENANCE.fields}
    assert set(RECORDED) == {*fields, *(set(RECORDED) & set(COLUMNS))}
    assert set(RECORDED["resources"]) == {field.name for field in fields["resources"].fields}


def test_provenance_is_what_was_recorded() -> None:
    found = provenance(json.loads(json.dumps({**RECORDED, "plugins": {"mine": {"version": "1", "digest": "d"}}})))
    assert {one["name"]: one["version"] for one in found["packages"]} == RECORDED["packages"]
    assert [one["name"] for one in found["packages"]] == sorted(RECORDED["packages"])
    assert found["plugins"] == [{"name": "mine", "version": "1", "digest": "d", "used": None}]
    assert {one["name"]: one["value"] for one in found["seeds"]} == RECORDED["seeds"]
    assert found["resources"] == RECORDED["resources"]
    same = ("python", "device", "device_type", "cpus", "threads", "peak_rss_bytes", "pid", "command")
    assert {name: found[name] for name in same} == {name: RECORDED[name] for name in same}
    assert found["accelerator"] == dict.fromkeys(("driver", "cuda", "cudnn", "tf32_matmul", "tf32_cudnn"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("symbench run 'my suite.yaml'", ["symbench", "run", "my suite.yaml"]),
        (["symbench", 3], ["symbench", "3"]),
        ("symbench run 'open", None),
        (7, None),
    ],
)
def test_a_command_is_its_words_also_if_it_was_recorded_as_a_line(command: Any, words: list[str] | None) -> None:
    assert provenance({"command": command})["command"] == words


@given(st.dictionaries(st.sampled_from([field.name for field in PROVENANCE.fields]), JSON))
def test_what_has_another_type_is_null_and_stops_nothing(values: dict[str, Any]) -> None:
    [row] = series("provenance", [provenance(values)])
    assert list(row) == [field.name for field in PROVENANCE.fields]
    texts = {"python", "device", "device_type"}
    assert all(row[name] == (value if isinstance(value := values.get(name), str) else None) for name in texts)


@given(st.data(), st.sampled_from(sorted(NESTED)))
def test_a_nested_column_is_the_same_in_parquet_and_as_json(data: st.DataObject, name: str) -> None:
    values = data.draw(st.lists(values_of(NESTED[name]), min_size=1, max_size=3))
    frame = pl.DataFrame([series(name, values)])
    frame.write_parquet(file := io.BytesIO())
    file.seek(0)
    assert pl.read_parquet(file)[name].to_list() == frame[name].to_list() == values
    assert [json.loads(text) for text in frame.select(as_json(name))[name]] == values


@pytest.mark.parametrize("number", [10**400, -(10**400), float("nan"), True, "7", 2**60 + 1])
def test_a_number_beyond_what_a_table_holds_is_null(number: Any) -> None:
    fits = number == 2**60 + 1
    [row] = series("provenance", [provenance({"pid": number, "resources": {"timeout": number}})])
    assert row["pid"] == (number if fits else None)
    assert row["resources"]["timeout"] == (float(number) if fits else None)


def test_metrics_are_sorted_and_one_that_is_not_finite_is_null() -> None:
    found = metrics({"mse": float("inf"), "loss": 0.25, "mae": None})
    assert [tuple(one.values()) for one in found] == [("loss", 0.25), ("mae", None), ("mse", None)]


def test_in_csv_files_structs_are_json(tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "store")
    write(store.root, make_record(notes=('a "note", with a comma', "=1+1")))
    [row] = collate(store).runs.select(*NESTED).to_dicts()
    [csv] = pl.read_csv(tmp_path / "results" / "tables" / "runs.csv").select(*NESTED).to_dicts()
    assert {name: json.loads(text) for name, text in csv.items()} == row
    assert row["notes"] == ['a "note", with a comma', "=1+1"]


def test_kept_rows_of_the_layout_with_json_texts_are_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "store")
    write(store.root, make_record())
    compact(store)
    expected = collate(store).runs
    [kept] = (store.root / "segments" / "rows").iterdir()
    texts = pl.read_parquet(kept).with_columns(map(as_json, ("metrics", "notes", "provenance")))
    texts.write_parquet(kept, metadata={"symbench.layout": "14"})
    for path in (tmp_path / "results" / "tables").iterdir():
        path.unlink()
    assert collate(store).runs.equals(expected)
    assert pl.read_parquet_schema(kept)["provenance"] == PROVENANCE
