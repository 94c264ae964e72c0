"""Whether the code of a card can be built: its base class and its arguments (no torch until the code is imported)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness.plugins.card_functions import error_summary
from harness.plugins.plugin import Card
from harness.plugins.references import unusable
from tasks.cards import Implementation, TaskCard


class Role(NamedTuple):
    """What an implementation has to be.

    Attributes:
        parent: The class that it inherits from, where that can be imported.
        defined: Where that class is defined, as ``module.name``.
        arguments: The arguments that it is called with.
    """

    parent: str
    defined: str
    arguments: tuple[str, ...]


TASK = Role("tasks.task.Task", "tasks.task.Task", ("settings",))
BASE = Role("baselines.bases.base_model.BaseModel", "baselines.bases.base_model.BaseModel", ("signature", "settings"))
ALONE = Role("torch.nn.Module", "torch.nn.modules.module.Module", ("signature", "settings"))
SAMPLER = Role(
    "baselines.samplers.sampler.Sampler", "baselines.samplers.sampler.Sampler", ("group", "signature", "settings")
)


def construction_fault(card: Card) -> str | None:
    """Imports the code of a card and returns why it cannot be built, as a clause, or None if no error is found."""
    faults = (_fault(implementation, role) for implementation, role in _roles(card))
    return next(filter(None, faults), None)


def _roles(card: Card) -> Iterator[tuple[Implementation, Role]]:
    match card:
        case TaskCard():
            yield card.implementation, TASK
        case BaseCard():
            yield card.implementation, BASE
        case SamplerCard():
            yield card.implementation, SAMPLER
        case MethodCard(base=base, sampler=None):
            yield base.implementation, ALONE
        case MethodCard():
            yield from (pair for part in (card.base, card.sampler) if part for pair in _roles(part))


def _fault(implementation: Implementation, role: Role) -> str | None:
    if why := unusable(implementation):
        return why
    from baselines.build import load

    found = load(implementation)
    name = implementation if isinstance(implementation, str) else getattr(found, "__name__", "it")
    if isinstance(found, type) and all(f"{one.__module__}.{one.__qualname__}" != role.defined for one in found.__mro__):
        return f"{name} should be a subclass of {role.parent}"
    return _arguments_fault(found, name, role.arguments)


def _arguments_fault(found: Callable[..., Any], name: str, arguments: tuple[str, ...]) -> str | None:
    try:
        signature = inspect.signature(found)
    except ValueError:  # of a callable that is not written in Python
        return None
    try:
        signature.bind(*arguments)
    except TypeError as error:
        return f"{name} is called with ({', '.join(arguments)}), and takes {signature}: {error_summary(error)}"
    return None
