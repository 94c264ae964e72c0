"""The published numbers: all are there, each with its version, k and marks, and compared only where it may be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from baselines.bases.vit_weights import AUGREG, IN21K
from harness import registry
from harness.collate import collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report.content import published
from harness.report.content.published import Published
from harness.report.rendering.cells import Cell, missing
from harness.report.sections.leaderboard import Board, leaderboard
from harness.report.sections.replication import replication
from tests.harness.synthetic import make_record, write

DASH = missing("").text

# Typed a second time from the list of numbers that could be confirmed: task, method, metric, version, k in training and
# at evaluation, value.
CONFIRMED = [
    ("exp_classify", "mlp-ga", "accuracy", "thread", None, 10, 0.50),
    ("exp_classify", "mlp-fa", "accuracy", "thread", None, 10, 1.00),
    ("exp_classify", "mlp-canonical", "accuracy", "thread", None, 10, 0.50),
    ("exp_classify", "mlp-ps, soft permutations", "accuracy", "thread", None, 10, 0.50),
    ("exp_classify", "mlp-ps", "accuracy", "thread", None, 10, 0.82),
    ("exp_classify", "gin_id-ga", "accuracy", "puny thread", 1, 1, 0.50),
    *(
        ("exp_classify", "mlp-ps", "accuracy", version, k, 10, percent / 100)
        for version, percents in (
            ("thread", (98.5, 100, 100, 100, 96, 96)),
            ("release", (97.5, 99.5, 100, 100, 99, 94)),
        )
        for k, percent in zip((1, 2, 5, 10, 20, 50), percents, strict=True)
    ),
    ("nbody", "transformer-ps", "mse", "submission", None, None, 0.00417),
    ("nbody", "transformer-canonical", "mse", "submission", None, None, 0.00779),
    ("nbody", "se3_transformer", "mse", "article", None, None, 0.0244),
    ("nbody", "tfn", "mse", "article", None, None, 0.0155),
    ("nbody", "mpnn-none", "mse", "article", None, None, 0.0107),
    ("nbody", "radial_field", "mse", "article", None, None, 0.0104),
    ("nbody", "egnn", "mse", "article", None, None, 0.0071),
    ("nbody", "segnn", "mse", "article", None, None, 0.0043),
    ("nbody", "seconv", "mse", "article", None, None, 0.0116),
    ("nbody", "fa_gnn", "mse", "article", None, None, 0.0057),
    ("pcqm_contact", "vit-ps", "hits1", "leaderboard", None, None, 0.3287),
    ("pcqm_contact", "vit-ps", "hits3", "leaderboard", None, None, 0.6694),
    ("pcqm_contact", "vit-ps", "hits10", "leaderboard", None, None, 0.9526),
    ("pcqm_contact", "vit-ps", "mrr", "leaderboard", None, None, 0.5341),
    ("peptides_func", "vit-ps", "ap", "leaderboard", None, None, 0.6575),
    ("peptides_struct", "vit-ps", "mae", "leaderboard", None, None, 0.2559),
]


def on_board(root: Path, *records: Record) -> Board:
    write(root / "store", *records)
    return leaderboard(collate(Store(root / "store")))[0].boards[0]


def paper_cells(board: Board) -> dict[str, Cell]:
    place = [column.title for column in board.table.columns].index("Paper")
    return {row[0].text: row[place] for row in board.table.rows}


def compared(root: Path, *records: Record) -> list[dict[str, Cell]]:
    """The rows of the papers' table, by the titles of their columns."""
    write(root / "store", *records)
    table = replication(collate(Store(root / "store")))
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, row, strict=True)) for row in table.rows]


def on_official(seed: int, value: float, method: str = "mlp-ps", **changes: Any) -> Record:
    params = {"task_params": {"data": "official"}}
    return make_record("exp_classify", method, "paper", seed, value=value, **params, **changes)


def test_every_confirmed_number_is_there_and_no_other() -> None:
    found = Counter(
        (one.task, one.method, one.metric, one.version, one.train_samples, one.samples, one.value)
        for one in published._load().results
        if not one.claim
    )
    assert found == Counter(CONFIRMED)


def test_what_no_number_confirms_is_a_claim() -> None:
    claims = [one for one in published._load().results if one.claim]
    named = {(one.task, one.method, one.shown) for one in claims}
    symmetrized = {f"{base}-{by}" for base in ("mlp", "gin_id") for by in ("ga", "fa", "canonical", "ps")}
    assert named == {(task, method, "0 pairs") for task in ("graph8c", "exp") for method in symmetrized} | {
        ("exp_classify", "gin_id-ps", "1.0"),
        ("pattern", "vit-ga", "0.8466"),
    }
    assert all("claim" in one.qualifiers for one in claims)


def test_every_result_is_of_a_registered_task_and_method_that_fits_or_said_to_be_of_another() -> None:
    metrics = {"pcqm_contact": {"mrr", "hits1", "hits3", "hits10"}}
    for result in published._load().results:
        task = registry.task(result.task)
        assert result.metric in metrics.get(result.task, {task.metric})
        assert result.task_params.keys() <= task.params.keys()
        if result.method in published.elsewhere():
            assert not result.network and not result.sampler
            continue
        method = registry.method(result.method)
        assert method.misfit(task, {**task.params, **result.task_params}) is None
        if result.sampler:
            assert method.sampler is not None
            assert all(method.sampler.params[name] != value for name, value in result.sampler.items())
    assert not published.elsewhere().keys() & registry.methods().keys()


def test_a_number_without_its_k_is_marked() -> None:
    unknown = {(one.task, one.method) for one in published._load().results if one.lacks_k and not one.claim}
    assert unknown == {
        ("nbody", "transformer-ps"),
        ("pcqm_contact", "vit-ps"),
        ("peptides_func", "vit-ps"),
        ("peptides_struct", "vit-ps"),
    }
    assert all(("k not given" in one.qualifiers) == one.lacks_k for one in published._load().results)


@pytest.mark.parametrize("faulty", [{}, {"value": 1.0, "text": "all"}, {"text": "all"}, {"value": "0.5"}])
def test_a_result_has_a_number_or_is_a_claim_in_words(faulty: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Published(task="exp", method="mlp-ga", metric="unseparated", version="article", source="kim2023", **faulty)


def test_both_published_runs_stand_beside_a_row_of_the_same_k(tmp_path: Path) -> None:
    records = [
        on_official(seed, value, settings={"train_samples": k})
        for k, values in ((20, (0.97, 0.98, 0.96)), (10, (0.99, 1.0, 1.0)))
        for seed, value in enumerate(values)
    ]
    board = on_board(tmp_path, *records)
    place = [column.title for column in board.table.columns].index("Paper")
    found = {row[0].note: (row[place].text, row[place].note) for row in board.table.rows}
    assert found == {
        "": ("1.0 / 1.0", "thread / release; trained with k = 10, k = 10 at evaluation; same protocol"),
        "train_samples=20": (
            "0.96 / 0.99",
            "thread / release; trained with k = 20, k = 10 at evaluation; same protocol",
        ),
    }
    rows = compared(tmp_path, *records)
    assert {row["Comparable"].text for row in rows} == {"yes"}
    shown = {row["Paper"].text: row["Difference in SD"].text for row in rows if "k = 20" in row["Paper"].note}
    assert shown == {"0.96": "+1.0", "0.99": "-2.0"}


def test_another_k_than_the_published_ones_says_so_and_has_no_difference(tmp_path: Path) -> None:
    trained = compared(
        tmp_path / "trained", *(on_official(s, 0.9 + s / 100, settings={"train_samples": 3}) for s in (0, 1))
    )
    evaluated = compared(
        tmp_path / "evaluated", *(on_official(s, 0.8 + s / 100, settings={"test_samples": 50}) for s in (0, 1))
    )
    assert [row["Paper"].text for row in trained] == ["1.0", "0.995"]
    assert {row["Comparable"].text for row in trained} == {"no: trained with k = 3, published with 2"}
    assert {row["Comparable"].text for row in evaluated} == {"no: k at evaluation = 50, published with 10"}
    assert {row["Difference in SD"].text for row in trained + evaluated} == {DASH}


def test_the_ablation_with_fixed_noise_is_beside_runs_with_fixed_noise_only(tmp_path: Path) -> None:
    records = [on_official(seed, 0.8 + seed / 100, sampler={"fixed_noise": True}) for seed in (0, 1)]
    (row,) = compared(tmp_path / "fixed", *records)
    assert (row["Paper"].text, row["Comparable"].text) == ("0.82", "yes")
    assert row["Paper"].note == "fixed_noise=true; k = 10 at evaluation"
    fresh = compared(tmp_path / "fresh", on_official(0, 0.9))
    assert [row["Paper"].text for row in fresh] == ["1.0", "1.0"]


def test_another_network_is_marked_and_never_has_a_difference(tmp_path: Path) -> None:
    records = [
        make_record(method=method, protocol="paper", seed=seed, value=0.01 + seed / 1000)
        for method in ("tfn", "transformer-ps", "egnn")
        for seed in (0, 1)
    ]
    rows = {row["Method"].text: row for row in compared(tmp_path, *records)}
    for method in ("tfn", "transformer-ps"):
        assert rows[method]["Difference in SD"].text == DASH
        assert "another network: " in rows[method]["Difference in SD"].why
        assert "another network" in rows[method]["Paper"].note
    assert rows["egnn"]["Difference in SD"].text != DASH
    cells = paper_cells(board := on_board(tmp_path, *records))
    assert cells["tfn"].note == "article; another network"
    assert cells["transformer-ps"].note == "submission; k not given; another network"
    assert any("tfn 0.0155: another network: " in remark for remark in board.remarks)


def test_a_difference_needs_the_published_protocol_on_the_official_data(tmp_path: Path) -> None:
    on_generated = [make_record("exp_classify", "mlp-ga", "paper", seed, value=0.5 + seed / 100) for seed in (0, 1)]
    quick = [make_record(method="egnn", seed=seed, value=0.01 + seed / 1000) for seed in (0, 1)]
    changed = [
        make_record(method="egnn", protocol="paper", seed=seed, value=0.01 + seed / 1000, settings={"epochs": 10})
        for seed in (0, 1)
    ]
    rows = compared(tmp_path, *on_generated, *quick, *changed)
    assert len(rows) == 3
    assert {row["Difference in SD"].text for row in rows} == {DASH}
    assert all(row["Comparable"].text.startswith("no: ") for row in rows)


def test_long_range_numbers_state_their_correction_and_other_metrics(tmp_path: Path) -> None:
    full = {"task_params": {"nodes": 444}}
    board = on_board(tmp_path / "peptides", make_record("peptides_func", "vit-ps", "paper", **full))
    assert paper_cells(board)["vit-ps"].note == "leaderboard; k not given; other weights"
    assert any("In April 2024 the authors corrected this task" in remark for remark in board.remarks)
    contact = on_board(tmp_path / "contact", make_record("pcqm_contact", "vit-ps", "paper"))
    assert any("vit-ps hits1 0.3287 (leaderboard, k not given)" in remark for remark in contact.remarks)


def test_methods_that_are_not_built_here_are_named_with_version_and_k(tmp_path: Path) -> None:
    remarks = " ".join(on_board(tmp_path, on_official(0, 0.5, "mlp-ga")).remarks)
    assert "with soft instead of hard permutations 0.5 (thread, k = 10 at evaluation)" in remarks
    assert "mlp-ps 0.94 (release, trained with k = 50, k = 10 at evaluation)" in remarks


def test_a_row_from_another_checkpoint_says_so() -> None:
    """Also a number that would otherwise be of the same protocol."""
    results = [result for result in published._load().results if result.method.startswith("vit-")]
    assert len(results) == 7 and {result.weights for result in results} == {AUGREG}
    for result in results:
        row = {"weights": AUGREG, "train_samples": 1, "test_samples": 10}
        assert "weights" not in published.differences_from(result, row, "paper", None, {})
        for other in (IN21K, "random weights", None):
            reasons = published.differences_from(result, {**row, "weights": other}, "paper", None, {})
            assert AUGREG in reasons["weights"] and (other or "known ones") in reasons["weights"]


@pytest.mark.parametrize("field", ["source", "version"])
def test_a_result_names_a_known_source_and_version(field: str) -> None:
    values = published._load().model_dump()
    published._File.model_validate(values)
    values["results"][0][field] = "nowhere"
    with pytest.raises(ValidationError, match=r"no such source or version: .*nowhere"):
        published._File.model_validate(values)


@pytest.mark.parametrize(("ours", "theirs"), [(1, 1), (3, 2), (4, 5), (15, 10), (36, 50), (60, 50), (None, 1)])
def test_the_nearest_k_is_that_of_the_least_difference_and_of_two_the_smaller(ours: int | None, theirs: int) -> None:
    task = registry.task("exp_classify")
    found = published.results(task.name, task.metric, {**task.params, "data": "official"})["mlp-ps"]
    changes = {"settings.train_samples": ours}
    nearest = published.nearest_results(found, {"train_samples": ours, "test_samples": 10}, changes)
    assert [(one.version, one.train_samples) for one in nearest] == [("thread", theirs), ("release", theirs)]
