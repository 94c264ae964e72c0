"""A card that a plug-in registers, and the entry point groups that it may be registered under (no torch)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from inspect import isroutine
from typing import Any, Literal

from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness.plugins.plugin_file import PluginFile
from harness.renames import warning
from tasks.cards import Implementation, TaskCard

Card = TaskCard | BaseCard | SamplerCard | MethodCard

TASKS, METHODS = "symbench.tasks", "symbench.methods"
BASES, SAMPLERS, EQUIVARIANT = "symbench.bases", "symbench.samplers", "symbench.equivariant"
GROUPS: Mapping[str, tuple[type[Card], ...]] = {
    TASKS: (TaskCard,),
    BASES: (BaseCard,),
    SAMPLERS: (SamplerCard,),
    EQUIVARIANT: (BaseCard,),
    METHODS: (MethodCard, BaseCard, SamplerCard),
}
"""The classes of the cards of each entry point group.

Base models and samplers are crossed with all others: each pair is a method. A network that is equivariant by
construction is a method alone. ``symbench.methods`` is also for single pairs.
"""
GROUP_OF: Mapping[type[Card], str] = {TaskCard: TASKS, BaseCard: BASES, SamplerCard: SAMPLERS, MethodCard: METHODS}
"""The group of a card that is registered without an entry point."""
UNREADABLE = "symbench.*"
"""The group of a list of entry points that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One card of a plug-in.

    Attributes:
        distribution: The installed package, or the origin that :func:`harness.registry.add` was given.
        version: Its version; may be empty if it is not an installed package.
        group: The entry point group that the card is registered under.
        entry: The name of the entry point; empty if there is none.
        value: Where the entry point leads, as ``module:name``; empty if there is none.
        item: The place of the card in the list of its entry point, from 1 on; None if there is no list.
        card: The card, or None if it could not be loaded. That of a network that is equivariant by construction is a
            :class:`MethodCard`.
        fault: The reason why the card is left out, as a clause, or None.
        renamed: Current names of methods and metrics by the old names that the card has.
        file: The plug-in file that the card is from, or None.
    """

    distribution: str
    version: str
    group: str
    entry: str = ""
    value: str = ""
    item: int | None = None
    card: Card | None = None
    fault: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    file: PluginFile | None = None

    @property
    def package(self) -> str:
        """Its distribution and version as text."""
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def origin(self) -> str:
        """Where the card comes from, as text."""
        if not self.entry:
            return self.package
        item = "" if self.item is None else f", card {self.item}"
        return f"{self.package}, entry point {self.entry} = {self.value} ({self.group}){item}"

    @property
    def warning(self) -> str:
        """The message if the card is left out or has names of an earlier version; empty otherwise."""
        if self.fault:
            return f"The plug-in {self.origin} is left out: {self.fault}."
        return f"The plug-in {self.origin}: {warning(self.renamed)}" if self.renamed else ""

    @property
    def name(self) -> str | None:
        """The name that it registers, or None if it is unknown."""
        try:
            name = getattr(self.card, "name", None)
        except Exception:  # the parts of a method that is left out may be anything
            return None
        return name if isinstance(name, str) else None

    def may_give(self, kind: Literal["task", "method"]) -> bool:
        """Whether its group has tasks or methods."""
        return self.group == UNREADABLE or (self.group == TASKS) == (kind == "task")

    def may_be(self, name: str) -> bool:
        """Whether it would register a task or a method of this name, as far as that is known."""
        base, sampler = (isinstance(self.card, kind) for kind in (BaseCard, SamplerCard))
        for own in filter(None, (self.name, self.entry)):
            if name == own or (base and name.startswith(f"{own}-")) or (sampler and name.endswith(f"-{own}")):
                return True
        return False

    @property
    def parts(self) -> tuple[TaskCard | BaseCard | SamplerCard, ...]:
        """The card itself, or the parts of a method."""
        if isinstance(self.card, MethodCard):
            return tuple(part for part in (self.card.base, self.card.sampler) if part)
        return () if self.card is None else (self.card,)

    @property
    def implementations(self) -> list[Implementation]:
        """The implementations of its card, or of the parts of a method."""
        return [part.implementation for part in self.parts]

    def is_in(self, task: TaskCard | None, method: MethodCard | None) -> bool:
        """Whether a run of this method on this task uses the card."""
        used = (task, method, method.base, method.sampler) if method else (task,)
        return self.fault is None and self.card is not None and any(self.card is one for one in used)


def wrong_kind(value: Any, wanted: Iterable[type]) -> str:
    """Why a value is not a card of a ``wanted`` class, and what to register instead, as a clause."""
    kinds = " or ".join(kind.__name__ for kind in wanted)
    if isinstance(value, type):
        is_card = issubclass(value, tuple(GROUP_OF))
        do = "make a card with it" if is_card else "register its card, whose implementation is 'module:Class'"
        return f"it is not a {kinds} but the class {value.__name__}: {do}"
    if isroutine(value):
        return f"it is not a {kinds} but the function {value.__name__}: register the card that it returns"
    groups = [group for group, others in GROUPS.items() if isinstance(value, others)]
    if groups:
        return f"it is not a {kinds} but a {type(value).__name__}: register it under {' or '.join(groups)}"
    return f"it is not a {kinds} but of the type {type(value).__name__}"
