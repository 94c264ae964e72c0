"""Optuna's search algorithm for Ray Tune, with each point of the space at most once."""

from __future__ import annotations

from typing import Any

import optuna
from ray.tune.search.optuna import OptunaSearch


class DistinctOptunaSearch(OptunaSearch):
    """Replaces a point that Optuna proposes again by a new one, drawn uniformly from the space.

    Optuna repeats points if all dimensions are choices or integers; a repeated trial would train nothing. The space
    must have at least as many points as there are trials.

    Args:
        space: Optuna's distribution of each dimension, by name.
        seed: for the points drawn uniformly.
        settings: what ``OptunaSearch`` takes.
    """

    def __init__(self, *, space: dict[str, optuna.distributions.BaseDistribution], seed: int, **settings: Any) -> None:
        super().__init__(space=space, **settings)
        self._distributions = space
        self._uniform = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        self._proposed: list[dict[str, Any]] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        proposal: dict[str, Any] | None = super().suggest(trial_id)
        if proposal in self._proposed:
            study: Any = self._ot_study
            study.tell(self._ot_trials.pop(trial_id), state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(self._unseen())
            proposal = super().suggest(trial_id)
        if proposal is not None:
            self._proposed.append(proposal)
        return proposal

    def _unseen(self) -> dict[str, Any]:
        while (point := self._uniform.ask(self._distributions).params) in self._proposed:
            pass
        return point
