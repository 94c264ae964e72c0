"""The table ``ranks``: methods ranked across the tasks that all of them ran.

A mean rank over tasks compares methods only if each has a value on each task. Methods are therefore ranked in
*rankings*: some tasks of one protocol, and the methods with a value on all of them. The first ranking has the most
values; further ones are added until every method that shares a task with another is in one. A task counts once, with
the data on which most methods have a value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from harness.collate.bootstrap import mean_ranks
from harness.collate.significance import by_seed
from harness.collate.standings import standings
from harness.collate.statistics import CONTEST, score

COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "protocol": pl.String,
    "ranking": pl.Int64,
    "tasks": pl.List(pl.String),
    "method": pl.String,
    "source": pl.String,
    "rank": pl.Float64,
    "rank_low": pl.Float64,
    "rank_high": pl.Float64,
    "place": pl.Int64,
    "tied_with": pl.List(pl.String),
    "seeds": pl.Int64,
    "failed": pl.Int64,
    "missing": pl.List(pl.String),
    "several": pl.List(pl.String),
}
Method = tuple[str, str | None]
"""A method and the source of its runs."""


class Ranking(NamedTuple):
    """Tasks, and the methods that have a value on all of them."""

    methods: tuple[Method, ...]
    tasks: tuple[str, ...]


def ranks(runs: pl.DataFrame) -> pl.DataFrame:
    """One row for each method in each ranking of its protocol, best first, then the methods outside the ranking.

    ``rank`` is the mean over ``tasks`` of the rank by the interquartile mean over seeds of the score
    (:func:`~harness.collate.statistics.score`); ``rank_low`` and ``rank_high`` are the ends of its 95 % interval, null
    if no task has two seeds. ``place``, and ``tied_with``, the methods that do not differ significantly from this one,
    follow the rule of the leaderboard (:mod:`harness.collate.standings`). ``seeds`` is the smallest number of seeds
    with a value on a task, and ``failed`` counts the failed runs on all tasks. A method outside the ranking has no
    rank: it has no value on the tasks ``missing``, or values of several settings on the tasks ``several``, where a
    choice by test score would be selection.
    """
    scored = runs.with_columns(score())
    chosen = _one_contest_a_task(scored)
    rows = [
        row
        for protocol in sorted(chosen["protocol"].unique())
        for row in _protocol(protocol, chosen.filter(pl.col("protocol") == protocol))
    ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def rankings(ran: Mapping[Method, frozenset[str]]) -> list[Ranking]:
    """Chooses rankings of at least two methods greedily, by the number of values of methods that are not ranked yet.

    Args:
        ran: The tasks on which each method has a value.
    """
    sets = set(ran.values())
    shared = sets | {one & other for one, other in itertools.combinations(sets, 2)}
    every = [
        Ranking(tuple(sorted((name for name in ran if ran[name] >= tasks), key=_order)), tuple(sorted(tasks)))
        for tasks in shared - {frozenset()}
    ]
    waiting = sorted((one for one in every if len(one.methods) > 1), key=lambda one: one.tasks)
    found: list[Ranking] = []
    ranked: set[Method] = set()
    while waiting:
        best = max(waiting, key=lambda one: (len({*one.methods} - ranked) * len(one.tasks), len(one.methods)))
        if ranked.issuperset(best.methods):
            break
        found.append(best)
        ranked.update(best.methods)
        waiting.remove(best)
    return found


def _order(method: Method) -> tuple[str, str]:
    return method[0], method[1] or ""


def _one_contest_a_task(scored: pl.DataFrame) -> pl.DataFrame:
    """For each protocol and task, the runs on the data on which most methods, then most runs, have a score."""
    has = pl.col("score").is_not_null()
    sizes = scored.group_by(CONTEST).agg(pl.col("method").filter(has).n_unique().alias("methods"), has.sum().alias("n"))
    best = sizes.sort("methods", "n", *CONTEST, descending=[True, True, *(False for _ in CONTEST)], nulls_last=True)
    return scored.join(best.unique(["protocol", "task"], keep="first"), on=CONTEST, how="semi", nulls_equal=True)


def _protocol(protocol: str, runs: pl.DataFrame) -> Iterable[tuple[Any, ...]]:
    settings = runs.group_by("method", "source", "task").agg(
        pl.col("setting").filter(pl.col("score").is_not_null()).n_unique(),
        pl.col("score").count(),
        (pl.col("status") == "failed").sum().alias("failed"),
    )
    several: dict[Method, set[str]] = {}
    ran: dict[Method, set[str]] = {}
    failed: dict[tuple[Method, str], int] = {}
    for method, source, task, different, values, failures in settings.iter_rows():
        name = (method, source)
        failed[name, task] = failures
        ran.setdefault(name, set()).update([task] if values and different == 1 else [])
        several.setdefault(name, set()).update([task] if different > 1 else [])
    scores = _scores(runs)
    for number, ranking in enumerate(rankings({name: frozenset(tasks) for name, tasks in ran.items()}), start=1):
        yield from _ranked(protocol, number, ranking, scores, failed)
        for name in sorted(ran.keys() - {*ranking.methods}, key=_order):
            missing = sorted({*ranking.tasks} - ran[name] - several[name])
            unclear = sorted({*ranking.tasks} & several[name])
            failures = sum(failed.get((name, task), 0) for task in ranking.tasks)
            unranked = (None,) * 6
            yield (protocol, number, [*ranking.tasks], *name, *unranked, failures, missing, unclear)


Scores = Mapping[str, Mapping[Method, Mapping[int, float]]]
"""By task, method and seed; higher is better."""


def _scores(runs: pl.DataFrame) -> Scores:
    sign = pl.when(pl.col("direction") == "max").then(1).otherwise(-1)
    known = runs.filter(pl.col("score").is_not_null()).sort("seed")
    found: dict[str, dict[Method, dict[int, float]]] = {}
    columns = ("task", "method", "source", "seed", (sign * pl.col("score")).alias("score"))
    for task, method, source, seed, value in known.select(columns).iter_rows():
        found.setdefault(task, {}).setdefault((method, source), {})[seed] = value
    return found


def _ranked(
    protocol: str, number: int, ranking: Ranking, scores: Scores, failed: Mapping[tuple[Method, str], int]
) -> Iterable[tuple[Any, ...]]:
    tables = [by_seed([scores[task][name] for name in ranking.methods]) for task in ranking.tasks]
    mean, low, high = mean_ranks([[row[~np.isnan(row)] for row in table] for table in tables])
    found = standings(tables, -mean)
    for index in np.lexsort((np.arange(len(mean)), mean)):
        name = ranking.methods[index]
        others = [_shown(ranking.methods[other]) for other in np.flatnonzero(~found.apart[index]) if other != index]
        rank = (float(mean[index]), _known(low[index]), _known(high[index]), found.places[index])
        seeds = min(len(scores[task][name]) for task in ranking.tasks)
        failures = sum(failed[name, task] for task in ranking.tasks)
        yield (protocol, number, [*ranking.tasks], *name, *rank, others, seeds, failures, [], [])


def _shown(method: Method) -> str:
    name, source = method
    return name if source is None else f"{name} ({source})"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
