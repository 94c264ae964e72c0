"""The cards that installed packages register by entry point, before they are checked (no torch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

from baselines.cards import BaseCard, MethodCard
from harness.plugins.card_functions import error_summary
from harness.plugins.card_mistakes import card_mistake
from harness.plugins.plugin import EQUIVARIANT, GROUPS, UNREADABLE, Plugin, wrong_kind


def entry_points() -> list[Plugin]:
    """Returns every card of installed packages; a :attr:`Plugin.fault` says why one could not be loaded.

    They are sorted by package and entry point, so that nothing depends on the order in which Python finds packages.
    """
    found = (plugin for distribution in _installed() for plugin in _registered(distribution))
    return sorted(found, key=lambda one: (one.distribution, one.version, one.group, one.entry, one.value))


def _installed() -> Iterator[Distribution]:
    """Distributions that register cards. Of two with one name, the first on ``sys.path`` is taken.

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
    return any(group in text for group in GROUPS)


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
        points = [point for point in distribution.entry_points if point.group in GROUPS]
    except Exception as error:  # one malformed line makes the whole file unreadable
        fault = f"entry_points.txt of {name} cannot be read ({error_summary(error)})"
        yield Plugin(distribution=name, version=version, group=UNREADABLE, entry="?", value="?", fault=fault)
        return
    for point in dict.fromkeys(points):
        plugin = Plugin(distribution=name, version=version, group=point.group, entry=point.name, value=point.value)
        yield from _loaded(plugin, point)


def _loaded(plugin: Plugin, point: EntryPoint) -> Iterator[Plugin]:
    try:
        found = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an import may raise any error, also SystemExit
        yield replace(plugin, fault=f"it cannot be imported ({card_mistake(error) or error_summary(error)})")
        return
    if not isinstance(found, list | tuple):
        yield _with_card(plugin, found)
    elif not found:
        yield replace(plugin, fault="it is an empty list: it should have one card or more")
    else:
        yield from (_with_card(replace(plugin, item=item), card) for item, card in enumerate(found, start=1))


def _with_card(plugin: Plugin, card: Any) -> Plugin:
    """Returns the plug-in with this card, or with a fault if its group has other cards."""
    kinds = GROUPS[plugin.group]
    if not isinstance(card, kinds):
        return replace(plugin, fault=wrong_kind(card, kinds))
    if plugin.group == EQUIVARIANT and isinstance(card, BaseCard):
        return replace(plugin, card=MethodCard(base=card))
    return replace(plugin, card=card)
