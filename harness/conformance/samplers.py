"""Checks of samplers, with a small perceptron as the base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from baselines.cards import BaseCard, MethodCard, SamplerCard
from baselines.catalogue import MLP
from baselines.samplers.sampler import Sample, Sampler
from baselines.symmetrized import Symmetrized
from harness.conformance.check import Check, Fault
from harness.conformance.methods import chunk_fault, run_fault, symmetry_fault
from harness.conformance.problems import Problem, problems_of_sampler
from harness.conformance.subject import Subject, gap, gradients_of, predicted
from harness.plugins.card_checks import sampler_fault
from harness.plugins.card_functions import guarded
from harness.training.seeds import generator
from harness.verification.equivariance import coordinates, elements, law
from harness.verification.statistics import SIGNIFICANCE, kolmogorov_smirnov
from tasks.symmetry.element import Element, Permutation, Product
from tasks.symmetry.noise import Noise
from tasks.symmetry.structure import Structure

DRAWS = 120
SAMPLES = 3
ABSENT = 3
CLOSE = 1e-8
CPU = torch.device("cpu")
WIDTHS: Mapping[str, Any] = {"widths": [16]}
NO_PROBLEM = "it covers none of the groups of the random examples: give a task on which it works"

Property = Callable[[Subject], Fault]


def sampler_checks(
    card: SamplerCard, problem: Problem | None, settings: Mapping[str, Any], base: BaseCard | None
) -> Iterator[Check]:
    """The checks of a sampler with a ``base`` model (``None``: a small perceptron)."""
    method = MethodCard(base=base or MLP, sampler=card)
    problems = [problem] if problem else problems_of_sampler(card)
    yield Check(
        card.name, "card", lambda: sampler_fault(guarded(card, "under test")) or (None if problems else NO_PROBLEM)
    )
    claims = PROPERTIES if card.guarantee.startswith("none") else {**PROPERTIES, **CLAIMS}
    for one in problems:
        subject = Subject(method, one, base={} if base else WIDTHS, sampler=settings)
        for name, fault in claims.items():
            yield Check(card.name, f"{name} ({one.label})", partial(fault, subject))


def sampler_of(subject: Subject, **options: Any) -> Sampler:
    """The sampler of the subject's model."""
    model = subject.model(**options)
    assert isinstance(model, Symmetrized)
    return model.sampler


def drawn(sampler: Sampler, x: Structure, seed: int = 0, samples: int = SAMPLES) -> tuple[Noise, Sample]:
    """The noise and the elements of a seed."""
    with torch.no_grad():
        noise = sampler.noise(x, sampler.fixed_samples or samples, torch.Generator().manual_seed(seed))
        return noise, sampler(x, noise)


def elements_fault(subject: Subject) -> Fault:
    """Checks the number of elements, their weights, and that absent nodes stay at their places."""
    sampler, x = sampler_of(subject), subject.problem.inputs
    noise, sample = drawn(sampler, x)
    count = sampler.fixed_samples or SAMPLES
    if wrong := [list(part.shape) for part in noise if part.shape[:2] != (len(x), count)]:
        return f"each part of the noise should have the shape [{len(x)}, {count}, ...], not {wrong[0]}"
    if sample.element.samples != count:
        return f"{count} elements should be drawn for each structure, not {sample.element.samples}"
    if sample.weight is not None:
        if sample.weight.shape != (len(x), count):
            return f"the weights should have the shape {[len(x), count]}, not {list(sample.weight.shape)}"
        if (sample.weight < 0).any() or not (sample.weight.sum(1) > 0).all():
            return "the weights should be positive or zero, and not all zero"
    if not coordinates(sample.element).isfinite().all():
        return "the elements are not finite"
    moved = x.acted(sample.element.inverse())
    rows = torch.cat([moved.node_scalars, moved.coordinates.flatten(2), moved.edge_scalars.flatten(2)], -1)
    return "elements move absent nodes, which should stay at their places" if rows[~moved.mask].any() else None


def determinism_fault(subject: Subject) -> Fault:
    """Checks that all chance is in the noise, and that the noise comes from the generator alone."""
    sampler, x = sampler_of(subject), subject.problem.inputs
    noise, sample = drawn(sampler, x)
    torch.manual_seed(1)
    again, repeated = drawn(sampler, x)
    if any(not torch.equal(part, other) for part, other in zip(noise, again, strict=True)):
        return "the noise of one generator differs: draw all random numbers from the generator that is given"
    here = coordinates(sample.element)
    if not torch.equal(here, coordinates(repeated.element)):
        return "the elements of one noise differ: draw all random numbers in the method 'noise'"
    if sampler.deterministic and gap(coordinates(drawn(sampler, x, seed=1)[1].element), here) > CLOSE:
        return "the elements depend on the noise although 'deterministic' is True"
    return None


def law_fault(subject: Subject) -> Fault:
    """Checks that elements for g'x have the law of g' times the elements for x."""
    sampler, x = sampler_of(subject), subject.problem.inputs
    g = sampler.group.random(x, 1, generator(CPU, 0, "conformance"))
    found = law(sampler, x, x.acted(g), g, DRAWS)
    if found.agrees:
        return None
    return (
        f"the elements drawn for g'x do not have the law of g' times those drawn for x (p = {found.p_value:.1g}): "
        "they should be an equivariant function of the structure and the noise"
    )


def padding_fault(subject: Subject) -> Fault:
    """Checks that absent nodes do not change the law of the elements."""
    x, signature = subject.problem.inputs, subject.problem.task.signature
    nodes, larger = x.nodes, x.padded(x.nodes + ABSENT)
    one = sampler_of(subject, signature=replace(signature, padded=True))
    other = sampler_of(subject, signature=replace(signature, nodes=larger.nodes, padded=True))
    other.load_state_dict(one.state_dict())
    here = elements(one, x, DRAWS, generator(CPU, 0, "conformance here"))
    there = elements(other, larger, DRAWS, generator(CPU, 0, "conformance there"))
    there = there[..., of_existing_nodes(other.group.identity(larger), nodes)]
    if one.deterministic and one.fixed_samples == 1:
        error = gap(there, here)
        return f"absent nodes change the elements: they differ by {error:.0e}" if error > CLOSE else None
    p_values = kolmogorov_smirnov(here.movedim(1, 0).flatten(1), there.movedim(1, 0).flatten(1))
    least = p_values.numel() * p_values.amin().item()
    return f"absent nodes change the law of the elements (p = {least:.1g})" if least < SIGNIFICANCE else None


def of_existing_nodes(element: Element, nodes: int) -> Tensor:
    """True for the coordinates ``[M]`` of an element but those of nodes from ``nodes`` on."""
    if isinstance(element, Product):
        return torch.cat([of_existing_nodes(factor, nodes) for factor in element.factors])
    count = coordinates(element).shape[-1]
    return torch.arange(count) < nodes if isinstance(element, Permutation) else torch.ones(count, dtype=torch.bool)


def gradient_fault(subject: Subject) -> Fault:
    """Checks that gradients are finite and reach the weights of the sampler, if it has any."""
    gradients = gradients_of(subject, subject.model())
    own = [gradient for name, gradient in gradients.items() if name.startswith("sampler.")]
    if own and all(gradient is None for gradient in own):
        return "no gradient reaches its weights: its elements or its penalty should be differentiable functions of them"
    wrong = [name for name, gradient in gradients.items() if gradient is not None and not gradient.isfinite().all()]
    return f"the gradient of {wrong[0]} is not finite" if wrong else None


def float64_fault(subject: Subject) -> Fault:
    """Checks that elements have the dtype of the structures."""
    for dtype in (torch.float64, torch.float32):
        model, x = subject.initial_model().to(dtype).eval(), subject.problem.inputs.to(CPU, dtype)
        if (found := predicted(model, x).dtype) is not dtype:
            return f"elements for structures in {dtype} make the prediction {found}: create tensors in the dtype of x"
    return None


PROPERTIES: Mapping[str, Property] = {
    "elements": elements_fault,
    "determinism": determinism_fault,
    "padding": padding_fault,
    "float64": float64_fault,
    "training step": gradient_fault,
    "samples in chunks": chunk_fault,
    "tiny run": run_fault,
}
CLAIMS: Mapping[str, Property] = {"law": law_fault, "symmetrization": symmetry_fault}
"""What is checked unless the card's guarantee is none."""
