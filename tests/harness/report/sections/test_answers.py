"""The cards of the first screen: every sentence against what was put into the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.collate import Tables, collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report import write_report
from harness.report.content.answer_cards import Answer, Block, short_titles
from harness.report.sections.answers import answers
from harness.report.sections.leaderboard import leaderboard
from tests.harness.report.test_report import NASTY, Page, report
from tests.harness.synthetic import demo_records, make_record, renamed, write

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tables_of(root: Path, records: Sequence[Record]) -> Tables:
    write(root / "store", *records)
    return collate(Store(root / "store"))


def cards(root: Path, *records: Record) -> list[Answer]:
    return answers(tables_of(root, records))


def seeds(
    method: str, value: float, n: int = 5, spread: float = 0.01, task: str = "nbody", **other: object
) -> list[Record]:
    """Runs whose values lie around ``value``, at distances that depend on the method and the seed."""
    sign = 1 if len(method) % 2 else -1
    values = [value + sign * spread * (seed - (n - 1) / 2) for seed in range(n)]
    return [make_record(task, method, seed=seed, value=v, **other) for seed, v in enumerate(values)]  # type: ignore[arg-type]


def texts(block: Block) -> dict[str, list[str]]:
    return {entry.name: [value.text for value in entry.values] for entry in block.entries}


def test_a_clear_winner_is_claimed_with_five_seeds(tmp_path: Path) -> None:
    best, _, _ = cards(tmp_path, *seeds("egnn", 0.5), *seeds("gnn-ga", 5.0), *seeds("gnn-ps", 2.0))
    assert best.sentence == (
        "On n-body, egnn has the lowest mse, 0.5000 ± 0.0071 (5 seeds); significantly better than each of the 2 others."
    )
    (block,) = best.blocks
    assert [entry.name for entry in block.entries] == ["egnn", "gnn-ps", "gnn-ga"]
    assert [entry.values[0].is_best for entry in block.entries] == [True, False, False]


def test_ties_are_named(tmp_path: Path) -> None:
    best, _, _ = cards(tmp_path, *seeds("egnn", 0.5), *seeds("gnn-ga", 0.501, spread=0.02), *seeds("gnn-ps", 9.0))
    assert best.sentence.endswith("(5 seeds); gnn-ga does not differ significantly.")
    assert {entry.name: entry.values[0].small for entry in best.blocks[0].entries} == {
        "egnn": "",
        "gnn-ga": "≈ best",
        "gnn-ps": "",
    }


def test_too_few_seeds_are_no_claim(tmp_path: Path) -> None:
    best, samples, sizes = cards(tmp_path, *seeds("egnn", 0.5, n=2), *seeds("gnn-ga", 5.0, n=2))
    assert best.sentence == (
        "On n-body, egnn has the lowest mean mse, 0.5000 ± 0.0050 (2 seeds); no claim: 2 seeds (5 are needed)."
    )
    assert "2 seeds: no claim that samplers differ (5 are needed)" in samples.remark
    assert sizes.sentence == "Not known: no method ran on two or more sizes of a task."


def test_higher_is_better_where_the_metric_says_so(tmp_path: Path) -> None:
    records = [*seeds("gin", 0.5, task="exp_classify"), *seeds("mlp-ga", 0.9, task="exp_classify")]
    best, _, _ = cards(tmp_path, *records)
    assert best.sentence.startswith("On EXP-classify, mlp-ga has the highest accuracy, 0.9000 ")
    assert best.sentence.endswith("significantly better than the other one.")


def test_the_worse_of_two_scores_is_the_one_that_is_shown(tmp_path: Path) -> None:
    records = [*seeds("egnn", 0.5), *seeds("gnn-none", 0.1, control=7.0)]
    best, _, _ = cards(tmp_path, *records)
    assert best.sentence.startswith("On n-body, egnn has")
    assert texts(best.blocks[0])["gnn-none"] == ["7 ± 0"]
    assert "the worse one ranks it and is shown" in best.remark


def test_several_tasks_are_counted_by_what_may_be_claimed(tmp_path: Path) -> None:
    clear = [*seeds("egnn", 0.5), *seeds("gnn-ga", 5.0)]
    tied = [*seeds("mlp-ga", 0.6, task="exp_classify"), *seeds("mlp-ps", 0.6, spread=0.02, task="exp_classify")]
    few = [*seeds("gin", 5, n=1, task="graph8c"), *seeds("mlp-ga", 7, n=1, task="graph8c")]
    best, _, _ = cards(tmp_path, *clear, *tied, *few)
    assert best.sentence == (
        "One method is significantly better than all others on 1 of 3 tasks; the best do not differ "
        "significantly on 1; too few seeds for a claim on 1 (5 are needed)."
    )
    assert [block.title for block in best.blocks] == ["GRAPH8c", "EXP-classify", "n-body"]
    assert best.blocks[0].remark == "No claim: 1 seed (5 are needed)."


def test_one_method_and_failed_runs_only(tmp_path: Path) -> None:
    alone, _, _ = cards(tmp_path / "one", *seeds("egnn", 0.5))
    assert alone.sentence.endswith("(5 seeds) and is the only one with a score.")
    failed, samples, _ = cards(tmp_path / "failed", make_record(error="No memory is left."))
    assert failed.sentence == "On n-body no method has a score: every run failed."
    assert samples.sentence == "Not known: no run was evaluated with several numbers of group samples k."


def test_a_better_method_with_too_few_seeds_is_named(tmp_path: Path) -> None:
    best, _, _ = cards(tmp_path, *seeds("egnn", 0.5), *seeds("gnn-ga", 5.0), *seeds("gnn-ps", 0.1, n=2))
    assert best.sentence.startswith("On n-body, egnn has")
    assert best.sentence.endswith("not ranked, since it has too few seeds: gnn-ps.")


def test_the_paper_comes_first_of_several_protocols(tmp_path: Path) -> None:
    quick, paper = seeds("egnn", 0.5, n=1), seeds("egnn", 0.4, n=1, protocol="paper")
    best, _, _ = cards(tmp_path, *quick, *paper)
    assert [block.note.split(" · ")[0] for block in best.blocks] == ["protocol paper", "protocol quick"]


METHODS = ("egnn", "gnn-ga", "gnn-ps", "gnn-fa")


@SLOW
@given(st.lists(st.tuples(st.sampled_from(METHODS), st.integers(1, 6), st.integers(0, 4)), min_size=1, max_size=4))
def test_the_first_method_has_the_first_rank_of_the_leaderboard(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int, int]]
) -> None:
    by_method = {method: (n, value) for method, n, value in drawn}
    records = [one for method, (n, value) in by_method.items() for one in seeds(method, float(value), n=n)]
    tables = tables_of(tmp_path_factory.mktemp("ranks"), records)
    (block,) = answers(tables)[0].blocks
    (board,) = leaderboard(tables)[0].boards
    ranked = [row[0].text for row in board.table.rows if row[1].sort is not None]
    first = {row[0].text for row in board.table.rows if row[1].text.rstrip("=") == "1"}
    marked = {row[0].text for row in board.table.rows if row[2].mark == "best"} or set(ranked)
    assert [entry.name for entry in block.entries] == ranked
    assert ranked[0] in first
    assert {entry.name for entry in block.entries if entry.values[0].is_best} == marked
    tied = {row[0].text for row in board.table.rows if row[2].mark == "tied"}
    assert {entry.name for entry in block.entries if entry.values[0].small} == tied


def test_samples_needed_are_those_of_the_curves(tmp_path: Path) -> None:
    """The metric is 1 + 0.4 / k: it is within 1 % of 1 from k = 64 on, or beyond a largest k of 16."""
    enough = seeds("gnn-ga", 1.0, n=2, spread=0.0)
    short = seeds("gnn-ps", 1.0, n=2, spread=0.0, samples=(1, 2, 4, 8, 16))
    _, samples, _ = cards(tmp_path, *enough, *short, *seeds("egnn", 1.0, n=2))
    assert texts(samples.blocks[0]) == {"group averaging": ["64"], "probabilistic symmetrization": ["> 16"]}
    assert samples.sentence.startswith(
        "Group samples that group averaging needs for a score within 1 % of its limit: 64 on n-body. "
        "The variance falls as k^-1.0 "
    )
    assert samples.blocks[0].sentence == (
        "On n-body, samples needed: group averaging 64; probabilistic symmetrization more than 16."
    )
    assert samples.blocks[0].remark == "k changes nothing: egnn."
    assert [dot.is_beyond for entry in samples.blocks[0].entries for dot in entry.strip.dots] == [False, True]  # type: ignore[union-attr]


def test_the_methods_of_a_sampler_are_a_range_with_what_is_not_known(tmp_path: Path) -> None:
    noisy = seeds("transformer-ga", 1.0, n=2, spread=0.0)
    noisy = [replace(one, curve=tuple(replace(point, value_error=0.5) for point in one.curve)) for one in noisy]
    records = [*seeds("gnn-ga", 1.0, n=2, spread=0.0), *noisy]
    _, samples, _ = cards(tmp_path / "both", *records)
    assert "64 (unknown for transformer-ga) on n-body" in samples.sentence
    _, samples, _ = cards(tmp_path / "noisy", *noisy)
    assert "unknown (noise above 1 %) on n-body" in samples.sentence


def test_k_that_was_not_varied_or_changes_nothing_is_said(tmp_path: Path) -> None:
    _, one_k, _ = cards(tmp_path / "one", make_record(method="gnn-ga", samples=(1,)))
    assert one_k.sentence.startswith("Not known: every run was evaluated with one number of group samples")
    _, exact, _ = cards(tmp_path / "exact", make_record(method="egnn"))
    assert exact.sentence.startswith("Every method that ran gives the same prediction at every number")


def test_exponents_are_those_of_the_costs(tmp_path: Path) -> None:
    """Costs of made records grow as n^2; the variance of one sample is 4 at n = 4 and 32 at n = 32."""
    records = [
        make_record(method=method, seed=0, task_params={"nodes": n}, variance=float(n))
        for method in ("gnn-ga", "egnn")
        for n in (4, 8, 32)
    ]
    *_, sizes = cards(tmp_path, *records)
    assert sizes.sentence == (
        "The time of a prediction grows as n^2.00 on n-body. On n-body, from n = 4 to 32, the variance of one sample "
        "changes from 4 to 32 with group averaging."
    )
    (block,) = sizes.blocks
    assert texts(block) == {
        "group averaging": ["n^2.00", "n^2.00", "4 → 32"],
        "equivariant by construction": ["n^2.00", "n^2.00", "none"],
    }
    assert block.remark.startswith("Exponents in ln |G|: time ")
    assert block.panel is not None and len(block.panel.lines) == 2
    assert "1 seed: no claim that samplers differ" in sizes.remark


def test_an_empty_store_says_what_is_missing(tmp_path: Path) -> None:
    best, samples, sizes = cards(tmp_path)
    assert best.sentence == "No run has a record yet, so no method can be named."
    assert samples.sentence.startswith("Not known: no run") and sizes.sentence.startswith("Not known: no method")
    store = Store(tmp_path / "store")
    write_report(collate(store), store, tmp_path)
    assert best.sentence in (tmp_path / "leaderboard.html").read_text(encoding="utf-8")


def test_names_stay_text_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    nasty = [
        renamed(
            make_record(method="gnn-ga", seed=seed, task_params={"nodes": n}), task=NASTY, method=NASTY, sampler=NASTY
        )
        for seed in (0, 1)
        for n in (4, 8)
    ]
    html, markdown = report(tmp_path, *demo_records(), *nasty)
    page = Page(html)
    assert NASTY in page.texts and not page.handlers
    assert {link[1:] for link in page.loads if link.startswith("#")} <= set(page.ids)
    assert {"answer-best", "answer-samples", "answer-sizes"} <= set(page.ids)
    assert html.index('id="answers"') < html.index('class="warnings"') < html.index('id="ran"')
    assert markdown.index("## Answers") < markdown.index("## What ran")


def test_short_titles_are_unambiguous() -> None:
    found = short_titles(["nbody", "teacher_graph_invariant", "teacher_space_invariant", "mine: and more"])
    assert list(found.values()) == ["n-body", "teacher_graph_invariant", "teacher_space_invariant", "mine: and more"]
