"""Supervised tasks with an output and a loss for each example, whose variance over group samples can be measured."""

from __future__ import annotations

from typing import cast

from baselines.model import Model
from harness.spec import RunSpec
from harness.training.analysis import entropy_of_mean_permutation
from harness.training.context import RunContext
from harness.training.examples import prepared
from harness.training.from_spec import initialised
from harness.training.output_variance import variance_points
from harness.training.results import Stage, VariancePoint
from harness.training.seeds import generator
from harness.training.supervised import SupervisedKind
from tasks.task import Probabilistic, SupervisedTask


class ProbabilisticKind(SupervisedKind):
    """A supervised task whose ``variance_samples`` are measured."""

    has_output = True

    def variance(
        self, spec: RunSpec, problem: SupervisedTask, model: Model, steps: int, context: RunContext
    ) -> tuple[tuple[VariancePoint, ...], dict[str, float]]:
        """Measured on the validation set, of the initial weights and, after some ``steps``, of those of ``model``.

        Both use the same random numbers.
        """
        protocol, chunk = spec.settings, context.chunk
        points: list[VariancePoint] = []
        entropies: dict[str, float] = {}
        if not protocol.variance_samples:
            return (), entropies
        untrained = initialised(spec, problem).to(context.device, context.dtype)
        untrained.chunks = model.chunks
        data = prepared(problem, "validation", protocol.valid_size, untrained, context)
        stages: dict[Stage, Model] = {"initialised": untrained}
        if steps:
            stages["trained"] = model
        for stage, measured in stages.items():
            noise = generator(context.device, spec.seed, "variance")
            points += variance_points(stage, measured, cast(Probabilistic, problem), data, protocol, noise, chunk)
            noise = generator(context.device, spec.seed, "permutations")
            entropy = entropy_of_mean_permutation(measured, data.inputs, protocol.batch_size, noise, chunk)
            if entropy is not None:
                entropies[f"permutation_entropy_{stage}"] = entropy
        return tuple(points), entropies
