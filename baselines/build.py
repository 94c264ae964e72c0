"""Builds models from the cards of methods and resolved parameters."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from baselines.cards import BaseCard, MethodCard, SamplerCard
from baselines.model import Equivariant, Model
from baselines.samplers.sampler import Sampler
from baselines.symmetrized import Symmetrized
from tasks.cards import Implementation, Input
from tasks.extras import named_extras
from tasks.symmetry.groups import Group, group
from tasks.symmetry.structure import Signature


def load(implementation: Implementation) -> Any:
    """Returns the object that ``module:name`` names, which is imported, or the implementation itself if it is one."""
    if not isinstance(implementation, str):
        return implementation
    module, _, name = implementation.partition(":")
    return getattr(import_module(module), name)


def build_network(card: BaseCard, signature: Signature, params: Mapping[str, Any]) -> Any:
    """The freshly initialised network of a card; ``params`` that are missing take their default."""
    return load(card.implementation)(signature, card.settings_from(params))


def build_sampler(card: SamplerCard, group: Group, signature: Signature, params: Mapping[str, Any]) -> Sampler:
    """The freshly initialised sampler of a card; ``params`` that are missing take their default."""
    sampler: Sampler = load(card.implementation)(group, signature, card.settings_from(params))
    return sampler


@named_extras()
def build(
    method: MethodCard,
    signature: Signature,
    symmetry: tuple[str, ...],
    base: Mapping[str, Any],
    sampler: Mapping[str, Any],
    hidden: frozenset[Input] = frozenset(),
) -> Model:
    """Builds a model with weights initialised from torch's global generator.

    Args:
        method: The card of the method.
        signature: The shapes of the model's inputs and outputs.
        symmetry: The factors to symmetrize over: those of the task's group that the base model does not respect. The
            sampler's setting ``group`` replaces them if it is given.
        base: The parameters of the base model.
        sampler: The parameters of the sampler.
        hidden: The inputs of structures that the method does not get (:meth:`~baselines.cards.MethodCard.hidden`).
    """
    signature = signature.without(hidden)
    network = build_network(method.base, signature, base)
    model: Model
    if method.sampler is None:
        model = Equivariant(network)
    else:
        chosen = group(tuple(sampler.get("group") or symmetry))
        made = build_sampler(method.sampler, chosen, signature, sampler)
        model = Symmetrized(network, made, signature.output)
    model.hidden = hidden
    return model
