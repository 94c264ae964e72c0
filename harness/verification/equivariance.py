"""Tests of the theorems on a model: how its equivariance error falls, and the distribution of its group elements.

For any f, phi(x) = E over g ~ p(g given x) of g f(g^-1 x) is equivariant if p(g given x) = p(g'g given g'x) (Kim et al.
2023, theorem 1). So the error of a mean over k elements falls as 1 / sqrt(k), and elements drawn for g'x have the
distribution of g' times those drawn for x.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from baselines.model import Model
from baselines.samplers.sampler import Sampler
from harness.training.device import cast
from harness.training.finite import check_finite
from harness.training.seeds import generator
from harness.verification.statistics import RESAMPLES, SIGNIFICANCE, Law, one_law, sign_flips, slope
from tasks.symmetry.element import Element, Permutation, Product
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure

Symmetry = Literal["exact", "Monte Carlo", "none"]

EXACT_DOUBLE, EXACT_SINGLE = 1e-10, 1e-4
MONTE_CARLO_SLOPE = -0.5
STANDARD_ERRORS = 3.0
CHUNK = 16
CPU = torch.device("cpu")
REMEDY = "no symmetry can be tested with these"


@dataclass(frozen=True)
class Equivariance:
    """The equivariance error of a model: |phi_k(g x) - g phi_k(x)| over |phi(x)|, root mean square over rounds.

    Attributes:
        samples: The numbers k of group samples.
        errors: The error for each k.
        slope: That of log error against log k. This and the next two are None if k has no influence or the method is
            exactly symmetric.
        slope_error: The standard error of the slope.
        bias: The p-value of a test for a bias. Without one, phi_k(g x) and g phi_k(x) have the same distribution, so
            their difference is distributed symmetrically about 0.
        single: The error in float32, measured if the error in float64 is that of an exactly symmetric method.
    """

    samples: tuple[int, ...]
    errors: tuple[float, ...]
    slope: float | None = None
    slope_error: float | None = None
    bias: float | None = None
    single: float | None = None

    @property
    def symmetry(self) -> Symmetry:
        """Exact, Monte Carlo (the error falls at least as fast as 1 / sqrt(k), without a bias), or none."""
        if self.single is not None:
            return "exact" if self.single < EXACT_SINGLE else "none"
        if self.slope is None or self.slope_error is None or self.bias is None or self.bias < SIGNIFICANCE:
            return "none"
        margin = STANDARD_ERRORS * self.slope_error
        # A slope that is too steep is no fault: samples may balance each other.
        return "Monte Carlo" if self.slope - MONTE_CARLO_SLOPE <= margin < -self.slope else "none"


def equivariance(
    model: Model, x: Structure, g: Element, output: Representation, samples: Sequence[int], rounds: int
) -> Equivariance:
    """Returns the equivariance error of a ``model``.

    Args:
        model: In float64 and evaluation mode.
        x: Inputs ``[B]``.
        g: One element for each input.
        output: The representation of the output.
        samples: At least two different numbers of group samples.
        rounds: The number of independent draws for each number of samples.
    """
    counts = (1,) if model.deterministic else tuple(samples)
    differences = equivariance_differences(model, x, g, output, counts, 1 if model.deterministic else rounds)
    errors = differences.norm(dim=-1)
    found = Equivariance(counts, tuple(errors.square().mean(1).sqrt().tolist()))
    if max(found.errors) < EXACT_DOUBLE:
        moved = x.to(x.mask.device, torch.float32)
        single_model, single_g = copy.deepcopy(model).float(), cast(g, torch.float32)
        single = equivariance_differences(single_model, moved, single_g, output, counts, 1).norm(dim=-1).max()
        return replace(found, single=single.item())
    if len(counts) == 1:
        return found
    resampled = torch.randint(errors.shape[1], (RESAMPLES, *errors.shape), generator=generator(CPU, 0, "resample"))
    again = errors.expand(RESAMPLES, -1, -1).gather(-1, resampled)
    return replace(
        found,
        slope=slope(counts, errors).item(),
        slope_error=slope(counts, again).std().item(),
        bias=sign_flips(differences * torch.tensor(counts)[:, None, None]),
    )


@torch.no_grad()
def equivariance_differences(
    model: Model, x: Structure, g: Element, output: Representation, samples: Sequence[int], rounds: int
) -> Tensor:
    """Returns ``[len(samples), rounds, M]``: phi_k(g x) - g phi_k(x), relative to |phi(x)| at the last k."""
    moved = x.acted(g)

    def means(inputs: Structure, purpose: str, count: int) -> Tensor:
        noises = [generator(x.mask.device, turn, purpose, count) for turn in range(rounds)]
        return torch.stack([mean_of_draws(model, inputs, count, noise) for noise in noises], 1)

    rows = []
    for count in samples:
        expected = g.act(means(x, "here", count), output)
        rows.append((means(moved, "there", count) - expected).movedim(1, 0).flatten(1).double())
        size = expected.double().square().sum().div(rounds).sqrt()  # that of the last k: the variance adds to the first
    return torch.stack(rows).cpu() / size.cpu()


def mean_of_draws(model: Model, x: Structure, count: int, noise: torch.Generator) -> Tensor:
    """Returns phi(x) with ``count`` samples, or the mean of ``count`` predictions if the number of samples is fixed.

    Raises:
        NotFinite: It is not finite.
    """
    if model.fixed_samples is None:
        return check_finite(model(x, count, noise, chunk=CHUNK).value, "predictions", REMEDY)
    copies = x[torch.arange(len(x), device=x.mask.device).repeat(count)]
    return check_finite(model(copies, 1, noise).value.unflatten(0, (count, len(x))).mean(0), "predictions", REMEDY)


@torch.no_grad()
def law(sampler: Sampler, x: Structure, moved: Structure, g: Element, draws: int) -> Law:
    """Tests whether the elements for g'x have the distribution of g' times the elements for x.

    The statistics are the coordinates of an element and some random combinations of them, for each structure.

    Args:
        sampler: Draws the elements.
        x: Inputs.
        moved: The inputs g'x.
        g: The element g' in the sampler's group.
        draws: The number of elements for each structure.

    Raises:
        NotFinite: An element is not finite.
    """
    device = x.mask.device
    here = elements(sampler, x, draws, generator(device, 0, "law here"), g)
    there = elements(sampler, moved, draws, generator(device, 0, "law there"))
    check_finite(torch.cat([here, there], 1), "group elements", REMEDY)
    return one_law(here, there, generator(device, 0, "law"))


def elements(sampler: Sampler, x: Structure, draws: int, noise: torch.Generator, left: Element | None = None) -> Tensor:
    """Returns ``[B, draws, M]``: coordinates of independent draws from p(g given x), multiplied from the left."""

    def drawn(samples: int) -> tuple[Tensor, Tensor | None]:
        sample = sampler(x, sampler.noise(x, samples, noise))
        return coordinates(left.compose(sample.element) if left else sample.element), sample.weight

    def resampled(values: Tensor, weight: Tensor | None, count: int) -> Tensor:
        weights = values.new_ones(values.shape[:2]) if weight is None else weight
        index = weights.multinomial(count, replacement=True, generator=noise)
        return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))

    if sampler.deterministic:
        return resampled(*drawn(1), draws)
    if sampler.fixed_samples is not None:
        return torch.cat([resampled(*drawn(1), 1) for _ in range(draws)], 1)
    values, weight = drawn(draws)
    return values if weight is None else resampled(values, weight, draws)


def coordinates(element: Element) -> Tensor:
    """Returns ``[B, K, M]``, float64: the images of a permutation, or all entries of another element's tensors."""
    if isinstance(element, Product):
        parts = [coordinates(factor) for factor in element.factors]
        return torch.cat([part.expand(-1, element.samples, -1) for part in parts], -1)
    if isinstance(element, Permutation):
        return element.images.double()
    tensors = [value for value in vars(element).values() if isinstance(value, Tensor)]
    real = [torch.view_as_real(value) if value.is_complex() else value for value in tensors]
    return torch.cat([value.flatten(2).double() for value in real], -1)
