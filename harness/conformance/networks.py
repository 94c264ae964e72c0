"""Checks of base models and of networks that are equivariant by construction."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from baselines.cards import BaseCard, MethodCard
from baselines.catalogue import GROUP_AVERAGING, NO_SYMMETRIZATION
from harness.conformance.check import Check, Fault
from harness.conformance.methods import chunk_fault, run_fault, symmetry_fault
from harness.conformance.problems import Problem, problems_of_base, problems_of_equivariant
from harness.conformance.subject import Subject, gap, gradients_of, predicted
from harness.plugins.card_checks import base_fault
from harness.plugins.card_functions import guarded
from harness.training.seeds import generator
from harness.verification.equivariance import EXACT_DOUBLE, equivariance_differences
from tasks.symmetry.groups import group
from tasks.symmetry.names import NODE_GROUPS
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

CLOSE = 1e-8
"""The relative difference of two computations in float64 that should agree up to rounding."""

SINGLE = 1e-2
"""The same of float32 and float64: rounding adds up over the layers of a network."""

ABSENT = 3
"""The number of absent nodes that are added."""

UNUSED = 0.1
"""The largest share of weights that may be unused."""

CPU = torch.device("cpu")
AXES: Mapping[Representation, str] = {
    Representation.GRAPH_SCALARS: "[B, C]",
    Representation.NODE_SCALARS: "[B, N, C]",
    Representation.NODE_POINTS: "[B, N, D, P]",
    Representation.EDGE_SCALARS: "[B, N, N, C]",
}

Property = Callable[[Subject], Fault]


def equivariant_checks(card: BaseCard, problem: Problem | None, settings: Mapping[str, Any]) -> Iterator[Check]:
    """The checks of a network that is equivariant by construction."""
    method = MethodCard(base=card)
    yield Check(card.name, "card", lambda: base_fault(guarded(card, "under test")) or _respects_something(card))
    subjects = [Subject(method, one, base=settings) for one in _problems(problem, problems_of_equivariant(card))]
    for subject in subjects:
        properties = {**NETWORK_PROPERTIES, **_claims(subject), "tiny run": run_fault}
        yield from _checks(subject, properties)
    if problem is None:
        yield Check(card.name, "weights are used", lambda: unused_fault(subjects))


def base_checks(card: BaseCard, problem: Problem | None, settings: Mapping[str, Any]) -> Iterator[Check]:
    """The checks of a base model, alone and averaged over a group."""
    alone = MethodCard(base=card, sampler=NO_SYMMETRIZATION)
    averaged = MethodCard(base=card, sampler=GROUP_AVERAGING)
    problems = _problems(problem, problems_of_base(card))
    yield Check(
        card.name, "card", lambda: base_fault(guarded(card, "under test")) or (None if problems else NOTHING_LEFT)
    )
    subjects = [Subject(alone, one, base=settings) for one in problems]
    for subject in subjects:
        yield from _checks(subject, {**NETWORK_PROPERTIES, **_claims(subject)})
        yield from _checks(replace(subject, method=averaged), SYMMETRIZED_PROPERTIES)
    if problem is None and problems:
        yield Check(card.name, "weights are used", lambda: unused_fault(subjects))


def _problems(problem: Problem | None, examples: list[Problem]) -> list[Problem]:
    return examples if problem is None else [problem]


NOTHING_LEFT = (
    "it respects all groups that it could be symmetrized over: register it under the entry point group "
    "symbench.equivariant"
)


def _respects_something(card: BaseCard) -> Fault:
    return None if card.respects else "it respects no group: register it as a base model under symbench.bases"


def _checks(subject: Subject, properties: Mapping[str, Property]) -> Iterator[Check]:
    card = subject.method.base
    for name, fault in properties.items():
        yield Check(card.name, f"{name} ({subject.problem.label})", partial(fault, subject))


def _claims(subject: Subject) -> Mapping[str, Property]:
    """A check for each group that the card respects and that acts on the problem."""
    acting = [name for name in sorted(subject.method.base.respects) if _acts(name, subject.problem)]
    return {f"equivariance under {name}": partial(respects_fault, name=name) for name in acting}


def _acts(name: str, problem: Problem) -> bool:
    try:
        group((name,)).check(problem.task.signature)
    except ValueError:  # another dimension, or nothing to act on
        return False
    return True


def shape_fault(subject: Subject) -> Fault:
    """Checks the shape of the output, that it is finite, and that it is zero for absent nodes and pairs."""
    x, signature = subject.problem.inputs, subject.problem.task.signature
    found, wanted = predicted(subject.model(), x), output_shape(signature, len(x))
    if found.shape != wanted:
        axes = AXES[signature.output]
        return f"the output should have the shape {list(wanted)} ({axes}), not {list(found.shape)}"
    if not found.isfinite().all():
        return "the output is not finite"
    exists = existing(x, signature.output)
    if not signature.output.is_geometric and (found * ~exists).any():
        return "the output should be zero for absent nodes and pairs: multiply it by x.mask or x.pair_mask"
    return None


def output_shape(signature: Signature, batch: int) -> torch.Size:
    """The shape of the output for a batch."""
    nodes, channels = signature.nodes, signature.output_channels
    axes = {
        Representation.NODE_SCALARS: (nodes,),
        Representation.NODE_POINTS: (nodes, signature.dimension),
        Representation.EDGE_SCALARS: (nodes, nodes),
    }
    return torch.Size((batch, *axes.get(signature.output, ()), channels))


def existing(x: Structure, output: Representation) -> Tensor:
    """True for outputs of nodes and pairs that exist, broadcastable to the output."""
    match output:
        case Representation.NODE_SCALARS:
            return x.mask[..., None]
        case Representation.NODE_POINTS:
            return x.mask[..., None, None]
        case Representation.EDGE_SCALARS:
            return x.pair_mask[..., None]
        case _:
            return x.mask.any(1)[:, None]


def gradient_fault(subject: Subject) -> Fault:
    """Takes a training step, whose gradients should be finite."""
    model = subject.model()
    gradients = gradients_of(subject, model)
    if not any(gradient is not None and gradient.any() for gradient in gradients.values()):
        return "no gradient reaches any weight: the output should be computed from the weights by operations of torch"
    if wrong := [
        name for name, gradient in gradients.items() if gradient is not None and not gradient.isfinite().all()
    ]:
        return f"the gradient of {wrong[0]} is not finite"
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    after = predicted(model.eval(), subject.problem.inputs)
    return None if after.isfinite().all() else "the output is not finite after one training step"


def unused_fault(subjects: Sequence[Subject]) -> Fault:
    """Checks that gradients reach nearly all weights on one of several problems.

    A weight may belong to one output only, and the last layer of a network may have some that nothing reads.
    """
    weights, reached = {}, set()
    for subject in subjects:
        model = subject.model()
        gradients = gradients_of(subject, model)
        weights.update({name: weight.numel() for name, weight in model.named_parameters() if weight.requires_grad})
        reached |= {name for name, gradient in gradients.items() if gradient is not None}
    unused = [name for name in weights if name not in reached]
    share = sum(weights[name] for name in unused) / max(sum(weights.values()), 1)
    if share > UNUSED:
        return f"no gradient reaches {share:.0%} of the weights, among them {unused[0]}: use or remove them"
    return None


def batch_fault(subject: Subject) -> Fault:
    """Checks that the output for a structure does not depend on the others of its batch."""
    model, x = subject.model(), subject.problem.inputs
    whole = predicted(model, x)
    error = max(gap(predicted(model, x[part]), whole[part]) for part in (slice(1), slice(1, None)))
    if error > CLOSE:
        return f"the output for a structure depends on the other structures of its batch: it differs by {error:.0e}"
    return None


def padding_fault(subject: Subject) -> Fault:
    """Checks that absent nodes change nothing, if the network respects a group of nodes.

    Others may read the places of nodes, and so their number.
    """
    if not subject.method.base.respects & NODE_GROUPS:
        return None
    x, signature = subject.problem.inputs, subject.problem.task.signature
    larger = replace(signature, nodes=x.nodes + ABSENT, padded=True)
    model, other = subject.model(signature=replace(signature, padded=True)), subject.model(signature=larger)
    sizes = [{name: list(value.shape) for name, value in one.state_dict().items()} for one in (model, other)]
    if different := [name for name in sizes[0] if sizes[0][name] != sizes[1].get(name)]:
        return f"the size of {different[0]} depends on the number of nodes, and absent nodes should not matter"
    other.load_state_dict(model.state_dict())
    for training in (False, True):
        model.train(training), other.train(training)
        if training and gap(predicted(model, x), _again(model, x)) > 0:
            continue  # dropout
        found = predicted(other, x.padded(x.nodes + ABSENT))
        within = (slice(None), *[slice(x.nodes)] * _node_axes(signature.output))
        if (error := gap(found[within], predicted(model, x))) > CLOSE:
            where = " in training" if training else ""
            return f"absent nodes change the output{where}: it differs by {error:.0e} with {ABSENT} more of them"
    return None


def _node_axes(output: Representation) -> int:
    return 2 if output is Representation.EDGE_SCALARS else int(output.has_nodes)


def float64_fault(subject: Subject) -> Fault:
    """Checks that the network computes in float64 what it computes in float32."""
    x, single = subject.problem.inputs, subject.initial_model().eval()
    double = copy.deepcopy(single).double()
    found, expected = predicted(double, x), predicted(single, x.to(CPU, torch.float32))
    if found.dtype is not torch.float64:
        return f"the output for an input in float64 should have that dtype, not {found.dtype}"
    if expected.dtype is not torch.float32:
        return f"the output for an input in float32 should have that dtype, not {expected.dtype}"
    if (error := gap(expected, found)) > SINGLE:
        return f"float32 and float64 give different outputs: they differ by {error:.0e}"
    return None


def determinism_fault(subject: Subject) -> Fault:
    """Checks that weights depend on torch's seed alone, and predictions on weights and inputs alone."""
    first, second, x = subject.model(), subject.model(), subject.problem.inputs
    if different := _difference(first.state_dict(), second.state_dict()):
        return f"the initial {different} differs although torch.manual_seed was the same: draw it from torch"
    kept, value = subject.problem.inputs, predicted(first, x)
    if any(not torch.equal(getattr(x, item.name), getattr(kept, item.name)) for item in fields(x)):
        return "it changes its input: compute new tensors in place of operations such as add_"
    if gap(value, _again(first, x)) > 0:
        return "two predictions in evaluation mode differ: it draws random numbers"
    return None


def _again(model: Any, x: Structure) -> Tensor:
    torch.manual_seed(1)
    return predicted(model, x)


def _difference(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> str | None:
    return next((name for name, value in first.items() if not torch.equal(value, second[name])), None)


def weights_fault(subject: Subject) -> Fault:
    """Checks that a model with saved weights predicts the same as the one that they were saved from."""
    model, other, x = subject.model(), subject.model(seed=1), subject.problem.inputs
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    if (error := gap(predicted(other, x), predicted(model, x))) > CLOSE:
        why = "keep all that is random or learned in parameters and buffers"
        return f"a model with loaded weights predicts something else: it differs by {error:.0e}: {why}"
    return None


def respects_fault(subject: Subject, name: str) -> Fault:
    """Checks that the network is exactly equivariant under a group that the card says it respects."""
    x, output = subject.problem.inputs, subject.problem.task.signature.output
    g = group((name,)).random(x, 1, generator(CPU, 0, "conformance", name))
    error = equivariance_differences(subject.model(), x, g, output, [1], 1).norm(dim=-1).max().item()
    if not error < EXACT_DOUBLE * 10:
        return f"it does not respect {name}, which its card names: the relative error is {error:.0e} in float64"
    return None


NETWORK_PROPERTIES: Mapping[str, Property] = {
    "shapes": shape_fault,
    "training step": gradient_fault,
    "batch": batch_fault,
    "padding": padding_fault,
    "float64": float64_fault,
    "determinism": determinism_fault,
    "saved weights": weights_fault,
}
SYMMETRIZED_PROPERTIES: Mapping[str, Property] = {
    "symmetrization": symmetry_fault,
    "samples in chunks": chunk_fault,
    "tiny run": run_fault,
}
