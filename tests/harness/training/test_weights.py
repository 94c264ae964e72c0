"""Weights of models: copies, and their size before anything is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from harness import registry
from harness.records.weights import weights_body
from harness.training import weights
from harness.training.context import RunContext
from harness.training.execute import execute, problem_of
from harness.training.from_spec import initialised
from harness.training.weights import KeptWeights, kept_weights, weights_of
from tasks.errors import DataError
from tests.harness.training.small_problems import particles_spec


def test_weights_are_a_copy() -> None:
    model = nn.Linear(2, 3)
    found = weights_of(model)
    assert torch.equal(found["weight"], model.weight)
    with torch.no_grad():
        model.weight.zero_()
    assert found["weight"].any() and not found["weight"].requires_grad


@pytest.mark.parametrize("settings", [{}, {"precision": "float64"}], ids=str)
@pytest.mark.parametrize("method", ["mlp-ps", "egnn", "gnn-canonical"])
def test_the_size_is_that_of_the_tensors_in_the_file(method: str, settings: dict[str, object]) -> None:
    spec = particles_spec(method, **settings)
    model = initialised(spec, problem_of(spec)).to(torch.float64 if settings else torch.float32)
    tensors = weights_of(model)
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    assert kept_weights([spec]) == KeptWeights(1, size, 0)
    assert size <= len(weights_body(tensors, spec.digest)) < size + 20_000


def test_each_model_and_each_task_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    for name in ("new_model", "task"):
        whole = getattr(weights, name)
        monkeypatch.setattr(weights, name, lambda *given, whole=whole, name=name: built.append(name) or whole(*given))
    specs = [particles_spec(method, seed, epochs=seed) for method in ("egnn", "mlp-ga") for seed in range(3)]
    found = kept_weights(specs)
    assert (found.runs, sorted(built)) == (6, ["new_model", "new_model", "task"])
    assert found.bytes == 3 * (kept_weights(specs[:1]).bytes + kept_weights(specs[3:4]).bytes)


def test_runs_without_a_model_keep_none_and_missing_data_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*given: object) -> None:
        raise DataError("not here")

    assert kept_weights([registry.resolve("graph8c", "gin", "quick", 0)]) == KeptWeights(0, 0, 0)
    monkeypatch.setattr(weights, "new_model", missing)
    assert kept_weights([particles_spec("egnn")] * 2) == KeptWeights(0, 0, 2)


def test_an_outcome_has_the_scored_weights_only_if_they_are_wanted() -> None:
    spec = particles_spec("egnn", epochs=1)
    context = RunContext.of(spec)
    outcome = execute(spec, context)
    kept = execute(spec, replace(context, keep_weights=True))
    assert outcome.weights is None and kept.weights
    assert kept.metrics == outcome.metrics
