"""Which runs share a row of a table, the labels of rows, and the sizes of their groups."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import polars as pl
import pytest

from harness.records.record import Record
from harness.registry import resolve
from harness.report.content.deviations import deviations
from harness.report.content.settings import changed_settings
from harness.spec import NEUTRAL
from tests.harness.collate.pooling import collated
from tests.harness.synthetic import make_record, renamed


def test_scaling_needs_two_sizes_and_gives_log_n_factorial() -> None:
    sizes = [make_record(method="egnn", seed=seed, task_params={"nodes": n}) for n in (4, 32) for seed in (0, 1)]
    table = collated(*sizes, make_record(method="gnn-ga"), make_record("exp_classify", "gin")).scaling
    assert table["method"].unique().to_list() == ["egnn"]
    assert table["size"].to_list() == [4, 32]
    assert table["log_group_size"].to_list() == pytest.approx(
        [math.log(math.factorial(4)), math.log(math.factorial(32))]
    )
    assert table["series"].n_unique() == 1
    assert table["seeds"].to_list() == [2, 2]


def test_groups_of_other_kinds_have_their_own_size() -> None:
    lie = [renamed(make_record(task_params={"nodes": n}), group="SO(3)") for n in (4, 8)]
    assert collated(*lie).scaling["log_group_size"].to_list() == [None, None]
    assert collated(*lie).scaling["group_dimension"].to_list() == [3, 3]
    finite = [renamed(make_record(task_params={"nodes": n}), group="D_n") for n in (4, 8)]
    assert collated(*finite).scaling["log_group_size"].to_list() == pytest.approx([math.log(8), math.log(16)])
    assert collated(*finite).scaling["group_dimension"].to_list() == [None, None]


def test_a_degree_is_no_number_of_nodes() -> None:
    """Signed permutations of d coordinates beside permutations of 7 nodes."""
    records = [
        make_record("teacher_space_invariant", "mlp-ga", task_params={"group": ["S_n", "B_#"], "degree": d})
        for d in (2, 3)
    ]
    table = collated(*records).scaling
    assert table["size"].to_list() == [2, 3] and table["size_name"].unique().to_list() == ["degree"]
    assert table["series"].n_unique() == 1
    orders = [math.factorial(7) * 8, math.factorial(7) * 48]
    assert table["log_group_size"].to_list() == pytest.approx([math.log(order) for order in orders])


def test_a_method_whose_runs_all_failed_keeps_its_row() -> None:
    table = collated(
        *(make_record(seed=seed, error="Out of memory.") for seed in (0, 1)), make_record(method="gnn-ga")
    ).accuracy
    row = table.filter(pl.col("method") == "egnn").row(0, named=True)
    assert (row["mean"], row["stderr"], row["seeds"], row["failed"]) == (None, None, 0, 2)
    assert table.height == 2


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"task_params": {"nodes": 8}}, "nodes=8"),
        ({"settings": {"train_samples": 5}}, "train_samples=5"),
        ({"sampler": {"noise_scale": 0.5}}, "noise_scale=0.5"),
        ({"base": {"width": 32}}, "width=32"),
    ],
)
def test_settings_that_differ_are_never_pooled_and_say_what_differs(change: dict[str, object], label: str) -> None:
    tables = collated(
        *(make_record(method="gnn-ps", seed=seed, value=1.0) for seed in (0, 1)),
        *(make_record(method="gnn-ps", seed=seed, value=3.0, **change) for seed in (0, 1)),
    )
    assert sorted(tables.accuracy["mean"]) == [1.0, 3.0]
    assert tables.accuracy["seeds"].to_list() == [2, 2]
    labels = dict(zip(tables.accuracy["mean"], tables.accuracy["setting_label"], strict=True))
    assert labels[3.0] == label
    assert labels[1.0] is not None and labels[1.0] != label
    assert tables.sample_complexity["setting"].n_unique() == 2


def test_protocols_are_never_pooled_and_one_setting_needs_no_label() -> None:
    table = collated(make_record(protocol="quick"), make_record(protocol="paper")).accuracy
    assert table["protocol"].sort().to_list() == ["paper", "quick"]
    assert table["setting_label"].to_list() == [None, None]


def test_labels_that_would_read_the_same_are_written_out() -> None:
    table = collated(
        make_record(method="gnn-ps"),
        make_record(method="gnn-ps", base={"width": 32}, sampler={"width": 16}),
    ).accuracy
    assert "base.width=32, sampler.width=16" in table["setting_label"].to_list()


def test_a_run_that_failed_and_then_succeeded_counts_once() -> None:
    tables = collated(make_record(error="The worker was killed."), make_record(value=0.25))
    assert tables.runs["status"].to_list() == ["succeeded"]
    assert tables.accuracy.select("mean", "seeds", "failed").row(0) == (0.25, 1, 0)


def test_runs_from_before_a_setting_that_changes_nothing_are_pooled_with_those_after_it() -> None:
    def older(record: Record) -> Record:
        sampler = {name: value for name, value in record.spec.sampler.items() if name not in NEUTRAL["sampler"]}
        assert len(sampler) < len(record.spec.sampler)
        return replace(record, spec=replace(record.spec, sampler=sampler))

    task, method = "teacher_space_equivariant", "mlp-ps"
    runs = [make_record(task, method, seed=seed, task_params={"degree": d}) for seed in (0, 1) for d in (5, 8)]
    mixed = (older(run) if run.spec.seed == 0 or run.spec.task_params["degree"] == 8 else run for run in runs)
    tables = collated(*mixed)
    assert tables.accuracy.select("seeds", "setting_label").rows() == [(2, "degree=5"), (2, "degree=8")]
    assert tables.scaling["series"].n_unique() == 1
    assert {change for changes in changed_settings(tables.runs).values() for change in changes or {}} == set()


def test_a_run_from_before_a_setting_departs_where_that_is_published_at_another_value() -> None:
    spec = resolve("teacher_space_invariant", "mlp-canonical", "standard", 0).to_dict()
    assert deviations(spec) == {}
    sampler = {name: value for name, value in spec["sampler"].items() if name != "axis_floor"}
    assert deviations({**spec, "sampler": sampler}) == {"sampler.axis_floor": 0.0}


def test_all_seeds_of_a_setting_have_one_text_of_it() -> None:
    """The seed has a column of its own, and a million texts that differ would take a gigabyte."""
    records = [make_record(seed=seed) for seed in range(3)]
    runs = collated(*records).runs
    [text] = runs["spec_json"].unique()
    assert {**json.loads(text), "seed": 2} == json.loads(json.dumps(records[2].spec.to_dict()))
    assert sorted(runs["seed"]) == [0, 1, 2]


def test_the_suites_of_a_row_are_all_that_ran_it() -> None:
    records = [make_record(seed=seed, suite=suite) for seed, suite in enumerate(("late", "early", "late"))]
    assert collated(*records).accuracy["suites"].to_list() == ["early, late"]


def test_task_parameters_are_told_apart_over_all_protocols_of_a_task() -> None:
    """All else within a protocol: that two protocols differ in everything needs no words."""
    records = [
        make_record(protocol=protocol, task_params={"nodes": nodes}, settings={"lr": lr})
        for protocol, nodes, lr in (("quick", 5, 0.1), ("paper", 8, 0.2))
    ]
    other = make_record(method="gnn-ga", protocol="quick", task_params={"nodes": 5}, settings={"lr": 0.3})
    table = collated(*records, other).accuracy
    assert sorted(table.select("method", "protocol", "setting_label").rows()) == [
        ("egnn", "paper", "nodes=8"),
        ("egnn", "quick", "nodes=5"),
        ("gnn-ga", "quick", "nodes=5"),
    ]


def test_a_label_names_task_parameters_and_all_else_together() -> None:
    records = [
        make_record(task_params={"nodes": nodes}, settings={"lr": lr}, seed=seed)
        for nodes in (5, 8)
        for lr in (0.1, 0.2)
        for seed in (0, 1)
    ]
    assert sorted(collated(*records).accuracy["setting_label"]) == [
        "lr=0.1, nodes=5",
        "lr=0.1, nodes=8",
        "lr=0.2, nodes=5",
        "lr=0.2, nodes=8",
    ]


def test_a_group_of_several_factors_has_the_sizes_of_all() -> None:
    records = [renamed(make_record(task_params={"nodes": n}), group="C_n x SO(3) x U(2) x D_5") for n in (4, 8)]
    table = collated(*records).scaling
    assert table["group_dimension"].to_list() == [7, 7]
    assert table["log_group_size"].to_list() == pytest.approx([math.log(4 * 10), math.log(8 * 10)])


def test_a_size_of_nothing_is_the_size_of_no_group() -> None:
    none, eight = (make_record(task_params={"nodes": n}) for n in (4, 8))
    nothing = replace(
        none,
        spec=replace(none.spec, task_params={"depth": 0}),
        description=replace(none.description, size=0, size_name="depth"),
    )
    sizes = dict(collated(nothing, eight).scaling.select("size", "log_group_size").iter_rows())
    assert sizes == {0: None, 8: pytest.approx(math.lgamma(9))}


def test_versions_of_a_task_and_of_a_method_have_rows_of_their_own() -> None:
    now = make_record(value=1.0)
    others = [
        replace(now, spec=replace(now.spec, **{name: "0"}), metrics={"mse": value})
        for name, value in (("task_version", 2.0), ("method_version", 3.0))
    ]
    table = collated(now, *others).accuracy.sort("mean")
    assert table["mean"].to_list() == [1, 2, 3]
    spec = now.spec
    assert table.select("task_version", "method_version").rows() == [
        (spec.task_version, spec.method_version),
        ("0", spec.method_version),
        (spec.task_version, "0"),
    ]
