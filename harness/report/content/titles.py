"""Titles from the registry where it knows a name, else the plain name."""

from __future__ import annotations

import zlib

from harness import registry

BUILT_IN = "none (equivariant)"


def task_title(name: str) -> str:
    card = registry.tasks().get(name)
    return card.title if card else name


def method_title(method: str) -> str:
    card = registry.methods().get(method)
    return card.title if card else method


def group_title(group: str) -> str:
    """``S_n x E(3)`` as it is printed."""
    return group.replace("S_n", "Sₙ").replace(" x ", " × ")  # noqa: RUF001


def card_id(kind: str, name: str) -> str:
    """Where the card of a method or task is in the page, whatever its name is made of."""
    return f"{kind}-{zlib.crc32(name.encode(errors='surrogatepass')):08x}"


def arrow(direction: str) -> str:
    return "↑" if direction == "max" else "↓"


def better(direction: str) -> str:
    return "higher is better" if direction == "max" else "lower is better"
