"""Optuna's proposals for Ray Tune, each point of the space at most once."""

from __future__ import annotations

from typing import Any

import optuna
from ray.tune.search.optuna import OptunaSearch


class DistinctOptunaSearch(OptunaSearch):
    """Where Optuna proposes a point again, one that was not proposed yet is drawn uniformly from the space.

    Optuna does propose points again where all dimensions are choices or integers: such a trial would train nothing
    and tell nothing. The space has to have as many points as there are trials.

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
