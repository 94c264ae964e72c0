"""From a method's card and resolved parameters to a model for a task."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from baselines.cards import MethodCard
from baselines.model import Equivariant, Model
from baselines.symmetrized import Symmetrized
from tasks.symmetry.groups import group
from tasks.symmetry.structure import Signature


def load(reference: str) -> Any:
    """The object that ``module:name`` refers to."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def build(
    method: MethodCard,
    signature: Signature,
    symmetry: tuple[str, ...],
    base: Mapping[str, Any],
    sampler: Mapping[str, Any],
) -> Model:
    """A freshly initialised model (from torch's global generator) for inputs and outputs of ``signature``.

    ``symmetry`` names the factors to symmetrize over, those of the task that the base model lacks; the sampler's
    ``group`` parameter replaces them where it is given.
    """
    network = load(method.base.implementation)(signature, base)
    if method.sampler is None:
        return Equivariant(network)
    chosen = group(tuple(sampler.get("group") or symmetry))
    return Symmetrized(network, load(method.sampler.implementation)(chosen, signature, sampler), signature.output)
