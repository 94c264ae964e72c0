"""All tasks and methods: the built-in ones and those of plug-ins (no torch).

An installed package adds a card, or a list of cards, under one of the entry point groups
:data:`~harness.plugins.plugin.GROUPS`; nothing in the harness changes. A card that cannot be used is left out with a
warning. In a running process :func:`add` and :func:`temporarily` add cards; one that cannot be used is an error there.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness import renames
from harness.errors import DoesNotFit, MissingExtra, PluginError, SettingsError, UnknownName
from harness.parameters import canonical_params, check_values, normal, overlay, typed, with_choices
from harness.spec import RunSpec
from harness.utils.text import nearest
from tasks import extras
from tasks.cards import Recipe, TaskCard
from tasks.protocol import Protocol
from tasks.settings import as_params
from tasks.symmetry.names import space_of

if TYPE_CHECKING:
    from harness.plugins.catalogue import Catalogue
    from harness.plugins.plugin import Card, Plugin
    from harness.plugins.plugin_file import PluginFile

Params = Mapping[str, Any]

_log = logging.getLogger(__name__)


class Uncovered(DoesNotFit):
    """Raised if a sampler does not cover the symmetry of a task with these parameters: the pair does not fit."""


@cache
def _current() -> list[Catalogue]:
    """A list of one catalogue, which :func:`add` replaces; at first it has the plug-ins that are installed."""
    from harness.plugins.catalogue import Catalogue
    from harness.plugins.discovery import entry_points

    return [Catalogue().plus(entry_points())]


@cache
def _warn_of_installed() -> None:
    """Logs each warning about installed plug-ins once in a process, before others are added."""
    _warn(plugins())


def _warn(plugins: Iterable[Plugin]) -> None:
    for plugin in plugins:
        if plugin.warning:
            _log.warning("%s", plugin.warning)


def plugins() -> tuple[Plugin, ...]:
    """All cards of plug-ins, also those that are left out."""
    return _current()[0].plugins


def tasks() -> Mapping[str, TaskCard]:
    """All registered tasks by name."""
    _warn_of_installed()
    return _current()[0].tasks


def methods() -> Mapping[str, MethodCard]:
    """All registered methods by name."""
    _warn_of_installed()
    return _current()[0].methods


def add(*cards: Card, origin: str, version: str = "") -> None:
    """Registers cards in this process as an installed package would. Worker processes do not get them.

    A :class:`BaseCard` and a :class:`SamplerCard` are crossed with all others; a network that is equivariant by
    construction is given as ``MethodCard(base=card)``. A card that is registered already is skipped.

    Args:
        cards: All of them are registered, or none if one is wrong.
        origin: Where they come from, for messages and records.
        version: The version of the origin, for messages and records.

    Raises:
        PluginError: A card is wrong, or another card has its name.
    """
    _add(cards, origin, version)


def add_plugin(path: Path | str) -> None:
    """Registers the cards at the top level of a Python file, as :func:`add` does. Workers of a launch get the file.

    Args:
        path: A file whose name ends in ``.py``. The modules that it imports have to be installed.

    Raises:
        PluginError: The file cannot be read or imported, has no card or a wrong one, or a name is taken.
    """
    from harness.plugins.plugin_file import read_file

    add_files([read_file(path)])


def add_files(added: Iterable[PluginFile]) -> None:
    """:func:`add_plugin` for files that have been read. One that is registered already is skipped."""
    from harness.plugins.file_cards import cards_of

    for file in added:
        same_name = next((one for one in files() if one.name == file.name), None)
        if same_name is None:
            _add(cards_of(file).values(), file.name, file.version, file)
        elif same_name.digest != file.digest:
            both = f"{same_name.path} and {file.path}"
            raise PluginError(f"Two different plug-in files are called {file.name}, {both}: rename or leave out one.")


def _add(cards: Iterable[Card], origin: str, version: str, file: PluginFile | None = None) -> None:
    _warn_of_installed()
    before = _current()[0]
    after = before.plus(before.new(cards, origin, version, file))
    new = after.plugins[len(before.plugins) :]
    for plugin in new:
        if plugin.fault:
            raise PluginError(f"The card '{plugin.name}' of {plugin.origin} cannot be used: {plugin.fault}.")
    _warn(new)
    _current()[0] = after


def files() -> tuple[PluginFile, ...]:
    """The plug-in files whose cards are registered."""
    return tuple(dict.fromkeys(plugin.file for plugin in plugins() if plugin.file))


def files_of(specs: Iterable[RunSpec]) -> tuple[PluginFile, ...]:
    """The plug-in files whose cards these runs use."""
    return tuple(dict.fromkeys(plugin.file for plugin in plugins_of(specs) if plugin.file))


@contextmanager
def temporarily(*cards: Card, origin: str, version: str = "") -> Iterator[None]:
    """Registers cards as :func:`add` does. At the end of the block the registry is what it was before."""
    before = _current()[0]
    add(*cards, origin=origin, version=version)
    try:
        yield
    finally:
        _current()[0] = before


def plugins_of(specs: Iterable[RunSpec]) -> list[Plugin]:
    """The plug-ins whose cards these runs use: a task, a single method, or a base model and a sampler."""
    catalogue, pairs = _current()[0], {(spec.task, spec.method) for spec in specs}
    used = [plugin for pair in pairs for plugin in catalogue.users(*pair)]
    return [plugin for plugin in catalogue.plugins if any(plugin is one for one in used)]


def packages_of(task: str = "", method: str = "") -> list[str]:
    """The packages whose cards make a task or a method, with their versions; none if it is built in."""
    users = _current()[0].users(task, method)
    return list(dict.fromkeys(plugin.package for plugin in users))


def check_implementations(specs: Iterable[RunSpec]) -> None:
    """Imports the implementations of the plug-ins that these runs use.

    Raises :class:`PluginError` for the first one that cannot be built, before a run fails on it.
    """
    from harness.plugins.construction import construction_fault

    for plugin in plugins_of(specs):
        if plugin.card is not None and (why := construction_fault(plugin.card)):
            raise PluginError(f"The plug-in {plugin.origin} cannot be used: {why}.")


def check_extras(specs: Iterable[RunSpec]) -> None:
    """Raises :class:`MissingExtra` for the first task or method of these runs whose extra is not installed."""
    cards = {name: card for spec in specs for name, card in _parts(spec)}
    for what, card in cards.items():
        if card.extra and extras.missing(card.extra):
            raise MissingExtra(extras.sentence(what, card.extra))


def _parts(spec: RunSpec) -> Iterator[tuple[str, TaskCard | BaseCard]]:
    yield f"The task {spec.task}", task(spec.task)
    yield f"The method {spec.method}", method(spec.method).base


def suggestion(name: str, kind: Literal["task", "method"]) -> str:
    """Returns why the plug-in of an unregistered name is left out or, if there is none, the nearest name.

    The name that a plug-in registers is unknown if it cannot be imported, so the reasons of all of these are added.
    """
    known: Iterable[str] = tasks() if kind == "task" else methods()
    left_out = [plugin for plugin in plugins() if plugin.fault and plugin.may_give(kind)]
    matching = [plugin for plugin in left_out if plugin.may_be(name)]
    if matching:
        return " ".join(plugin.warning for plugin in matching).removesuffix(".")
    nameless = " ".join(plugin.warning for plugin in left_out if plugin.name is None)
    return f"{nearest(name, known)} {nameless}".strip().removesuffix(".")


def task(name: str) -> TaskCard:
    """The task of that name. Raises :class:`UnknownName` if it is not registered."""
    if name not in tasks():
        raise UnknownName(f"There is no task '{name}': {suggestion(name, 'task')}")
    return tasks()[name]


def is_method(name: str) -> bool:
    """Whether a method of that name is registered."""
    return name in methods()


def method(name: str) -> MethodCard:
    """The method of that name. Raises :class:`UnknownName` if it is not registered.

    A name of an earlier version is replaced with a warning.
    """
    name = renamed_methods([name]).get(name, name)
    if name not in methods():
        raise UnknownName(f"There is no method '{name}': {suggestion(name, 'method')}")
    return methods()[name]


def renamed_methods(patterns: Iterable[str], warned: Collection[str] = ()) -> Mapping[str, str]:
    """Maps names and globs of earlier versions to current ones: those of ``patterns`` that match no registered method.

    Logs one warning for those that are not in ``warned``.
    """
    found = renames.replaced(patterns, methods())
    if fresh := {old: new for old, new in found.items() if old not in warned}:
        _log.warning("%s", renames.warning(fresh))
    return found


def resolve(
    task_name: str,
    method_name: str,
    protocol: str,
    seed: int,
    *,
    task_params: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
    sampler: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunSpec:
    """Resolves a run: card defaults, then the task's recipes, then the caller's values.

    Does not check whether the method fits the task; see :meth:`MethodCard.misfit`.

    Args:
        task_name: A registered task.
        method_name: A registered method.
        protocol: A protocol of the task.
        seed: The seed of all random numbers of the run.
        task_params: Parameters of the task that differ from the defaults.
        base: Parameters of the base model that differ from the defaults.
        sampler: Parameters of the sampler that differ from the defaults.
        settings: Settings of training that differ from the protocol.

    Returns:
        The run with every setting written out.

    Raises:
        UnknownName: There is no such name.
        SettingsError: A value is not accepted.

    Example:
        >>> spec = resolve("nbody", "egnn", "quick", seed=0, settings={"epochs": 3})
        >>> spec.settings.epochs, spec.task_params["nodes"]
        (3, 5)
        >>> spec.digest == resolve("nbody", "egnn", "quick", seed=1, settings={"epochs": 3}).digest
        False
        >>> resolve("nbody", "egn", "quick", seed=0)
        Traceback (most recent call last):
        harness.errors.UnknownName: There is no method 'egn': did you mean 'egnn'?
    """
    task_card, method_card = task(task_name), method(method_name)
    if protocol not in task_card.protocols:
        hint = nearest(protocol, task_card.protocols)
        raise UnknownName(f"The task '{task_name}' has no protocol '{protocol}': {hint}")
    params, seen = resolved_task(task_card, task_params or {}), method_card.view(task_card)
    recipes = [recipe for recipe in task_card.recipes if recipe.applies(method_card.names, protocol)]
    return RunSpec(
        task=task_card.name,
        task_version=task_card.version,
        task_params=params,
        method=method_card.name,
        method_version=method_card.version,
        base=_resolved_base(method_card.base, seen, recipes, base or {}),
        sampler=_resolved_sampler(method_card, task_card, params, recipes, sampler or {}),
        seed=seed,
        protocol=protocol,
        settings=_settings(task_card.protocols[protocol], *(recipe.settings for recipe in recipes), settings or {}),
    )


def resolved_task(card: TaskCard, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all parameters of a task in their normal form.

    Raises :class:`UnknownName` or :class:`SettingsError` for names and values that are not accepted.
    """
    changed = overlay("task_params", card.params, chosen)
    check_values("task_params", card, changed)
    settings = card.resolve(typed(card, normal(card, changed)))
    if reason := card.check(settings):
        raise SettingsError(f"The task_params settings of '{card.name}' do not work: {reason}.")
    return as_params(settings)


def _resolved_base(
    card: BaseCard, task_card: TaskCard, recipes: Sequence[Recipe], chosen: Mapping[str, Any]
) -> Mapping[str, Any]:
    usual = normal(card, overlay("base", card.params, *(recipe.base for recipe in recipes)))
    params = overlay("base", usual, chosen)
    check_values("base", card, params)
    params = canonical_params(card, normal(card, params), usual, task_card)
    settings = _checked("base", card, params, task_card)
    return as_params(card.resolve(settings))


def _resolved_sampler(
    method_card: MethodCard,
    task_card: TaskCard,
    task_params: Mapping[str, Any],
    recipes: Sequence[Recipe],
    chosen: Mapping[str, Any],
) -> Mapping[str, Any]:
    card = method_card.sampler
    if card is None and chosen:
        raise SettingsError(f"The method '{method_card.name}' has no sampler, so it takes no sampler settings.")
    if card is None:
        return {}
    own, task_card = method_card.symmetrized_group(task_card, task_params), method_card.view(task_card)
    usual = overlay("sampler", card.params, *(_known(recipe.sampler, card.params) for recipe in recipes))
    params = overlay("sampler", usual, chosen)
    check_values("sampler", card, params)
    usual, params = (with_choices(normal(card, some), card, task_card) for some in (usual, params))
    _checked("sampler", card, params, task_card)
    if "group" in params:
        params["group"] = _other_group(params["group"], own)
        _check_group(card, params, own, task_card, task_params)
    return canonical_params(card, params, usual, task_card)


def _known(params: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name in known}


def _checked(section: str, card: BaseCard | SamplerCard, params: Params, task_card: TaskCard) -> Any:
    """The typed settings for these parameters. Raises :class:`SettingsError` if they do not work together."""
    settings = typed(card, params)
    if reason := card.check(settings, task_card):
        raise SettingsError(f"The {section} settings of '{card.name}' do not work: {reason}.")
    return settings


def _other_group(group: Sequence[str] | None, own: Sequence[str]) -> list[str] | None:
    """None if the group is the one that is symmetrized over by default."""
    return None if not group or set(group) == set(own) else list(group)


def _check_group(
    sampler: SamplerCard, params: Mapping[str, Any], own: Sequence[str], task_card: TaskCard, task_params: Params
) -> None:
    group, nodes = params["group"] or own, task_card.max_nodes_of(task_params)
    reason = sampler.too_large(typed(sampler, params), group, nodes)
    if params["group"]:
        reason = sampler.misfit(group, task_card) or _another_space(group, task_card.group_of(task_params)) or reason
    if reason:
        if not params["group"]:
            raise Uncovered(f"{sampler.name} does not cover {task_card.name}: {reason}")
        what = f"The group of '{sampler.name}' does not work on the task '{task_card.name}'"
        raise SettingsError(f"{what}: {reason}.")


def _another_space(group: Sequence[str], symmetry: Sequence[str]) -> str | None:
    """Why a group cannot act on the points of a task with this symmetry; None if it can or the dimension is unknown."""
    dimensions = [space_of(name) for name in symmetry if space_of(name)]
    for name in group:
        if dimensions and space_of(name) not in (0, *dimensions):
            where = f"R^{space_of(name)}, and points and vectors are in R^{dimensions[0]}"
            return f"{name} acts on {where}: take a group of that dimension"
    return None


def _settings(published: Protocol, *layers: Mapping[str, Any]) -> Protocol:
    try:
        settings = Protocol(**overlay("protocol", vars(published), *layers))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"These protocol settings do not work: {error}.") from error
    return settings
