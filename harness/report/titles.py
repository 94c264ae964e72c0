"""Titles from the registry where it knows a name, else the plain name."""

from __future__ import annotations

from harness import registry

BUILT_IN = "none (equivariant)"


def task_title(name: str) -> str:
    card = registry.tasks().get(name)
    return card.title if card else name


def base_title(method: str, base_model: str) -> str:
    card = registry.methods().get(method)
    return card.base.title if card else base_model


def sampler_title(sampler: str | None) -> str:
    if sampler is None:
        return BUILT_IN
    titles = {card.sampler.name: card.sampler.title for card in registry.methods().values() if card.sampler}
    return titles.get(sampler, sampler)


def method_title(method: str) -> str:
    card = registry.methods().get(method)
    return card.title if card else method


def group_title(group: str) -> str:
    """``S_n x E(3)`` as it is printed."""
    return group.replace("S_n", "Sₙ").replace(" x ", " × ")  # noqa: RUF001


def arrow(direction: str) -> str:
    return "↑" if direction == "max" else "↓"


def better(direction: str) -> str:
    return "higher is better" if direction == "max" else "lower is better"
