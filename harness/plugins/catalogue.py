"""All cards, built in and of plug-ins, and the checks of those that are added (no torch)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from baselines import catalogue as baselines
from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness import renames
from harness.errors import PluginError
from harness.plugins.card_checks import base_fault, method_fault, sampler_fault, task_fault
from harness.plugins.card_functions import guarded
from harness.plugins.plugin import EQUIVARIANT, GROUP_OF, TASKS, Card, Plugin, wrong_kind
from harness.plugins.plugin_file import PluginFile
from tasks.cards import TaskCard
from tasks.catalogue import TASKS as BUILT_IN_TASKS

C = TypeVar("C", TaskCard, BaseCard, SamplerCard, MethodCard)
Fault = Callable[[Any], str | None]

BUILT_IN = "which is built in"
PARTS: tuple[BaseCard | SamplerCard, ...] = (*baselines.BASES, *baselines.SAMPLERS, *baselines.EQUIVARIANT)
BUILT_IN_PARTS = {card.name: BUILT_IN for card in PARTS}
"""Names that no part of a method of a plug-in may have: recipes select methods by the names of their parts."""


@dataclass(frozen=True)
class Catalogue:
    """The built-in cards together with those of plug-ins.

    Attributes:
        plugins: All cards of plug-ins, also those that are left out.
    """

    plugins: tuple[Plugin, ...] = ()

    @cached_property
    def tasks(self) -> Mapping[str, TaskCard]:
        """All tasks by name."""
        return {card.name: card for card in (*BUILT_IN_TASKS, *self._usable(TaskCard))}

    @cached_property
    def methods(self) -> Mapping[str, MethodCard]:
        """All methods by name: built in, single ones of plug-ins, and all :attr:`pairs`."""
        return {card.name: card for card in (*baselines.METHODS, *self._usable(MethodCard), *self.pairs)}

    @cached_property
    def pairs(self) -> tuple[MethodCard, ...]:
        """All pairs of a base model and a sampler of which at least one is of a plug-in."""
        bases, samplers = self._usable(BaseCard), self._usable(SamplerCard)
        return (
            *(MethodCard(base=base, sampler=one) for base in bases for one in (*baselines.SAMPLERS, *samplers)),
            *(MethodCard(base=base, sampler=one) for base in baselines.BASES for one in samplers),
        )

    def users(self, task: str, method: str) -> list[Plugin]:
        """The plug-ins whose cards a run of this method on this task uses."""
        task_card, method_card = self.tasks.get(task), self.methods.get(method)
        return [plugin for plugin in self.plugins if plugin.is_in(task_card, method_card)]

    def new(
        self, cards: Iterable[Card], origin: str, version: str = "", file: PluginFile | None = None
    ) -> list[Plugin]:
        """Those of ``cards`` that are not registered yet, as plug-ins from ``origin``.

        Raises:
            PluginError: One is not a card.
        """
        known: Mapping[type, Iterable[Card]] = {
            TaskCard: self.tasks.values(),
            MethodCard: self.methods.values(),
            BaseCard: (*baselines.BASES, *self._usable(BaseCard)),
            SamplerCard: (*baselines.SAMPLERS, *self._usable(SamplerCard)),
        }
        found = []
        for card in cards:
            kind = next((kind for kind in known if isinstance(card, kind)), None)
            if kind is None:
                raise PluginError(f"A plug-in of {origin} cannot be used: {wrong_kind(card, known)}.")
            if all(card != one for one in known[kind]):
                group = GROUP_OF[kind]
                found.append(Plugin(distribution=origin, version=version, group=group, card=card, file=file))
        return found

    def plus(self, found: Iterable[Plugin]) -> Catalogue:
        """Adds cards; those that are wrong, or whose names are taken, get a fault.

        Of several new cards with one name all are left out, so that nothing depends on the order in which they are
        found. If a pair of a base model and a sampler has the name of a single method, the method is left out.
        """
        found = list(found)

        def of(kind: type[Card]) -> list[Plugin]:
            return [plugin for plugin in found if isinstance(plugin.card, kind)]

        bases = _checked(of(BaseCard), base_fault)
        samplers = _checked(of(SamplerCard), lambda card: sampler_fault(card) or _sampler_name_fault(card.name))
        methods, tasks = _checked(of(MethodCard), method_fault), of(TaskCard)
        rest = [plugin for plugin in found if plugin.card is None]

        bases = _with_unique_names(bases, BUILT_IN_PARTS | self._names(BaseCard))
        samplers = _with_unique_names(samplers, BUILT_IN_PARTS | self._names(SamplerCard))
        parts = self._with_new_pairs([*bases, *samplers])
        crossed = Catalogue((*self.plugins, *parts))
        methods = crossed._checked_methods(methods)
        both = Catalogue((*crossed.plugins, *methods, *rest))
        tasks = both._checked_tasks(tasks, self)
        return Catalogue((*self.plugins, *tasks, *parts, *methods, *rest))

    def _usable(self, kind: type[C]) -> list[C]:
        return [one.card for one in self.plugins if isinstance(one.card, kind) and one.fault is None]

    def _names(self, kind: type[C]) -> dict[str, str]:
        """Who has registered each name of this kind of card, as a clause."""
        of_plugins = (one for one in self.plugins if isinstance(one.card, kind) and one.fault is None)
        return {str(one.name): f"which {one.origin} has registered" for one in of_plugins}

    def _with_new_pairs(self, parts: Sequence[Plugin]) -> list[Plugin]:
        """Sets the fault of base models and samplers that would make a method which is registered already."""
        pairs = Catalogue((*self.plugins, *parts)).pairs

        def fault(plugin: Plugin) -> str | None:
            made = (pair.name for pair in pairs if plugin.is_in(None, pair))
            name = next((name for name in made if name in self.methods), None)
            return plugin.fault if name is None else f"it would make the method {name}, {self._maker(name)}"

        return [replace(plugin, fault=fault(plugin)) for plugin in parts]

    def _checked_methods(self, plugins: Sequence[Plugin]) -> list[Plugin]:
        """Sets the faults of methods, after base models and samplers."""
        taken = {name: self._maker(name) for name in self.methods}
        alone = _with_unique_names([one for one in plugins if one.group == EQUIVARIANT], BUILT_IN_PARTS)
        checked = [*alone, *(one for one in plugins if one.group != EQUIVARIANT)]
        return self._with_unique_digests(_with_unique_names(checked, taken))

    def _maker(self, method: str) -> str:
        makers = [plugin.origin for plugin in self.users("", method)]
        return f"which {' with '.join(makers)} has registered" if makers else BUILT_IN

    def _checked_tasks(self, plugins: Iterable[Plugin], before: Catalogue) -> list[Plugin]:
        """Sets the faults of tasks, after everything that their recipes may name."""
        usable = list(self.methods.values())
        left_out = set(self._left_out())
        names = {*left_out, *(name for card in usable for name in card.names)}
        current = [_under_current_names(plugin, names) for plugin in plugins]
        checked = _checked(current, lambda card: task_fault(card, usable, left_out))
        built_in = {card.name: BUILT_IN for card in BUILT_IN_TASKS}
        return _with_unique_names(checked, built_in | before._names(TaskCard))

    def _left_out(self) -> Iterator[str]:
        """Names of methods, base models and samplers that a recipe may have though they are left out."""
        for plugin in self.plugins:
            if not plugin.fault or plugin.group == TASKS:
                continue
            for name in filter(None, (plugin.entry, plugin.name)):
                yield name
                if isinstance(plugin.card, BaseCard):
                    yield from (f"{name}-{card.name}" for card in (*baselines.SAMPLERS, *self._usable(SamplerCard)))
                if isinstance(plugin.card, SamplerCard):
                    yield from (f"{card.name}-{name}" for card in (*baselines.BASES, *self._usable(BaseCard)))

    def _with_unique_digests(self, plugins: Sequence[Plugin]) -> list[Plugin]:
        """Sets the fault of methods that have the old name and the version of another method."""
        own = [plugin.card for plugin in plugins if not plugin.fault]
        usable = [card for card in (*self.methods.values(), *own) if isinstance(card, MethodCard)]

        def fault(plugin: Plugin) -> str | None:
            card = plugin.card
            if plugin.fault or not isinstance(card, MethodCard):
                return plugin.fault
            same = [one.name for one in usable if renames.same_run(one.name, card.name) and one.version == card.version]
            other = next((name for name in same if name != card.name), None)
            if other is None:
                return None
            why = f"runs of {card.name} and {other}, of which one is an old name of the other, have the same digests"
            return f"{why}: give its card a version other than {card.version}"

        return [replace(plugin, fault=fault(plugin)) for plugin in plugins]


def _sampler_name_fault(name: str) -> str | None:
    """Methods are called ``BASE-SAMPLER``: a dash would make these names ambiguous, an old name their digests."""
    if "-" in name:
        return f"the name of a sampler has no '-', which separates it from that of the base model: not {name}"
    if current := renames.SAMPLERS.get(name):
        return f"it registers the name {name}, which is an old name of {current}"
    return None


def _checked(plugins: Iterable[Plugin], fault_of: Fault) -> list[Plugin]:
    """Guards the functions of the cards and checks them."""
    cards = [(plugin, guarded(plugin.card, plugin.distribution)) for plugin in plugins]
    return [
        plugin if plugin.fault or card is None else replace(plugin, card=card, fault=fault_of(card))
        for plugin, card in cards
    ]


def _under_current_names(plugin: Plugin, methods: Iterable[str]) -> Plugin:
    if not isinstance(plugin.card, TaskCard):
        return plugin
    card, renamed = renames.current_card(plugin.card, frozenset(methods))
    return replace(plugin, card=card, renamed=renamed)


def _with_unique_names(plugins: Sequence[Plugin], taken: Mapping[str, str]) -> list[Plugin]:
    """Sets the fault of plug-ins that register a name that is taken, or the same name as another of them."""
    counts = Counter(plugin.name for plugin in plugins if not plugin.fault)

    def fault(plugin: Plugin) -> str | None:
        if plugin.fault or plugin.name is None:
            return plugin.fault
        if plugin.name in taken:
            return f"it registers the name {plugin.name}, {taken[plugin.name]}"
        if counts[plugin.name] > 1:
            others = [one.origin for one in plugins if one.name == plugin.name and one is not plugin and not one.fault]
            return f"the name {plugin.name} is registered twice, also by {'; '.join(others)}: uninstall one of them"
        return None

    return [replace(plugin, fault=fault(plugin)) for plugin in plugins]
