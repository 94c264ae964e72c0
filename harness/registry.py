"""Every task and method there is: the built-in ones and those that other packages register by entry point (no torch).

An installed package adds a :class:`~tasks.cards.TaskCard` under the entry point group ``symbench.tasks`` and a
:class:`~baselines.cards.MethodCard` under ``symbench.methods``; nothing in the harness changes.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness.errors import SymbenchError
from harness.spec import RunSpec
from tasks.cards import TaskCard
from tasks.protocol import Protocol


@cache
def tasks() -> Mapping[str, TaskCard]:
    """All registered tasks by name."""
    from tasks.catalogue import TASKS

    return _by_name([*TASKS, *_plugins("symbench.tasks", TaskCard)])


@cache
def methods() -> Mapping[str, MethodCard]:
    """All registered methods by name."""
    from baselines.catalogue import METHODS

    return _by_name([*METHODS, *_plugins("symbench.methods", MethodCard)])


def _plugins(group: str, kind: type) -> list[Any]:
    cards = [(point, point.load()) for point in entry_points(group=group)]
    for point, card in cards:
        if not isinstance(card, kind):
            raise SymbenchError(
                f"The entry point {point.name} = {point.value} ({group}) is no {kind.__name__}: "
                "correct or uninstall its package."
            )
    return [card for _, card in cards]


def _by_name(cards: Iterable[Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for card in cards:
        if card.name in found:
            raise SymbenchError(f"Two packages register the name {card.name}: uninstall one of them.")
        found[card.name] = card
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` where a known name is close, else the known names."""
    by_letters = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_letters, n=1, cutoff=0.5)
    return f"did you mean '{by_letters[close[0]]}'?" if close else f"known: {', '.join(by_letters.values())}"


def task(name: str) -> TaskCard:
    """The task of that name, or a :class:`SymbenchError` that names the nearest one."""
    if name not in tasks():
        raise SymbenchError(f"There is no task '{name}': {nearest(name, tasks())}")
    return tasks()[name]


def method(name: str) -> MethodCard:
    """The method of that name, or a :class:`SymbenchError` that names the nearest one."""
    if name not in methods():
        raise SymbenchError(f"There is no method '{name}': {nearest(name, methods())}")
    return methods()[name]


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
    """The run with every setting written out: card defaults, then the task's recipes, then what the caller asks for.

    Raises :class:`SymbenchError` for an unknown name. Does not ask whether the pair fits
    (:meth:`MethodCard.misfit` does).
    """
    task_card, method_card = task(task_name), method(method_name)
    if protocol not in task_card.protocols:
        raise SymbenchError(
            f"The task '{task_name}' has no protocol '{protocol}': {nearest(protocol, task_card.protocols)}"
        )
    changed = _overlay("task_params", task_card.params, task_params or {})
    _check_values("task_params", task_card, changed)
    recipes = [recipe for recipe in task_card.recipes if recipe.applies(method_card.names, protocol)]
    method_base = _overlay("base", method_card.base.params, *(recipe.base for recipe in recipes), base or {})
    _check_values("base", method_card.base, method_base)
    _check_together("base", method_card.base, method_base, task_card)
    method_sampler: Mapping[str, Any] = {}
    if method_card.sampler is not None:
        layers = [_known(recipe.sampler, method_card.sampler.params) for recipe in recipes]
        method_sampler = _overlay("sampler", method_card.sampler.params, *layers, sampler or {})
        _check_values("sampler", method_card.sampler, method_sampler)
        method_sampler = _chosen(method_sampler, method_card.sampler, task_card)
        _check_together("sampler", method_card.sampler, method_sampler, task_card)
    elif sampler:
        raise SymbenchError(f"The method '{method_name}' has no sampler, so it takes no sampler settings.")
    return RunSpec(
        task=task_card.name,
        task_version=task_card.version,
        task_params=task_card.resolve(changed),
        method=method_card.name,
        method_version=method_card.version,
        base=method_card.base.resolve(method_base),
        sampler=method_sampler,
        seed=seed,
        protocol=protocol,
        settings=_settings(task_card.protocols[protocol], *(recipe.settings for recipe in recipes), settings or {}),
    )


def _known(params: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name in known}


def _overlay(what: str, defaults: Mapping[str, Any], *layers: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for layer in layers:
        for name in layer:
            if name not in merged:
                raise SymbenchError(f"There is no {what} setting '{name}': {nearest(name, merged)}")
        merged |= layer
    return merged


def _check_values(section: str, card: TaskCard | BaseCard | SamplerCard, params: Mapping[str, Any]) -> None:
    for name, value in params.items():
        if reason := unfit(name, value, card):
            raise SymbenchError(f"The {section} setting '{name}' of '{card.name}' {reason}, not {value!r}.")


def _check_together(section: str, card: BaseCard | SamplerCard, params: Mapping[str, Any], task_card: TaskCard) -> None:
    if reason := card.check(params, task_card):
        raise SymbenchError(f"The {section} settings of '{card.name}' do not work: {reason}.")


def unfit(name: str, value: Any, card: TaskCard | BaseCard | SamplerCard) -> str | None:
    """What the value of a parameter of ``card`` should be; ``None`` where it is that."""
    default, limit = card.params[name], card.limits.get(name)
    if value == default and type(value) is type(default):
        return None
    if not _alike(value, default):
        return f"should be like {default!r}"
    return None if limit is None or limit.accepts(value) else f"should be {limit}"


def _alike(value: Any, default: Any) -> bool:
    """Whether a value is of the kind of ``default``, and can be written as JSON (dates and NaN cannot).

    What is positive by default is a size, a count or a scale, and never negative.
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    if default is None:
        return True
    if isinstance(default, int | float) and default > 0 and type(value) in (int, float) and value < 0:
        return False
    if isinstance(default, float):
        return type(value) in (int, float)
    return isinstance(value, (list, tuple)) if isinstance(default, (list, tuple)) else type(value) is type(default)


def _chosen(params: Mapping[str, Any], sampler: SamplerCard, task_card: TaskCard) -> dict[str, Any]:
    """The parameters with the usual choice written out where none is made."""
    chosen = dict(params)
    for name, names in sampler.choices.items():
        allowed = names(task_card)
        chosen[name] = allowed[0] if params[name] is None else params[name]
        if chosen[name] not in allowed:
            raise SymbenchError(
                f"The sampler '{sampler.name}' has no {name} '{chosen[name]}' on the task '{task_card.name}': "
                f"{nearest(str(chosen[name]), allowed)}"
            )
    group = chosen.get("group")
    if group and (reason := sampler.misfit(group, task_card)):
        raise SymbenchError(f"The sampler '{sampler.name}' does not cover the task '{task_card.name}': {reason}")
    return chosen


def _settings(published: Protocol, *layers: Mapping[str, Any]) -> Protocol:
    try:
        settings = Protocol(**_overlay("protocol", asdict(published), *layers))
    except (TypeError, ValueError) as error:
        raise SymbenchError(f"These protocol settings do not work: {error}.") from error
    if settings.drop_last and settings.train_size is not None and settings.train_size < settings.batch_size:
        raise SymbenchError(
            f"These protocol settings do not work: drop_last leaves no batch of {settings.batch_size} among "
            f"{settings.train_size} training examples."
        )
    return settings
