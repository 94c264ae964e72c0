"""Parts of models from cards, whose implementations are named or given."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import registry
from harness.records.plugin_code import used_by
from harness.search.trial_training import trained_task
from harness.training.execute import execute
from tests.distributions import both, found_in, put

GIVEN = """
from dataclasses import replace
from baselines.build import load
from baselines.cards import MethodCard
from baselines.catalogue import METHODS
from tasks.catalogue import NBODY

mlp_ga = next(card for card in METHODS if card.name == "mlp-ga")

def network(signature, settings):
    return load(mlp_ga.base.implementation)(signature, settings)

TASK = replace(NBODY, name="other_nbody", implementation=lambda settings: load(NBODY.implementation)(settings))
METHOD = MethodCard(
    base=replace(mlp_ga.base, name="other", implementation=network),
    sampler=replace(mlp_ga.sampler, implementation=load(mlp_ga.sampler.implementation)),
)
"""


def test_an_implementation_that_is_given_runs_like_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = {"epochs": 1, "drop_last": False, "train_size": 4, "valid_size": 2, "test_size": 2}
    sizes = {"train": 4, "validation": 2, "test": 2}
    named = registry.resolve("nbody", "mlp-ga", "quick", 0, task_params=sizes, settings=tiny)
    put(tmp_path, "other", both("other", "given"), {"given.py": GIVEN})
    with found_in(tmp_path, monkeypatch):
        spec = registry.resolve("other_nbody", "other-ga", "quick", 0, task_params=sizes, settings=tiny)
        registry.check_implementations([spec])
        assert [root.module for root in used_by([spec])["other"].roots] == ["given"]
        assert len(trained_task(spec).data("train")) == 4
        assert execute(spec).metrics == execute(named).metrics
