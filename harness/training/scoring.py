"""Scores of a trained model on the test set: metrics, and the curve over the number of group samples."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from baselines.model import Model
from harness.registry import task
from harness.spec import RunSpec
from harness.training.device import cast
from harness.training.evaluate import curve, draw, equivariance_errors, predict
from harness.training.finite import check_finite
from harness.training.from_spec import group_of
from harness.training.results import CurvePoint
from harness.training.seeds import generator
from tasks.symmetry.structure import Structures
from tasks.task import Dataset, SupervisedTask


def metrics_on_test_set(
    spec: RunSpec, problem: SupervisedTask, model: Model, test: Dataset, chunk: int | None, weights: str
) -> dict[str, float]:
    """Returns the mean of every metric over ``test_repeats`` evaluations with new group samples.

    ``*_std`` is the standard deviation of these repeats (of the population, as published). ``*_transformed`` is the
    same metric on the test set transformed by random group elements: a symmetric method scores the same, one that has
    learned the order or the pose of its data does not.

    Raises:
        NotFinite: A prediction is not finite; ``weights`` names the weights in the message.
    """
    protocol = spec.settings
    plain = test.inputs, test.targets[:]
    transformed = _transformed(spec, problem, test)
    rounds: list[dict[str, float]] = []
    for repeat in range(protocol.test_repeats):
        noise = generator(test.targets.device, spec.seed, "test", repeat)
        rounds.append({})
        for suffix, (inputs, targets) in (("", plain), ("_transformed", transformed)):
            predictions = predict(model, inputs, protocol.test_samples, protocol.batch_size, noise, chunk)
            what = f"predictions of the {'transformed ' if suffix else ''}test set by {weights}"
            found = problem.metrics(check_finite(predictions, what), targets)
            rounds[-1] |= {f"{name}{suffix}": value for name, value in found.items()}
    values = {name: torch.tensor([one[name] for one in rounds], dtype=torch.float64) for name in rounds[0]}
    means = {name: value.mean().item() for name, value in values.items()}
    if protocol.test_repeats == 1:
        return means
    return means | {f"{name}_std": value.std(correction=0).item() for name, value in values.items()}


def _transformed(spec: RunSpec, problem: SupervisedTask, test: Dataset) -> tuple[Structures, Tensor]:
    """Every test example and its target, acted on by a random element of the task's group."""
    noise = generator(test.targets.device, spec.seed, "moved")
    elements = group_of(spec).random(test.inputs.outline, 1, noise)
    return test.inputs.acted(elements), elements.act(test.targets[:][:, None], problem.signature.output)[:, 0]


def curve_on_test_set(
    spec: RunSpec, problem: SupervisedTask, model: Model, part: Dataset, chunk: int | None
) -> tuple[CurvePoint, ...]:
    """Returns metric, variance and equivariance error on ``part`` for each of the protocol's ``curve_samples``.

    Raises:
        NotFinite: A prediction is not finite.
    """
    protocol, name, device = spec.settings, task(spec.task).metric, part.targets.device
    samples, flat = protocol.curve_samples, model.fixed_samples is not None
    repeats = 1 if model.deterministic else protocol.curve_repeats

    def metric(predictions: Tensor, targets: Tensor) -> float:
        return problem.metrics(predictions, targets)[name]

    def draws_of(inputs: Structures, purpose: str) -> Tensor:
        """Enough draws ``[M, K, ...]`` for ``repeats`` estimates with the largest number of samples."""
        noise = generator(device, spec.seed, purpose)
        if flat:
            drawn = torch.cat([draw(model, inputs, 1, protocol.batch_size, noise) for _ in range(repeats)], 1)
        else:
            drawn = draw(model, inputs, repeats * max(samples), protocol.batch_size, noise, chunk)
        return check_finite(drawn, "predictions for the curve over group samples")

    elements = group_of(spec).random(part.inputs.outline, 1, generator(device, spec.seed, "curve", "elements"))
    draws, transformed = draws_of(part.inputs, "curve"), draws_of(part.inputs.acted(elements), "curve, moved")
    expected = cast(elements, draws.dtype).act(draws, problem.signature.output)
    errors = equivariance_errors(expected, transformed, samples, flat=flat)
    points = curve(draws, part.targets[:], metric, samples, flat=flat)
    return tuple(replace(point, equivariance=error) for point, error in zip(points, errors, strict=True))
