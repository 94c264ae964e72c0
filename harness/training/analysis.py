"""Measurements of a model beside its training: the agreement of sampled permutations, and the mean gradient.

As in the analysis of Kim et al. 2023 (appendix). They change neither the model nor torch's global generator.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from baselines.model import Model
from baselines.symmetrized import Symmetrized, permutation_of
from harness.training.evaluate import batches
from harness.training.seeds import derive, generator
from tasks.symmetry.element import Permutation
from tasks.symmetry.noise import Noise
from tasks.symmetry.sorting import permutation_entropy
from tasks.symmetry.structure import Structure, Structures
from tasks.task import Dataset, SupervisedTask

PERMUTATIONS = 100  # for each structure, as published


@torch.no_grad()
def entropy_of_mean_permutation(
    model: Model, inputs: Structures, batch_size: int, noise: torch.Generator, chunk: int | None = None
) -> float | None:
    """Returns the entropy (rows and columns, nats) of the mean of 100 sampled permutation matrices, in evaluation mode.

    It is the mean over structures. None if the method samples no permutations or has a fixed number of samples.
    """
    if not isinstance(model, Symmetrized) or model.fixed_samples is not None:
        return None
    model.eval()
    total = torch.zeros((), dtype=torch.float64, device=noise.device)
    for part in batches(len(inputs), batch_size):
        x = inputs[part]
        permutation = _permutations(model, x, model.noise(x, PERMUTATIONS, noise), chunk)
        if permutation is None:
            return None
        total += len(x) * permutation_entropy(permutation.mean_matrix.double(), x.mask)
    return total.item() / len(inputs)


def _permutations(model: Symmetrized, x: Structure, noise: Noise, chunk: int | None) -> Permutation | None:
    """The permutations that the sampler makes of ``noise``, ``chunk`` of them at a time."""

    def images(part: Noise) -> torch.Tensor | None:
        permutation = permutation_of(model.sampler(model.seen(x), part).element)
        return None if permutation is None else permutation.images

    found = model.chunks.results(noise, PERMUTATIONS, chunk, images)
    drawn = [part for part in found if part is not None]
    return Permutation.from_images(torch.cat(drawn, 1)) if drawn else None


def mean_gradient_norm(
    model: Model, task: SupervisedTask, data: Dataset, samples: int, seed: int, chunk: int | None = None
) -> float:
    """Returns the norm of the mean over ``data`` of the gradient of the task's loss, by the base network's weights.

    As published: in training mode, one example at a time, without the sampler's penalty. A copy is measured, since a
    network in training mode updates its batch statistics.
    """
    copied, device = copy.deepcopy(model).train(), data.targets.device
    copied.mixed_precision = False
    base: nn.Module = copied
    if isinstance(copied, Symmetrized):
        copied.sampler.requires_grad_(False)
        base = copied.base
    parameters = [parameter for parameter in base.parameters() if parameter.requires_grad]
    totals = [torch.zeros_like(parameter, dtype=torch.float64) for parameter in parameters]
    noise = generator(device, seed, "gradient")
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(derive(seed, "gradient, dropout"))
        for part in batches(len(data), 1):
            x, targets = data[part]
            loss = task.loss(copied(x, samples, noise, chunk).value, targets)
            for total, gradient in zip(totals, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
                if gradient is not None:
                    total += gradient
    return torch.cat([total.flatten() for total in totals]).norm().item() / len(data)
