"""From a method's card and resolved parameters to a model for a task."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from baselines.cards import BaseCard, MethodCard, SamplerCard
from baselines.model import Equivariant, Model
from baselines.samplers.sampler import Sampler
from baselines.symmetrized import Symmetrized
from tasks.symmetry.groups import Group, group
from tasks.symmetry.structure import Signature


def load(reference: str) -> Any:
    """The object that ``module:name`` refers to."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def build_network(card: BaseCard, signature: Signature, params: Mapping[str, Any]) -> Any:
    """The freshly initialised network of a card; ``params`` that are missing take their default."""
    return load(card.implementation)(signature, card.settings_from(params))


def build_sampler(card: SamplerCard, group: Group, signature: Signature, params: Mapping[str, Any]) -> Sampler:
    """The freshly initialised sampler of a card; ``params`` that are missing take their default."""
    sampler: Sampler = load(card.implementation)(group, signature, card.settings_from(params))
    return sampler


def build(
    method: MethodCard,
    signature: Signature,
    symmetry: tuple[str, ...],
    base: Mapping[str, Any],
    sampler: Mapping[str, Any],
) -> Model:
    """A freshly initialised model (from torch's global generator) for inputs and outputs of ``signature``.

    ``symmetry`` names the factors to symmetrize over, those of the task that the base model lacks; the sampler's
    ``group`` setting replaces them where it is given.
    """
    network = build_network(method.base, signature, base)
    if method.sampler is None:
        return Equivariant(network)
    chosen = group(tuple(sampler.get("group") or symmetry))
    return Symmetrized(network, build_sampler(method.sampler, chosen, signature, sampler), signature.output)
