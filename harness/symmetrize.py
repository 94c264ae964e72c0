"""Symmetrizes any module of torch over a group and with a sampler that are chosen by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from baselines.cards import SamplerCard
from harness import registry
from harness.errors import DoesNotFit, SettingsError, UnknownName
from harness.parameters import check_values, normal, overlay, typed, with_choices
from harness.utils.text import nearest
from tasks.cards import Input, TaskCard
from tasks.settings import as_params
from tasks.symmetry.names import GROUPS, clash, factors_in, is_group, nodes_first

if TYPE_CHECKING:
    from torch import nn

    from baselines.symmetrized_module import SymmetrizedModule
    from tasks.symmetry.structure import Structure


def symmetrize(
    module: nn.Module,
    group: str | Iterable[str] = "S_n x O(3)",
    sampler: str | SamplerCard = "ps",
    *,
    inputs: Any,
    output: str = "graph_features",
    **settings: Any,
) -> SymmetrizedModule:
    """Averages a module over group elements, which makes it equivariant: exactly or in expectation, as the sampler is.

    The result is called as the module is, with ``samples``, the number of group elements for each structure. Its
    method :meth:`~baselines.symmetrized_module.SymmetrizedModule.predict` also returns the penalty of a learned sampler
    for training. The module is not copied. New weights of the sampler come from torch's global generator.

    Args:
        module: Any module whose output for each structure depends on that structure alone.
        group: The group, for example ``S_n``, ``E(3)`` or ``S_n x O(3)``: as text, or as its factors.
        sampler: ``none``, ``ga``, ``fa``, ``mfa``, ``canonical`` or ``ps``, the name of a plug-in's, or a card.
        inputs: An example of the inputs by role, in the order of the module's arguments: ``node_features`` [B, N, C],
            ``positions`` [B, N, D], ``vectors`` [B, N, D], ``adjacency`` [B, N, N], ``edge_features`` [B, N, N, E] and
            ``mask`` [B, N] (bool). See :mod:`tasks.symmetry.roles`. Or a ``Batch`` of PyG, which the module then takes
            (:mod:`tasks.graph_batches`). It gives sizes, dtype and device; B and N may differ in later calls.
        output: The role of what the module returns: ``graph_features`` [B, C], which no group changes, or one of the
            roles above. ``positions`` are places in the space of the inputs, not displacements, which are ``vectors``.
        **settings: Settings of the sampler, for example ``temperature=0.2`` (:mod:`baselines.catalogue.samplers`).

    Returns:
        A module whose ``parameters()`` are those of ``module`` and of the sampler.

    Raises:
        UnknownName: There is no such group, sampler or setting.
        SettingsError: A setting, the inputs or the output are not accepted.
        DoesNotFit: The sampler does not cover the group, or the group does not act on the inputs.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(5 * 3, 1))
        >>> x = torch.randn(8, 5, 3)
        >>> model = symmetrize(network, "S_n x O(3)", "ps", inputs={"positions": x})
        >>> model(x, samples=4).shape
        torch.Size([8, 1])
    """
    from torch import nn

    from baselines.module_inputs import inputs_like
    from baselines.symmetrized_module import SymmetrizedModule
    from tasks.symmetry.groups import group as built

    if not isinstance(module, nn.Module):
        raise SettingsError(f"The module should be a torch.nn.Module, not {type(module).__name__}.")
    names, card = parsed_group(group), _sampler(sampler)
    _, example = inputs_like(inputs)
    params = _checked(card, settings, names, example)
    try:
        return SymmetrizedModule(module, built(names), card, params, inputs, output)
    except ValueError as error:
        raise DoesNotFit(f"The module cannot be symmetrized over {' x '.join(names)}: {error}.") from error


def parsed_group(group: str | Iterable[str]) -> tuple[str, ...]:
    """The factors of a group that is written as text (``S_n x O(3)``) or given as names; those of nodes come first.

    Raises:
        UnknownName: There is no group of such a name.
        SettingsError: There are no names, or two factors act on the same thing.
    """
    names = factors_in(group)
    for name in names:
        if not isinstance(name, str) or not is_group(name):
            number = re.search(r"\d+", str(name))
            known = [kind.replace("#", number[0] if number else "3") for kind in GROUPS]
            raise UnknownName(f"There is no group '{name}': {nearest(str(name), known)}")
    if not names:
        raise SettingsError("The group has no factors: give one or more names.")
    if reason := clash(names):
        raise SettingsError(f"The group {' x '.join(names)} is not a direct product: {reason}.")
    return tuple(nodes_first(names))


def _sampler(sampler: str | SamplerCard) -> SamplerCard:
    if isinstance(sampler, SamplerCard):
        return sampler
    known = {card.sampler.name: card.sampler for card in registry.methods().values() if card.sampler}
    if sampler not in known:
        raise UnknownName(f"There is no sampler '{sampler}': {nearest(str(sampler), known)}")
    return known[sampler]


def _checked(card: SamplerCard, settings: dict[str, Any], names: tuple[str, ...], x: Structure) -> dict[str, Any]:
    """All settings of a sampler, which covers the group on structures like ``x``."""
    if "group" in settings:
        raise SettingsError("The sampler's setting 'group' is the argument 'group' here.")
    task = _task_with(x, names)
    params = overlay("sampler", card.params, settings)
    check_values("sampler", card, params)
    params = with_choices(normal(card, params), card, task)
    if reason := card.check(typed(card, params), task):
        raise SettingsError(f"The sampler settings of '{card.name}' do not work: {reason}.")
    reason = card.misfit(names, task) or card.too_large(typed(card, params), names, x.nodes)
    if reason:
        raise DoesNotFit(f"The sampler '{card.name}' does not cover {' x '.join(names)} on these inputs: {reason}.")
    return as_params(typed(card, params))


def _task_with(x: Structure, names: tuple[str, ...]) -> TaskCard:
    """A card of a task with such inputs, which the checks of samplers' cards take."""
    channels: dict[Input, int] = {
        "node_scalars": x.node_scalars.shape[-1],
        "points": x.points.shape[-1],
        "vectors": x.vectors.shape[-1],
        "edges": x.edge_scalars.shape[-1],
    }
    return TaskCard(
        name="these inputs",
        group=names,
        inputs=frozenset(kind for kind, count in channels.items() if count),
        output="graph_scalars",
        metric="",
        direction="max",
        implementation="",
        protocols={},
        max_nodes=lambda settings: x.nodes,
    )
