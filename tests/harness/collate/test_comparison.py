"""Paired comparisons: the same seeds, the worse of plain and moved scores, and one sentence where nothing compares."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.collate import collate
from harness.collate.comparison import Comparison, compare, over_tasks
from harness.errors import SymbenchError
from harness.records.record import Record
from harness.records.store import Store
from harness.report.content.method_comparison import as_values, sentences, table
from tests.harness.synthetic import make_record, write


def compared(root: Path, *records: Record, task: str | None = None) -> list[Comparison]:
    write(root / "store", *records)
    return compare(collate(Store(root / "store")).runs, "gnn-ps", "gnn-ga", task)


def scores(method: str, *values: float, first: int = 0, **changes: object) -> list[Record]:
    return [
        make_record(method=method, seed=first + place, value=value, **changes)  # type: ignore[arg-type]
        for place, value in enumerate(values)
    ]


def test_only_seeds_in_common_count(tmp_path: Path) -> None:
    records = scores("gnn-ps", 1.0, 2.0, 3.0) + scores("gnn-ga", 2.5, 2.5, 99.0, first=1)
    (found,) = compared(tmp_path, *records)
    assert (found.seeds, found.first, found.second) == (2, 2.5, 2.5)
    assert found.advantage.value == 0  # a lower mse is better: 2.5 - 2 and 2.5 - 3
    assert found.improvement.value == 0.5


@pytest.mark.parametrize(("task", "sign"), [("nbody", -1), ("exp_classify", 1)])
def test_an_advantage_is_positive_for_the_better_method(tmp_path: Path, task: str, sign: int) -> None:
    names = ("gnn-ps", "gnn-ga") if task == "nbody" else ("mlp-ps", "mlp-ga")
    records = [make_record(task, names[0], seed=seed, value=0.5 + sign * 0.1) for seed in range(5)]
    records += [make_record(task, names[1], seed=seed, value=0.5) for seed in range(5)]
    write(tmp_path / "store", *records)
    (found,) = compare(collate(Store(tmp_path / "store")).runs, *names)
    assert found.advantage == pytest.approx((0.1, 0.1, 0.1))
    assert found.improvement == (1, 1, 1)
    (swapped,) = compare(collate(Store(tmp_path / "store")).runs, *names[::-1])
    assert swapped.advantage == pytest.approx((-0.1, -0.1, -0.1))
    assert swapped.improvement == (0, 0, 0)


def test_a_score_is_the_worse_of_plain_and_moved(tmp_path: Path) -> None:
    """A method that reads its answer off the pose of the data does not win by it."""
    cheat = [make_record(method="gnn-ps", seed=seed, value=0.1, control=5.0) for seed in range(3)]
    (found,) = compared(tmp_path, *cheat, *scores("gnn-ga", 1.0, 1.0, 1.0))
    assert (found.first, found.improvement.value) == (5.0, 0)


def test_settings_and_protocols_are_kept_apart(tmp_path: Path) -> None:
    records = scores("gnn-ps", 1.0, 1.0) + scores("gnn-ps", 3.0, 3.0, settings={"lr": 0.5})
    records += scores("gnn-ga", 2.0, 2.0) + scores("gnn-ga", 0.0, 0.0, protocol="paper")
    found = compared(tmp_path, *records)
    assert sorted((one.protocol, one.first, one.second) for one in found) == [("quick", 1, 2), ("quick", 3, 2)]
    assert all("lr" in str(one.settings[0]) and one.settings[1] is None for one in found)
    assert over_tasks(found).value == 0.5


def test_settings_that_both_share_are_named_once(tmp_path: Path) -> None:
    records = [
        record
        for method in ("gnn-ps", "gnn-ga")
        for lr in (0.1, 0.5)
        for record in scores(method, 1.0, 2.0, settings={"lr": lr})
    ]
    found = compared(tmp_path, *records)
    rows = table(found, "gnn-ps", "gnn-ga")[1]
    assert [row[2].count("lr") for row in rows] == [len(set(one.settings)) for one in found]
    assert {"lr=0.1", "lr=0.5"} <= {row[2] for row in rows}


def test_failed_runs_and_runs_without_a_value_are_left_out(tmp_path: Path) -> None:
    records = [*scores("gnn-ps", 1.0, 2.0, 3.0), *scores("gnn-ga", 2.0)]
    records += [
        make_record(method="gnn-ga", seed=1, error="It broke."),
        make_record(method="gnn-ga", seed=2, value=None),
    ]
    (found,) = compared(tmp_path, *records)
    assert found.seeds == 1


def test_the_table_has_a_cell_for_every_title_and_doubts_few_seeds(tmp_path: Path) -> None:
    records = scores("gnn-ps", 1.0, 2.0) + scores("gnn-ga", 3.0, 2.0)
    found = compared(tmp_path, *records)
    titles, rows = table(found, "gnn-ps", "gnn-ga")
    assert [len(row) for row in rows] == [len(titles)]
    assert rows[0][-3:] == ["1 [0, 2]", "0.7500 [0.5000, 1]", "2"]
    (doubt,) = sentences(found, "gnn-ps", "gnn-ga")
    assert "only 2 seeds in common" in doubt
    enough = [replace(found[0], seeds=5), found[0]]
    assert sentences(enough, "gnn-ps", "gnn-ga")[-1] == doubt
    (value,) = as_values(found)
    assert value["advantage"] == {"value": 1.0, "low": 0.0, "high": 2.0}
    assert sentences(compared(tmp_path, *scores("gnn-ps", *range(5)), *scores("gnn-ga", *range(5))), "", "") == []


@pytest.mark.parametrize(
    ("records", "task", "sentence"),
    [
        ([*scores("gnn-ps", 1.0)], None, "No run of the method 'gnn-ga' has a score yet"),
        ([*scores("gnn-ps", 1.0), *scores("gnn-ga", 1.0, first=7)], None, "no seed of one task and protocol"),
        ([*scores("gnn-ps", 1.0), *scores("gnn-ga", 1.0)], "nbdy", "did you mean 'nbody'"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    tmp_path: Path, records: list[Record], task: str | None, sentence: str
) -> None:
    with pytest.raises(SymbenchError, match=sentence):
        compared(tmp_path, *records, task=task)


def test_a_comparison_says_of_what_it_is(tmp_path: Path) -> None:
    names = ("mlp-ps", "mlp-ga")
    records = [make_record("exp_classify", name, seed=seed, value=0.5) for name in names for seed in (3, 4)]
    records = [replace(one, description=replace(one.description, variant="of chance")) for one in records]
    write(tmp_path / "store", *records)
    (found,) = compare(collate(Store(tmp_path / "store")).runs, *names)
    spec, described = records[0].spec, records[0].description
    assert (found.task, found.protocol, found.variant, found.metric) == (
        "exp_classify",
        "quick",
        "of chance",
        described.metric,
    )
    assert json.loads(found.task_params) == spec.task_params
    assert found.digests == tuple(record.digest for record in records)
    assert found.differences.tolist() == [0, 0]


def test_both_means_are_those_of_the_middle_half(tmp_path: Path) -> None:
    values = (1.0, 2.0, 3.0, 4.0, 1000.0)
    (found,) = compared(tmp_path, *scores("gnn-ps", *values), *scores("gnn-ga", *(2 * v for v in values)))
    assert (found.first, found.second, found.advantage.value) == (3, 6, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"task_version": "0"}},
        {"spec": {"protocol": "paper"}},
        {"spec": {"task_params": {"nodes": 6}}},
        {"description": {"variant": "other"}},
        {"description": {"metric": "loss"}},
        {"description": {"direction": "max"}},
    ],
    ids=str,
)
def test_different_comparison_groups_are_not_compared(tmp_path: Path, change: dict[str, dict[str, Any]]) -> None:
    """A run of the first method that is changed alike is compared, so nothing but ``change`` parts the two."""
    ((part, values),) = change.items()
    (record,) = scores("gnn-ga", 1.0)
    other = replace(record, **{part: replace(getattr(record, part), **values)})
    with pytest.raises(SymbenchError, match="no seed of one task and protocol in common"):
        compared(tmp_path / "apart", *scores("gnn-ps", 1.0), other)
    (own,) = scores("gnn-ps", 2.0)
    alike = replace(own, **{part: replace(getattr(own, part), **values)})
    (found,) = compared(tmp_path / "alike", alike, other)
    assert found.seeds == 1
