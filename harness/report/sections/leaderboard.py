"""The leaderboard: a table for each comparison group of each task, with a row for each method and setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import registry
from harness.collate import Tables
from harness.report.content import captions, control_metrics, published
from harness.report.content.badges import Badges, badge_sentences, badges
from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.methods import method_cell
from harness.report.content.notes import Notes, note_sentences, run_notes
from harness.report.content.ranked_rows import ranked_rows
from harness.report.content.ranking import place_text
from harness.report.content.settings import (
    Changes,
    changed_sentence,
    changed_settings,
    setting_label,
    shared_changes,
    shared_protocol,
)
from harness.report.content.titles import arrow, better, card_id, group_title, task_title
from harness.report.rendering.cells import Cell, Column, Mark, Table, missing
from harness.report.rendering.formats import between, counted, estimate, listed


@dataclass(frozen=True, kw_only=True)
class Board:
    """The table of one comparison group.

    Attributes:
        protocol: The protocol of the group.
        chips: What distinguishes the group from the others of its task.
        changed: A sentence about the settings that all rows changed; empty if there are none.
        control: A sentence about the control metric; empty if there is none.
        is_main: Whether the group is the main one of its protocol.
        table: The table.
        remarks: Sentences below the table.
    """

    protocol: str
    chips: tuple[str, ...]
    changed: str
    control: str
    is_main: bool
    table: Table
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaskLeaderboard:
    """The tables of one task. ``facts`` describe it in a line, and ``card`` is the id of its card."""

    id: str
    name: str
    title: str
    facts: str
    card: str
    boards: tuple[Board, ...]


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """What the runs of the settings in a table contribute to it."""

    changes: Changes
    notes: Notes
    scores: control_metrics.SeedScores
    badges: Badges


def leaderboard(tables: Tables) -> list[TaskLeaderboard]:
    """One entry for each task: registered tasks in the order of the registry, then the others by name."""
    runs = _Runs(
        changes=changed_settings(tables.runs),
        notes=run_notes(tables.runs),
        scores=control_metrics.scores_by_seed(tables.runs),
        badges=badges(tables),
    )
    return [
        _task(number, task, rows, runs) for number, (task, rows) in enumerate(by_task(tables.accuracy).items(), start=1)
    ]


def _task(number: int, task: str, rows: list[dict[str, Any]], runs: _Runs) -> TaskLeaderboard:
    found = comparison_groups(rows)
    card = registry.tasks().get(task)
    first = found[0]
    groups = list(dict.fromkeys(group_title(one.symmetry_group) for one in found))
    facts = [
        f"{'Group' if len(groups) == 1 else 'Groups'} {listed(groups, 12)}",
        f"metric {first.metric} {arrow(first.direction)} ({better(first.direction)})",
    ]
    if card:
        facts.append(card.source)
    return TaskLeaderboard(
        id=f"task-{number}",
        name=task,
        title=task_title(task),
        facts=" · ".join(facts),
        card=card_id("task", task),
        boards=tuple(_board(f"board-{number}-{n}", one, runs) for n, one in enumerate(found, start=1)),
    )


def _board(id_: str, comparison_group: ComparisonGroup, runs: _Runs) -> Board:
    common = shared_changes(comparison_group.rows, runs.changes)
    papers = published.results(comparison_group.task, comparison_group.metric, comparison_group.params)
    ranked = ranked_rows(comparison_group, runs.scores)
    places = ranked.standings.places

    def cells(row: Row, place: int | None, value: float, mark: Mark) -> list[Cell]:
        of_method = papers.get(row["method"], [])
        strict = control_metrics.cell(row, comparison_group)
        by_control = control_metrics.score(row).stricter and strict.text != _value_cell(row).text
        return [
            method_cell(row, setting_label(row, runs.changes, common), runs.badges),
            _place_cell(place, places, value),
            _marked(_value_cell(row), "" if by_control else mark),
            *([_marked(strict, mark if by_control else "")] if comparison_group.control else []),
            _interval_cell(row),
            *([_paper_cell(of_method, row, comparison_group, runs.changes[row["setting"]])] if papers else []),
            Cell(text=str(row["seeds"]), sort=row["seeds"]),
            _failed_cell(row),
        ]

    protocol = shared_protocol(comparison_group.protocol, comparison_group.rows, runs.changes)
    return Board(
        protocol=protocol,
        chips=comparison_group.chips,
        changed=changed_sentence(comparison_group.protocol, common),
        control=control_metrics.explanation(comparison_group),
        is_main=comparison_group.is_main,
        table=Table(
            id=id_,
            caption=", ".join((comparison_group.task, f"protocol {protocol}", *comparison_group.chips)),
            basis=captions.caption(comparison_group.rows, captions.STDERR, captions.BOOTSTRAP),
            columns=_columns(comparison_group, bool(papers)),
            rows=[cells(*one) for one in zip(ranked.rows, places, ranked.values, ranked.marks, strict=True)],
        ),
        remarks=(
            *badge_sentences(comparison_group.rows, runs.badges),
            *note_sentences(comparison_group.rows, runs.notes),
            *_remarks(comparison_group, papers),
        ),
    )


def _columns(comparison_group: ComparisonGroup, with_paper: bool) -> list[Column]:
    metric, direction = comparison_group.metric, comparison_group.direction
    comparison = "What the paper reports. It can be compared only if the row says so"
    return [
        Column(title="Method"),
        Column(title="Rank", why="1 + the number of rows with a better rank; = if several rows share it", numeric=True),
        Column(
            title=f"{metric} {arrow(direction)}",
            why=f"Mean ± standard error over seeds; {better(direction)}",
            numeric=True,
        ),
        *([control_metrics.column(comparison_group)] if comparison_group.control else []),
        Column(
            title="IQM, 95 %",
            why="Interquartile mean over seeds of the score that ranks the row, and its 95 % bootstrap interval. For "
            "two or three seeds the interval is their range, which contains the true value in only about 50 or 75 % of "
            "cases",
            numeric=True,
        ),
        *([Column(title="Paper", why=comparison, numeric=True)] if with_paper else []),
        Column(title="Seeds", why="The number of runs that gave a value", numeric=True),
        Column(title="Failed", why="The number of runs that failed", numeric=True),
    ]


def _place_cell(place: int | None, places: list[int | None], value: float) -> Cell:
    if place is not None:
        return Cell(text=place_text(place, places), sort=place)
    return missing("Not ranked: a score is missing" if math.isnan(value) else "Not ranked: too few seeds")


def _value_cell(row: Row) -> Cell:
    if row["mean"] is None:
        why = "every run failed" if row["failed"] else "no run gave a finite value"
        return Cell(text="–", note=why, mark="missing")  # noqa: RUF001
    shown = estimate(row["mean"], row["stderr"])
    why = "One seed: no standard error" if row["stderr"] is None else ""
    return Cell(text=shown, sort=row["mean"], why=why)


def _marked(cell: Cell, mark: Mark) -> Cell:
    """The cell of the score that ranks a row, with the mark of the row."""
    if mark == "best":
        return replace(cell, mark="best", why="The best of this table")
    if mark == "tied":
        note = "; ".join(filter(None, ("≈ best", cell.note)))
        return replace(cell, mark="tied", why="The difference from the best is not significant", note=note)
    return cell


def _interval_cell(row: Row) -> Cell:
    if row["iqm"] is None:
        return missing("No run gave a finite value" if row["mean"] is None else "Not ranked: a score is missing")
    if row["iqm_low"] is None:
        return missing("One seed: no interval")
    return Cell(
        text=between(row["iqm"], row["iqm_low"], row["iqm_high"]),
        sort=row["iqm"],
        why=f"{row['score_metric']} over {counted(row['score_seeds'], 'seed')}",
    )


def _failed_cell(row: Row) -> Cell:
    bad = row["failed"] + row["undefined"]
    return Cell(
        text=str(row["failed"]),
        sort=bad,
        note=f"{row['undefined']} not finite" if row["undefined"] else "",
        mark="failed" if bad else "",
        why="See the section on failed runs" if bad else "",
    )


def _paper_cell(
    found: Sequence[published.Published],
    row: Row,
    comparison_group: ComparisonGroup,
    changes: Mapping[str, Any] | None,
) -> Cell:
    """The published results nearest to a row, in all versions, with their qualifiers and how the row differs."""
    if not found:
        return missing("No confirmed published number for this method on this task")
    nearest = published.nearest_results(found, row, changes)
    reasons: dict[str, str] = {}
    for result in nearest:
        reasons |= published.differences_from(result, row, comparison_group.protocol, comparison_group.variant, changes)
    others = [name for name in reasons if name not in published.QUALIFIED]
    qualifiers = dict.fromkeys(qualifier for result in nearest for qualifier in result.qualifiers)
    comparison = f"other {', '.join(others)}" if others else "" if reasons else "same protocol"
    versions = " / ".join(dict.fromkeys(result.version for result in nearest))
    explanations = dict.fromkeys(
        text for one in nearest for text in (published.source(one), published.version(one.version), one.note)
    )
    return Cell(
        text=" / ".join(result.shown for result in nearest),
        sort=nearest[0].value,
        note="; ".join(filter(None, (versions, *qualifiers, comparison))),
        why=". ".join(filter(None, (*explanations, "; ".join(reasons.values()).capitalize()))),
    )


def _remarks(comparison_group: ComparisonGroup, papers: Mapping[str, Sequence[published.Published]]) -> Iterable[str]:
    ran = {row["method"] for row in comparison_group.rows}
    absent = [
        f"{published.elsewhere().get(name, name)} {_with_qualifiers(result)}"
        for name in sorted(papers)
        if name not in ran
        for result in papers[name]
    ]
    if absent:
        yield f"Published for methods that did not run here: {'; '.join(absent)}."
    others = published.other_metrics(comparison_group.task, comparison_group.metric, comparison_group.params)
    if others:
        listed_others = "; ".join(f"{one.method} {one.metric} {_with_qualifiers(one)}" for one in others)
        yield f"Published in other metrics: {listed_others}."
    every = [*others, *(result for found in papers.values() for result in found)]
    if every:
        yield "Published numbers: " + "; ".join(sorted({published.source(result) for result in every})) + "."
        versions = sorted({result.version for result in every})
        yield "Versions: " + "; ".join(f"{name}: {published.version(name)}" for name in versions) + "."
        yield from sorted({f"{one.method} {one.shown}: {text}." for one in every for text in _comments(one)})
    reasons = published.differences(comparison_group.protocol, comparison_group.variant, {})
    if papers and reasons:
        how = "; ".join(reasons.values())
        yield f"These runs are not the published ones ({how}): do not compare the two columns."


def _with_qualifiers(result: published.Published) -> str:
    """A result with its version and qualifiers: ``0.985 (thread, k = 10 at evaluation)``."""
    return f"{result.shown} ({', '.join((result.version, *result.qualifiers))})"


def _comments(result: published.Published) -> Iterable[str]:
    if result.network:
        yield f"another network: {result.network}"
    if result.note:
        yield result.note
