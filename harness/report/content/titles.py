"""How names are shown: titles come from the cards of the registry; a name that it does not know is shown as it is."""

from __future__ import annotations

import zlib

from harness import registry

BUILT_IN = "none (equivariant)"


def task_title(name: str) -> str:
    """The title of a task."""
    card = registry.tasks().get(name)
    return card.title if card else name


def method_title(name: str) -> str:
    """The title of a method."""
    card = registry.methods().get(name)
    return card.title if card else name


def sampler_title(name: str) -> str:
    """The title of a sampler, from the card of any method that uses it."""
    samplers = (card.sampler for card in registry.methods().values())
    return next((sampler.title for sampler in samplers if sampler and sampler.name == name), name)


def group_title(group: str) -> str:
    """The name of a group, such as ``S_n x E(3)``, in print: ``Sₙ × E(3)``."""  # noqa: RUF002
    return group.replace("S_n", "Sₙ").replace(" x ", " × ")  # noqa: RUF001


def card_id(kind: str, name: str) -> str:
    """The id of the card of a method or task in the page. Names may contain any letters, so the id is a checksum."""
    return f"{kind}-{zlib.crc32(name.encode(errors='surrogatepass')):08x}"


def arrow(direction: str) -> str:
    """An arrow in the direction that is better."""
    return "↑" if direction == "max" else "↓"


def better(direction: str) -> str:
    """The direction that is better, in words."""
    return "higher is better" if direction == "max" else "lower is better"
