"""A run counts once at every point, however often its record, its history or its bundles repeat it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from harness.bundles.exporting import export
from harness.bundles.importing import checked_bundle, import_bundle
from harness.collate import Tables, collate
from harness.records.record import Record
from harness.records.store import Store
from harness.training.results import CurvePoint
from tests.harness.collate.pooling import collated, variance_points
from tests.harness.synthetic import make_record, write


def curve_of(record: Record, samples: Sequence[int]) -> Record:
    """The record with a curve at these k, in this order; every point again is measured a little differently."""
    points = [
        CurvePoint(samples=k, value=1 + 1 / k + place / 100, value_error=0.0, variance=(1 + place) / k)
        for place, k in enumerate(samples)
    ]
    return replace(record, curve=tuple(points))


def test_a_repeated_point_is_one_seed_without_a_standard_error() -> None:
    table = collated(curve_of(make_record(method="gnn-ga"), [2, 2, 1])).sample_complexity
    found = table.select("samples", "seeds", "mean", "stderr", "variance", "variance_stderr")
    assert found.rows() == [(1, 1, 2.02, None, 3.0, None), (2, 1, 1.5, None, 0.5, None)]


@given(st.lists(st.lists(st.sampled_from([1, 2, 5, 10]), max_size=6), min_size=1, max_size=4))
def test_seeds_at_a_point_are_the_runs_that_have_it(curves: list[list[int]]) -> None:
    records = [curve_of(make_record(method="gnn-ga", seed=seed), ks) for seed, ks in enumerate(curves)]
    table = collated(*records).sample_complexity
    assert dict(table.select("samples", "seeds").rows()) == {
        k: sum(k in ks for ks in curves) for k in {k for ks in curves for k in ks}
    }
    single = table.filter(pl.col("seeds") == 1)
    assert single["stderr"].null_count() == single.height


def test_how_a_curve_converges_does_not_depend_on_repeated_points() -> None:
    samples = [1, 10, 100, 1000]
    plain, repeated = (
        collated(*(curve_of(make_record(method="gnn-ga", seed=seed), ks) for seed in (0, 1))).sample_complexity
        for ks in (samples, [*samples, 10, 1000, 1])
    )
    assert_frame_equal(plain, repeated)


def test_a_repeated_variance_is_one_seed() -> None:
    points = variance_points(2.0)
    table = collated(make_record(output_variance=(*points, *variance_points(7.0)))).output_variance
    assert table["seeds"].to_list() == [1] * 4
    assert table.filter(samples=1)["output_variance"].to_list() == [2.0, 2.0]
    assert table["output_variance_stderr"].null_count() == 4


def test_a_size_that_is_recorded_twice_is_one_seed(tmp_path: Path) -> None:
    """A copied file and a failure before the success are the same run."""
    sizes = [make_record(value=n, task_params={"nodes": n}) for n in (4, 8)]
    paths = write(tmp_path / "store", *sizes, make_record(task_params={"nodes": 8}, error="It broke."))
    shutil.copy(paths[0], paths[0].with_name("copy.json"))
    tables = collate(Store(tmp_path / "store"))
    assert tables.scaling.select("size", "seeds", "stderr").rows() == [(4, 1, None), (8, 1, None)]
    assert tables.costs["cost_seeds"].to_list() == [1, 1]


@pytest.fixture
def twice(tmp_path: Path) -> Tables:
    """A store with a run of its own that two bundles hold too, each with numbers of another day."""
    theirs = [make_record("graph8c", "gin", seed=seed, value=float(seed)) for seed in (0, 1)]
    store = Store(tmp_path / "mine" / "store")
    write(store.root, *theirs)
    for name in ("lab", "attic"):
        other = Store(tmp_path / name / "store")
        write(other.root, *(replace(one, metrics={"unseparated": 7.0}) for one in theirs))
        export(other, tmp_path / name / f"{name}.zip")
        found = checked_bundle(tmp_path / name / f"{name}.zip")
        later = {key: json.dumps(json.loads(body) | {"suite": name}).encode() for key, body in found.records.items()}
        import_bundle(store, found._replace(records=later))
    return collate(store)


def test_a_digest_of_several_sources_is_one_seed_in_each(twice: Tables) -> None:
    assert twice.runs.height == 6
    assert sorted(twice.accuracy["seeds"]) == [2, 2, 2]
    assert twice.sample_complexity["seeds"].max() == 2
    assert sorted(twice.accuracy["source"].fill_null("").str.head(3)) == ["", "att", "lab"]
