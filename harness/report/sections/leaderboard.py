"""The leaderboard: per task, per contest, one row per method and setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from harness import registry
from harness.collate import Tables
from harness.collate.bootstrap import Array
from harness.collate.significance import by_seed
from harness.collate.standings import Standings, standings
from harness.report.content import control_metrics, published
from harness.report.content.comparison_groups import Contest, Row, contests
from harness.report.content.notes import Notes, run_notes, told
from harness.report.content.ranking import marks, place_text
from harness.report.content.settings import Changes, changed_sentence, changed_settings, note, shared
from harness.report.content.titles import arrow, better, card_id, group_title, method_title, task_title
from harness.report.rendering.cells import Cell, Column, Table, missing
from harness.report.rendering.formats import between, counted, estimate, listed
from harness.report.rendering.styles import look


@dataclass(frozen=True, kw_only=True)
class Board:
    """One contest's table, and what a reader must know to read it.

    ``changed`` holds for every row; ``control`` says what the column beside the score is.
    """

    protocol: str
    chips: tuple[str, ...]
    changed: str
    control: str
    is_main: bool
    table: Table
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaskBoards:
    """``card`` is the id of the task's card."""

    id: str
    name: str
    title: str
    facts: str
    card: str
    boards: tuple[Board, ...]


def leaderboard(tables: Tables) -> list[TaskBoards]:
    """One entry per task, in the registry's order, then by name."""
    changes, notes, seeds = changed_settings(tables.runs), run_notes(tables.runs), control_metrics.seeds(tables.runs)
    return [
        _task(number, task, rows, changes, notes, seeds)
        for number, (task, rows) in enumerate(by_task(tables.accuracy).items(), start=1)
    ]


def by_task(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Rows by task: registered tasks first, in the registry's order."""
    known = list(registry.tasks())
    names = sorted(
        frame["task"].unique(), key=lambda name: (name not in known, known.index(name) if name in known else 0, name)
    )
    return {name: frame.filter(pl.col("task") == name).to_dicts() for name in names}


def _task(
    place: int, task: str, rows: list[dict[str, Any]], changes: Changes, notes: Notes, seeds: control_metrics.Seeds
) -> TaskBoards:
    found = contests(rows)
    card = registry.tasks().get(task)
    first = found[0]
    groups = list(dict.fromkeys(group_title(contest.group) for contest in found))
    facts = [
        f"{'Group' if len(groups) == 1 else 'Groups'} {listed(groups, 12)}",
        f"metric {first.metric} {arrow(first.direction)} ({better(first.direction)})",
    ]
    if card:
        facts.append(card.source)
    return TaskBoards(
        id=f"task-{place}",
        name=task,
        title=task_title(task),
        facts=" · ".join(facts),
        card=card_id("task", task),
        boards=tuple(
            _board(f"board-{place}-{n}", contest, changes, notes, seeds) for n, contest in enumerate(found, start=1)
        ),
    )


def _board(id_: str, contest: Contest, changes: Changes, notes: Notes, seeds: control_metrics.Seeds) -> Board:
    common = shared(contest.rows, changes)
    papers = published.results(contest.task, contest.metric, contest.params)
    best_first = control_metrics.order(contest, contest.rows)
    values, found = _standings(best_first, contest, seeds)
    rows = [
        [
            method_cell(row, note(row, changes, common)),
            _place_cell(place, found.places, value),
            _value_cell(row, mark),
            *([control_metrics.cell(row, contest)] if contest.control else []),
            _interval_cell(row),
            *([_paper_cell(papers.get(row["method"], []), row, contest, changes[row["setting"]])] if papers else []),
            Cell(text=str(row["seeds"]), sort=row["seeds"]),
            _failed_cell(row),
        ]
        for row, place, value, mark in zip(best_first, found.places, values, marks(found, values), strict=True)
    ]
    title = f"{contest.task}, protocol {contest.protocol}" + "".join(f", {chip}" for chip in contest.chips)
    return Board(
        protocol=contest.protocol,
        chips=contest.chips,
        changed=changed_sentence(contest.protocol, common),
        control=control_metrics.explanation(contest),
        is_main=contest.is_main,
        table=Table(id=id_, caption=title, columns=_columns(contest, bool(papers)), rows=rows),
        remarks=(*told(contest.rows, notes), *_remarks(contest, papers)),
    )


def _standings(rows: Sequence[Row], contest: Contest, seeds: control_metrics.Seeds) -> tuple[Array, Standings]:
    """By what rows are ranked, higher is better, and how they stand."""
    sign = 1.0 if contest.direction == "max" else -1.0
    scores = [control_metrics.score(row, contest) for row in rows]
    values = np.array([np.nan if one.mean is None else sign * one.mean for one in scores])
    of_rows = [seeds.get((row["setting"], one.column), {}) for row, one in zip(rows, scores, strict=True)]
    return values, standings([sign * by_seed(of_rows)], values)


def _columns(contest: Contest, with_paper: bool) -> list[Column]:
    comparison = "What the paper reports. Comparable only where the row says so."
    return [
        Column(title="Method"),
        Column(
            title="Rank",
            why="1 + the number of rows at better places; = where rows share one",
            numeric=True,
        ),
        Column(
            title=f"{contest.metric} {arrow(contest.direction)}",
            why=f"Mean ± standard error over seeds; {better(contest.direction)}",
            numeric=True,
        ),
        *([control_metrics.column(contest)] if contest.control else []),
        Column(
            title="IQM, 95 %",
            why="Interquartile mean over seeds and its 95 % bootstrap interval. The interval of two or three seeds is "
            "their range, which holds the truth in about 50 or 75 % of cases only",
            numeric=True,
        ),
        *([Column(title="Paper", why=comparison, numeric=True)] if with_paper else []),
        Column(title="Seeds", why="Runs that gave a value", numeric=True),
        Column(title="Failed", why="Runs that failed", numeric=True),
    ]


def method_cell(row: Row, note: str = "") -> Cell:
    """The method's name with its colour and marker, and under it what a pretrained base model starts from and whose
    runs these are where they were imported."""
    return Cell(
        text=row["method"],
        sort=row["method"].lower(),
        why=method_title(row["method"]),
        note="; ".join(filter(None, (row["weights"], row["source"] and f"run by {row['source']}", note))),
        code=True,
        look=look(row["sampler"], row["base_model"]),
        link=card_id("method", row["method"]),
    )


def _place_cell(place: int | None, places: list[int | None], value: float) -> Cell:
    if place is not None:
        return Cell(text=place_text(place, places), sort=place)
    return missing("Not ranked: a score is missing" if math.isnan(value) else "Not placed: too few seeds")


def _value_cell(row: Row, mark: str) -> Cell:
    if row["mean"] is None:
        why = "every run failed" if row["failed"] else "no run gave a finite value"
        return Cell(text="–", note=why, mark="missing")  # noqa: RUF001
    shown = estimate(row["mean"], row["stderr"])
    if mark == "best":
        return Cell(text=shown, sort=row["mean"], mark="best", why="The best of this table")
    if mark == "tied":
        return Cell(text=shown, sort=row["mean"], mark="tied", why="Not told apart from the best", note="≈ best")
    why = "One seed: no standard error" if row["stderr"] is None else ""
    return Cell(text=shown, sort=row["mean"], why=why)


def _interval_cell(row: Row) -> Cell:
    if row["iqm"] is None:
        return missing("No run gave a finite value")
    if row["iqm_low"] is None:
        return missing("One seed: no interval")
    return Cell(
        text=between(row["iqm"], row["iqm_low"], row["iqm_high"]),
        sort=row["iqm"],
        why=f"Over {counted(row['seeds'], 'seed')}",
    )


def _failed_cell(row: Row) -> Cell:
    bad = row["failed"] + row["undefined"]
    note = f"{row['undefined']} not finite" if row["undefined"] else ""
    return Cell(
        text=str(row["failed"]), sort=bad, note=note, mark="failed" if bad else "", why="See What failed" if bad else ""
    )


def _paper_cell(
    found: Sequence[published.Published], row: Row, contest: Contest, changes: Mapping[str, Any] | None
) -> Cell:
    """What was published that is nearest to a row, in all versions, with k, marks and how the row differs."""
    if not found:
        return missing("No confirmed published number for this method on this task")
    beside = published.closest(found, row, changes)
    reasons: dict[str, str] = {}
    for result in beside:
        reasons |= published.differences_from(result, row, contest.protocol, contest.variant, changes)
    others = [name for name in reasons if name not in published.MARKED]
    marks = dict.fromkeys(mark for result in beside for mark in result.marks)
    comparison = f"other {', '.join(others)}" if others else "" if reasons else "same protocol"
    versions = " / ".join(dict.fromkeys(result.version for result in beside))
    named = dict.fromkeys(
        text for one in beside for text in (published.source(one), published.version(one.version), one.note)
    )
    return Cell(
        text=" / ".join(result.shown for result in beside),
        sort=beside[0].value,
        note="; ".join(filter(None, (versions, *marks, comparison))),
        why=". ".join(filter(None, (*named, "; ".join(reasons.values()).capitalize()))),
    )


def _remarks(contest: Contest, papers: Mapping[str, Sequence[published.Published]]) -> Iterable[str]:
    ran = {row["method"] for row in contest.rows}
    absent = [
        f"{published.elsewhere().get(name, name)} {_with_marks(result)}"
        for name in sorted(papers)
        if name not in ran
        for result in papers[name]
    ]
    if absent:
        yield f"Published for methods that did not run here: {'; '.join(absent)}."
    others = published.other_metrics(contest.task, contest.metric, contest.params)
    if others:
        listed_others = "; ".join(f"{one.method} {one.metric} {_with_marks(one)}" for one in others)
        yield f"Published in other metrics: {listed_others}."
    every = [*others, *(result for found in papers.values() for result in found)]
    if every:
        yield "Published numbers: " + "; ".join(sorted({published.source(result) for result in every})) + "."
        versions = sorted({result.version for result in every})
        yield "Versions: " + "; ".join(f"{name}: {published.version(name)}" for name in versions) + "."
        yield from sorted({f"{one.method} {one.shown}: {text}." for one in every for text in _said(one)})
    if papers and (reasons := published.differences(contest.protocol, contest.variant, {})):
        how = "; ".join(reasons.values())
        yield f"These runs are not the published ones ({how}): do not compare the two columns."


def _with_marks(result: published.Published) -> str:
    """``0.985 (thread, k = 10 at evaluation)``."""
    return f"{result.shown} ({', '.join((result.version, *result.marks))})"


def _said(result: published.Published) -> Iterable[str]:
    if result.network:
        yield f"another network: {result.network}"
    if result.note:
        yield result.note
