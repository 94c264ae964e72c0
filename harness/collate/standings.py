"""The one rule of places: what is ranked, and where two methods may stand at different places.

Every pair is tested (:mod:`harness.collate.significance`) and the p-values are adjusted for the number of pairs by
Holm's method, so in 95 % of tables all that is told apart does differ. Over several tasks the evidence of each is added
up as Stouffer does; a table of one task is the case of one. A pair that shares fewer than two seeds on a task is a tie.

Methods stand in the order of their values, and a new place begins where every method before it is told apart from every
method after it: then two methods have different places only if the test tells them apart, and no place is out of order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from harness.collate.bootstrap import LEVEL, Array
from harness.collate.significance import LEAST_SEEDS, Flags, differences, holm


class Standings(NamedTuple):
    """Of M methods: ``places``, 1 + the number of methods at better places, ``None`` for those without one; ``apart``
    ``[M, M]``, which of them are told apart; and whether seeds were enough for that to be ``tested`` at all."""

    places: list[int | None]
    apart: Flags
    tested: bool


def standings(scores: Sequence[Array], values: Array) -> Standings:
    """The standings of M methods by ``values`` ``[M]``, higher is better, NaN for a method that is not ranked.

    ``scores`` has one array ``[M, seeds]`` a task, higher is better, NaN where a method has no score of a seed. A
    method with fewer than :data:`~harness.collate.significance.LEAST_SEEDS` seeds on a task is told apart from none; it
    has no place where others have enough seeds, and where fewer than two have, all share the first.
    """
    ranked = ~np.isnan(values)
    enough = ranked & np.all([np.sum(~np.isnan(task), -1) >= LEAST_SEEDS for task in scores], axis=0)
    tested = bool(enough.sum() > 1)
    placed = enough if tested else ranked
    apart = np.zeros((len(values), len(values)), dtype=bool)
    apart[np.ix_(enough, enough)] = _apart([task[enough] for task in scores], values[enough])
    order = np.array([index for index in np.argsort(-values, kind="stable") if placed[index]], dtype=int)
    places: list[int | None] = [None] * len(values)
    for index, first in zip(order, _firsts(apart[np.ix_(order, order)]), strict=True):
        places[index] = int(first) + 1
    return Standings(places, apart, tested)


def _firsts(apart: Flags) -> NDArray[np.int64]:
    """Where the place of each method begins, of methods in their order."""
    at = np.arange(len(apart))
    last = np.max(np.where(apart, 0, at), -1, initial=0)  # from which each is not told apart
    begins = at > np.concatenate([[-1], np.maximum.accumulate(last)[:-1]])
    return np.asarray(np.maximum.accumulate(np.where(begins, at, 0)))


def _apart(scores: Sequence[Array], values: Array) -> Flags:
    """``[M, M]``: which pairs are told apart, in the order that their values have."""
    one, other = np.triu_indices(len(values), 1)
    evidence = np.sum([_evidence(task[one], task[other]) for task in scores], axis=0) / np.sqrt(len(scores))
    told = holm(2 * norm.sf(np.abs(evidence))) <= 1 - LEVEL
    apart = np.zeros((len(values), len(values)), dtype=bool)
    apart[one, other] = apart[other, one] = told & (np.sign(evidence) == np.sign(values[one] - values[other]))
    return apart


def _evidence(one: Array, other: Array) -> Array:
    """Of each pair: standard normal where the two are equal, large where the first is better, NaN if not tested."""
    found = differences(one, other)
    return np.where(found.shared >= 2, np.sign(found.difference) * norm.isf(found.p / 2), np.nan)
