"""Optuna's sampler and Tune's scheduler for a search."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ray import tune

from harness.search.model import Search
from harness.search.space import Values

SCORE, TIME = "score", "epochs"
"""The keys of the reports of a trial: its validation metric and the number of epochs."""


def strategy(search: Search, points: Sequence[Values], slots: int | None) -> tune.TuneConfig:
    """The configuration of a search that has proposed ``points`` before, with at most ``slots`` trials at once."""
    return tune.TuneConfig(
        metric=SCORE,
        mode=search.mode,
        num_samples=search.trials,
        search_alg=_algorithm(search, points),
        scheduler=_scheduler(search),
        max_concurrent_trials=slots,
        reuse_actors=True,
    )


def each_once(search: Search, slots: int | None) -> tune.TuneConfig:
    """The configuration that runs trials which are known in advance, each to its end."""
    return tune.TuneConfig(
        metric=SCORE, mode=search.mode, num_samples=1, max_concurrent_trials=slots, reuse_actors=True
    )


def _algorithm(search: Search, points: Sequence[Values]) -> Any:
    """Optuna, which first proposes ``points`` again and then draws new ones."""
    import optuna

    from harness.search.distinct import DistinctOptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = random.Random(f"{search.seed}/{len(points)}").getrandbits(32)
    samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    return DistinctOptunaSearch(
        space=search.points.distributions(),
        seed=seed,
        metric=SCORE,
        mode=search.mode,
        sampler=samplers[search.algorithm](seed=seed),
        points_to_evaluate=[search.points.parameters(values) for values in points],
    )


def _scheduler(search: Search) -> Any:
    from ray.tune import schedulers

    if search.scheduler == "none":
        return schedulers.FIFOScheduler()
    return schedulers.ASHAScheduler(
        time_attr=TIME,
        grace_period=search.grace,
        max_t=search.example.spec.settings.epochs,
        reduction_factor=search.reduction,
    )
