"""Costs of two devices are never averaged, fitted or held against each other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from harness.collate import Tables, collate
from harness.records.devices import device_of
from harness.records.record import Record
from harness.records.store import Store
from harness.report.sections.costs import ComparisonGroupCosts, costs
from harness.report.sections.group_size_scaling import group_size_scaling
from harness.report.sections.overview import overview
from harness.training.stack_note import stack_note, stack_of
from tests.harness.synthetic import default_provenance, make_record, write

GPU = {"device": "NVIDIA H100", "device_type": "cuda", "resources": {"gpus": 1.0, "workers": 1}}
CPU = {"device": "AMD EPYC", "device_type": "cpu", "threads": 2}


def on(device: Mapping[str, Any], method: str = "egnn", seed: int = 0, **others: Any) -> Record:
    provenance = {**default_provenance(), **device}
    return make_record(method=method, seed=seed, provenance=provenance, **others)


def costing(device: Mapping[str, Any], seconds: float, seed: int = 0, **others: Any) -> Record:
    cost = {
        "seconds_per_example": seconds,
        "peak_memory_bytes": 1e6 * seconds,
        "train_seconds": 100 * seconds,
        "train_examples_per_second": 1 / seconds,
    }
    return on(device, seed=seed, cost=cost, **others)


def tables_of(root: Path, *records: Record) -> Tables:
    write(root / "store", *records)
    return collate(Store(root / "store"))


def shown(found: ComparisonGroupCosts) -> list[dict[str, str]]:
    titles = [column.title for column in found.table.columns]
    return [{title: cell.text for title, cell in zip(titles, row, strict=True)} for row in found.table.rows]


@pytest.mark.parametrize(
    ("recorded", "device"),
    [
        (CPU, "AMD EPYC, 2 threads"),
        (CPU | {"threads": 1}, "AMD EPYC, 1 thread"),
        ({"device": "AMD EPYC"}, "AMD EPYC"),  # before threads were recorded
        (GPU, "NVIDIA H100"),
        (GPU | {"threads": 8}, "NVIDIA H100"),
        (GPU | {"resources": {"gpus": 4, "workers": 1}}, "4 x NVIDIA H100"),
        (GPU | {"resources": {"gpus": 0.5}}, "0.5 x NVIDIA H100"),
        (GPU | {"resources": {"gpus": 1, "workers": 2}}, "2 x NVIDIA H100"),
        (CPU | {"resources": {"workers": 3}}, "3 x AMD EPYC, 2 threads"),
        ({}, None),
        ({"device": None}, None),
        ({"device": "  "}, None),
        ({"device": ["a"]}, None),
        (CPU | {"threads": "many", "resources": "all"}, "AMD EPYC"),
        (CPU | {"threads": True, "resources": {"workers": -1}}, "AMD EPYC"),
        (GPU | {"resources": {"gpus": float("nan")}}, "NVIDIA H100"),
    ],
)
def test_a_device_is_its_model_and_how_much_of_it_a_run_had(recorded: dict[str, Any], device: str | None) -> None:
    assert device_of(recorded) == device


OTHERS = {
    "another model": CPU | {"device": "Intel Xeon"},
    "more threads": CPU | {"threads": 4},
    "an accelerator": GPU,
    "two processes": CPU | {"resources": {"workers": 2}},
    "not recorded": {"device": None},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_seeds_on_two_devices_are_averaged_in_quality_and_not_in_costs(tmp_path: Path, other: dict[str, Any]) -> None:
    records = [
        *(costing(CPU, 0.001, seed, value=1.0) for seed in (0, 1)),
        *(costing(other, seconds, seed, value=2.0) for seed, seconds in ((2, 1.0), (3, 3.0))),
    ]
    tables = tables_of(tmp_path, *records)
    assert tables.accuracy.select("mean", "seeds").rows() == [(1.5, 4)]
    found = tables.costs.sort("seconds_per_example")
    assert found["device"].to_list() == [device_of(CPU), device_of({**default_provenance(), **other})]
    assert found["seconds_per_example"].to_list() == pytest.approx([0.001, 2.0])
    assert found["train_seconds"].to_list() == pytest.approx([0.1, 200.0])
    assert found["train_examples_per_second"].to_list() == pytest.approx([1000.0, (1 + 1 / 3) / 2])
    assert found["peak_memory_bytes"].to_list() == [1000, 3_000_000]
    assert found["cost_seeds"].to_list() == [2, 2]


def test_what_no_device_changes_is_over_all_seeds(tmp_path: Path) -> None:
    records = [
        on(device, seed=seed, cost={"flops_per_example": f})
        for seed, (device, f) in enumerate([(CPU, 2e6), (GPU, 4e6)])
    ]
    row = tables_of(tmp_path, *records).accuracy.row(0, named=True)
    assert (row["flops_per_example"], row["parameters"]) == (3e6, 208_387)
    assert not {"seconds_per_example", "train_seconds", "peak_memory_bytes"} & row.keys()


def test_failed_runs_cost_nothing_and_a_setting_without_success_has_no_cost(tmp_path: Path) -> None:
    failed = [on(CPU, "gnn-ga", seed, error="It broke.") for seed in (0, 1)]
    paths = write(tmp_path / "store", costing(CPU, 2.0), *failed)
    for path in paths[1:]:  # a record that somebody else wrote may hold costs of what failed
        path.write_text(json.dumps(json.loads(path.read_text()) | {"cost": {"seconds_per_example": 50.0}}))
    found = collate(Store(tmp_path / "store")).costs
    assert found.select("method", "seconds_per_example").rows() == [("egnn", 2.0)]


def test_seeds_trained_at_once_have_training_times_of_their_own(tmp_path: Path) -> None:
    """Predictions are timed one model at a time, so those are pooled; a share of four is not what one takes alone."""
    stacked = [costing(CPU, 1.0, seed, notes=(stack_note(4),)) for seed in range(4)]
    found = tables_of(tmp_path, *stacked, costing(CPU, 6.0, 4)).costs
    assert found.select("stack", "train_seconds", "seconds_per_example", "cost_seeds").rows() == [
        (1, 600.0, 2.0, 5),
        (4, 100.0, 2.0, 5),
    ]
    assert found["peak_memory_bytes"].to_list() == [6_000_000] * 2


@pytest.mark.parametrize(
    ("notes", "stack"),
    [((), 1), (("a note",), 1), ((stack_note(12),), 12), (("a note", stack_note(2)), 2), (("a stack of 3 seeds",), 1)],
)
def test_how_many_were_trained_at_once_is_read_from_the_notes(notes: tuple[str, ...], stack: int) -> None:
    assert stack_of(notes) == stack


def sized(device: Mapping[str, Any], n: int, seconds: float, seed: int = 0, **others: Any) -> Record:
    return costing(device, seconds, seed, task_params={"nodes": n}, **others)


def test_no_exponent_goes_across_devices(tmp_path: Path) -> None:
    """Linear on both devices; the second is a thousand times slower and ran the larger sizes."""
    slow = [sized(CPU, n, 1e-3 * n) for n in (16, 32, 64)]
    fast = [sized(GPU, n, 1e-6 * n) for n in (4, 8, 16)]
    one = sized(CPU, 16, 16e-3, 1, method="gnn-ga"), sized(GPU, 4, 4e-6, 1, method="gnn-ga")
    found = tables_of(tmp_path, *fast[:2], *slow, *one).scaling
    rows = found.filter(pl.col("method") == "egnn")
    assert rows["device"].to_list() == ["NVIDIA H100"] * 2 + ["AMD EPYC, 2 threads"] * 3
    for name in ("seconds_exponent", "memory_exponent"):
        assert rows[name].to_list() == pytest.approx([1.0] * 5)
        assert rows[f"{name}_low"].to_list()[:2] == [None, None]
    growth = rows.select("device", "seconds_group_exponent").unique()
    assert growth["seconds_group_exponent"].is_between(0.4, 0.9).all() and growth.height == 2
    lone = found.filter(pl.col("method") == "gnn-ga")
    assert lone.select("seconds_exponent", "seconds_group_exponent", "memory_exponent").rows() == [(None,) * 3] * 2


def test_a_size_that_ran_on_two_devices_has_one_score_and_two_costs(tmp_path: Path) -> None:
    records = [
        sized(device, n, seconds, seed, value=float(seed))
        for n in (4, 8)
        for device, seconds, seed in ((CPU, 1.0, 0), (CPU, 3.0, 1), (GPU, 0.01, 5))
    ]
    tables = tables_of(tmp_path, *records)
    assert tables.scaling.select("size", "mean", "seeds", "device", "seconds_per_example").rows() == [
        (n, 2.0, 3, *of) for n in (4, 8) for of in (("AMD EPYC, 2 threads", 2.0), ("NVIDIA H100", 0.01))
    ]
    part = group_size_scaling(tables)[0].protocols[0]
    titles = [column.title for column in part.table.columns]
    assert [row[titles.index("Device")].text for row in part.table.rows] == ["AMD EPYC, 2 threads", "NVIDIA H100"] * 2
    quality, *_ = part.figure_group.figures
    assert [trace["x"] for trace in quality.spec["data"] if "name" in trace] == [[4, 8]]
    drawn = {figure.title: figure.spec["data"] for figure in part.figure_group.figures}
    for device, seconds in (("AMD EPYC, 2 threads", 2000.0), ("NVIDIA H100", 10.0)):
        (line,) = [trace for trace in drawn[f"Time per example against size, {device}"] if "name" in trace]
        assert line["y"] == pytest.approx([seconds] * 2)


def test_a_front_holds_for_one_device(tmp_path: Path) -> None:
    """The slow method is on the front of its own device, however fast others are elsewhere."""
    records = [
        costing(GPU, 1e-6, method="egnn", value=0.1),
        costing(GPU, 1e-5, method="gnn-ga", value=0.2),
        costing(CPU, 1e-2, method="gnn-fa", value=0.3),
        costing(CPU, 1e-1, method="gnn-ps", value=0.4),
        costing({"device": None}, 1e-1, method="gnn-canonical", value=0.5),
    ]
    found = costs(tables_of(tmp_path, *records))[0].comparison_groups[0]
    titles = [column.title for column in found.table.columns]
    for title in ("Time / example", "Memory", "Training"):
        best = {row[0].text for row in found.table.rows if row[titles.index(title)].mark == "best"}
        assert best == {"egnn", "gnn-fa", "gnn-canonical"}
    parameters = {row[0].text for row in found.table.rows if row[titles.index("Parameters")].mark == "best"}
    assert parameters == {"egnn"}
    assert found.figure_group is not None
    assert [figure.name for figure in found.figure_group.figures][:4] == [
        "FLOPs",
        "time on AMD EPYC, 2 threads",
        "time on NVIDIA H100",
        "time on device not recorded",
    ]
    time = found.figure_group.figures[1].spec["data"]
    assert {trace["name"] for trace in time if "name" in trace} == {"gnn-fa", "gnn-ps"}
    assert not any("was not measured" in remark for remark in found.figure_group.remarks)


def test_a_method_on_two_devices_has_a_row_for_each_and_one_name(tmp_path: Path) -> None:
    records = [costing(CPU, 2.0), costing(GPU, 0.01, 1), costing(CPU, 1.0, method="gnn-ga")]
    tables = tables_of(tmp_path, *records, on(CPU, "gnn-fa", error="It broke."))
    found = costs(tables)[0].comparison_groups[0]
    assert sorted((row["Method"], row["Device"], row["Time / example"]) for row in shown(found)) == [
        ("egnn", "AMD EPYC, 2 threads", "2.00 s"),
        ("egnn", "NVIDIA H100", "10.0 ms"),
        ("gnn-fa", "–", "–"),  # noqa: RUF001
        ("gnn-ga", "AMD EPYC, 2 threads", "1.00 s"),
    ]
    assert found.figure_group is not None
    assert [series.name for series in found.figure_group.legend] == ["egnn", "gnn-ga"]
    flops = next(figure for figure in found.figure_group.figures if figure.name == "FLOPs")
    assert len([trace for trace in flops.spec["data"] if "name" in trace]) == 2
    assert any("each Pareto front is for one device" in remark for remark in found.remarks)
    assert any("2 kinds of device" in warning for warning in overview(tables).warnings)


def test_one_device_is_not_named_in_every_row(tmp_path: Path) -> None:
    found = costs(tables_of(tmp_path, costing(CPU, 2.0), costing(CPU, 1.0, 1)))[0].comparison_groups[0]
    assert "Device" not in shown(found)[0] and found.remarks == ()
    assert found.figure_group is not None
    assert [figure.name for figure in found.figure_group.figures][1] == "time"


def test_stacks_on_one_device_are_separate_in_training_only(tmp_path: Path) -> None:
    records = [costing(CPU, 1.0, notes=(stack_note(2),)), costing(CPU, 5.0, method="gnn-ga", value=0.6)]
    found = costs(tables_of(tmp_path, *records))[0].comparison_groups[0]
    assert {row["Device"] for row in shown(found)} == {"AMD EPYC, 2 threads", "AMD EPYC, 2 threads, stacks of 2"}
    assert found.figure_group is not None
    names = [figure.name for figure in found.figure_group.figures]
    assert "time" in names and "training time on AMD EPYC, 2 threads, stacks of 2" in names


def test_costs_are_means_over_seeds_and_memory_is_the_most(tmp_path: Path) -> None:
    values = (1.0, 2.0, 6.0)
    records = [sized(CPU, n, n * value, seed) for n in (4, 8) for seed, value in enumerate(values)]
    tables = tables_of(tmp_path, *records)
    error = np.std(values, ddof=1) / math.sqrt(3)
    for row, n in zip(tables.costs.sort("size").iter_rows(named=True), (4, 8), strict=True):
        assert (row["seconds_per_example"], row["train_seconds"]) == pytest.approx((3.0 * n, 300.0 * n))
        assert row["train_examples_per_second"] == pytest.approx((1 + 1 / 2 + 1 / 6) / 3 / n)
        assert row["peak_memory_bytes"] == 6_000_000 * n
    for row, n in zip(tables.scaling.sort("size").iter_rows(named=True), (4, 8), strict=True):
        assert (row["seconds_per_example"], row["peak_memory_bytes"]) == pytest.approx((3.0 * n, 3e6 * n))
        assert row["seconds_per_example_stderr"] == pytest.approx(error * n)
        assert row["peak_memory_bytes_stderr"] == pytest.approx(1e6 * error * n)
