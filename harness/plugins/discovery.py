"""Tasks and methods that other packages register by entry point, and why some of them are left out (no torch).

An entry point that cannot be used is left out, and its plug-in keeps the reason. All others remain usable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

from baselines.cards import MethodCard
from harness.plugins.card_checks import method_fault, task_fault
from harness.plugins.card_functions import error_summary, guarded
from harness.renames import current_card, same_run, warning
from tasks.cards import Implementation, TaskCard

Card = TaskCard | MethodCard

TASKS, METHODS = "symbench.tasks", "symbench.methods"
KINDS: Mapping[str, type[TaskCard] | type[MethodCard]] = {TASKS: TaskCard, METHODS: MethodCard}


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One entry point.

    ``fault`` is the reason why it is left out, as a clause, or None. ``card`` is None if it could not be loaded; an
    entry point that is left out may have a card. ``renamed`` maps old names on the card to current ones.
    """

    distribution: str
    version: str
    group: str
    entry: str
    value: str
    card: Card | None = None
    fault: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Its distribution and its entry point as text."""
        return f"{self.distribution} {self.version}, entry point {self.entry} = {self.value} ({self.group})"

    @property
    def warning(self) -> str:
        """The message if it is left out or has names of an earlier version; empty otherwise."""
        if self.fault:
            return f"The plug-in {self.origin} is left out: {self.fault}."
        return f"The plug-in {self.origin}: {warning(self.renamed)}" if self.renamed else ""

    @property
    def name(self) -> str | None:
        """The name that it registers, or None if it is unknown."""
        name = getattr(self.card, "name", None)
        return name if isinstance(name, str) else None

    @property
    def implementations(self) -> list[Implementation]:
        """The implementations of its card."""
        match self.card:
            case TaskCard():
                return [self.card.implementation]
            case MethodCard():
                return [part.implementation for part in (self.card.base, self.card.sampler) if part]
            case _:
                return []


def discover(tasks: Sequence[TaskCard], methods: Sequence[MethodCard]) -> tuple[Plugin, ...]:
    """Returns every entry point of installed packages, checked together with the built-in ``tasks`` and ``methods``.

    Raises no error if an entry point cannot be used; see :attr:`Plugin.fault`.
    """
    found = [plugin for distribution in _installed() for plugin in _registered(distribution)]
    of_methods = [plugin for plugin in found if plugin.group == METHODS]
    others = [plugin for plugin in found if plugin.group != METHODS]
    of_methods = _with_unique_names([_checked(plugin, method_fault) for plugin in of_methods], methods)
    of_methods = _with_unique_digests(of_methods, methods)
    usable = [*methods, *(plugin.card for plugin in of_methods if isinstance(plugin.card, MethodCard))]
    left_out = [name for plugin in of_methods if plugin.fault for name in (plugin.entry, plugin.name) if name]
    names = {*left_out, *(name for card in usable for name in card.names)}
    others = [_under_current_names(plugin, names) for plugin in others]

    def fault(card: Any) -> str | None:
        return task_fault(card, usable, left_out)

    return (*_with_unique_names([_checked(plugin, fault) for plugin in others], tasks), *of_methods)


def _installed() -> Iterator[Distribution]:
    """Distributions that register tasks or methods. Of two with one name, the first on ``sys.path`` is taken.

    A folder may be on that path twice.
    """
    seen: set[tuple[str, Path]] = set()
    for distribution in filter(_mentions_symbench, metadata.distributions()):
        name = _metadata_value(distribution, "Name")
        known = name, _place(distribution)
        if not (_is_shadowed(name, known[1]) or known in seen):
            seen.add(known)
            yield distribution


def _mentions_symbench(distribution: Distribution) -> bool:
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except Exception:  # not readable: _registered reports it
        return True
    return any(group in text for group in KINDS)


def _is_shadowed(name: str, place: Path) -> bool:
    try:
        return _place(metadata.distribution(name)) != place
    except metadata.PackageNotFoundError:  # the name is missing or differs from that of the folder
        return False


def _place(distribution: Distribution) -> Path:
    return Path(str(distribution.locate_file(""))).resolve()


def _metadata_value(distribution: Distribution, key: str) -> str:
    try:
        return distribution.metadata[key] or f"(no {key.lower()})"
    except Exception:  # damaged metadata may raise any error
        return f"(no {key.lower()})"


def _registered(distribution: Distribution) -> Iterator[Plugin]:
    name, version = _metadata_value(distribution, "Name"), _metadata_value(distribution, "Version")
    try:
        points = [point for point in distribution.entry_points if point.group in KINDS]
    except Exception as error:  # one malformed line makes the whole file unreadable
        fault = f"entry_points.txt of {name} cannot be read ({error_summary(error)})"
        yield Plugin(distribution=name, version=version, group="symbench.*", entry="?", value="?", fault=fault)
        return
    for point in dict.fromkeys(points):
        plugin = Plugin(distribution=name, version=version, group=point.group, entry=point.name, value=point.value)
        yield _loaded(plugin, point)


def _loaded(plugin: Plugin, point: EntryPoint) -> Plugin:
    try:
        card = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an import may raise any error, also SystemExit
        return replace(plugin, fault=f"it cannot be imported ({error_summary(error)})")
    kind = KINDS[plugin.group]
    if not isinstance(card, kind):
        return replace(plugin, fault=f"it is not a {kind.__name__} but of the type {type(card).__name__}")
    return replace(plugin, card=card)


def _checked(plugin: Plugin, fault_of: Callable[[Any], str | None]) -> Plugin:
    """Guards the functions of the card and checks it."""
    if plugin.card is None:
        return plugin
    card = guarded(plugin.card, plugin.distribution)
    return replace(plugin, card=card, fault=fault_of(card))


def _under_current_names(plugin: Plugin, methods: Collection[str]) -> Plugin:
    if not isinstance(plugin.card, TaskCard):
        return plugin
    card, renamed = current_card(plugin.card, methods)
    return replace(plugin, card=card, renamed=renamed)


def _with_unique_digests(plugins: Sequence[Plugin], built_in: Sequence[MethodCard]) -> list[Plugin]:
    """Sets the fault of methods that have the old name and the version of another method."""
    own = [plugin.card for plugin in plugins if not plugin.fault]
    usable = [card for card in (*built_in, *own) if isinstance(card, MethodCard)]

    def fault(plugin: Plugin) -> str | None:
        card = plugin.card
        if plugin.fault or not isinstance(card, MethodCard):
            return plugin.fault
        same = [one.name for one in usable if same_run(one.name, card.name) and one.version == card.version]
        other = next((name for name in same if name != card.name), None)
        if other is None:
            return None
        why = f"runs of {card.name} and {other}, of which one is an old name of the other, have the same digests"
        return f"{why}: give its card a version other than {card.version}"

    return [replace(plugin, fault=fault(plugin)) for plugin in plugins]


def _with_unique_names(plugins: Sequence[Plugin], built_in: Iterable[Card]) -> list[Plugin]:
    """Sets the fault of plug-ins that register a built-in name or the same name as another plug-in.

    Both of two such plug-ins are left out: results must not depend on the order in which Python finds them.
    """
    taken = {card.name for card in built_in}
    counts = Counter(plugin.name for plugin in plugins if not plugin.fault)

    def fault(plugin: Plugin) -> str | None:
        if plugin.fault or plugin.name is None:
            return plugin.fault
        if plugin.name in taken:
            return f"it registers the name {plugin.name}, which is built in"
        if counts[plugin.name] > 1:
            others = [one.origin for one in plugins if one.name == plugin.name and one != plugin and not one.fault]
            return f"the name {plugin.name} is registered twice, also by {'; '.join(others)}: uninstall one of them"
        return None

    return [replace(plugin, fault=fault(plugin)) for plugin in plugins]
