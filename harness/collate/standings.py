"""The places of methods in a table.

Every pair of methods is tested (:mod:`harness.collate.significance`), and the p-values are adjusted for the number of
pairs (Holm), so that in 95 % of tables all significant differences are real. The evidence of several tasks is combined
by Stouffer's method. A pair that shares fewer than two seeds on a task is a tie.

Methods are sorted by value, and a new place begins if every method before it differs significantly from every method
after it. Two methods therefore have different places only if they differ significantly, and places follow the order.
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
    """The standings of M methods.

    Attributes:
        places: 1 + the number of methods at better places; None for methods without a place.
        apart: True for pairs that differ significantly, ``[M, M]``.
        tested: True if there were enough seeds for a test.
    """

    places: list[int | None]
    apart: Flags
    tested: bool


def standings(scores: Sequence[Array], values: Array) -> Standings:
    """Computes the standings of M methods.

    A method with fewer than :data:`~harness.collate.significance.LEAST_SEEDS` seeds on a task differs significantly
    from none, and has no place if at least two others have enough seeds. Otherwise all methods share the first place.

    Args:
        scores: An array ``[M, seeds]`` for each task; higher is better, NaN if a method has no score of a seed.
        values: The values that methods are sorted by, ``[M]``; higher is better, NaN for methods that are not ranked.
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
    """The index at which the place of each method begins, for sorted methods."""
    at = np.arange(len(apart))
    last = np.max(np.where(apart, 0, at), -1, initial=0)  # the last method that each does not differ from
    begins = at > np.concatenate([[-1], np.maximum.accumulate(last)[:-1]])
    return np.asarray(np.maximum.accumulate(np.where(begins, at, 0)))


def _apart(scores: Sequence[Array], values: Array) -> Flags:
    """True for pairs ``[M, M]`` that differ significantly and in the same direction as their values."""
    one, other = np.triu_indices(len(values), 1)
    evidence = np.sum([_evidence(task[one], task[other]) for task in scores], axis=0) / np.sqrt(len(scores))
    significant = holm(2 * norm.sf(np.abs(evidence))) <= 1 - LEVEL
    apart = np.zeros((len(values), len(values)), dtype=bool)
    apart[one, other] = apart[other, one] = significant & (np.sign(evidence) == np.sign(values[one] - values[other]))
    return apart


def _evidence(one: Array, other: Array) -> Array:
    """The z-score of each pair, positive if the first method is better; NaN if it is not tested."""
    found = differences(one, other)
    return np.where(found.shared >= 2, np.sign(found.difference) * norm.isf(found.p / 2), np.nan)
