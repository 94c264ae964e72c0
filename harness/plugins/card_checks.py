"""Checks every field of the card of a task or a method, without importing its implementation (no torch)."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, fields
from itertools import chain
from typing import Any

from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness.errors import PluginError, SymbenchError
from harness.parameters import unfit
from harness.plugins.card_fields import BASE_FIELDS, SAMPLER_FIELDS, TASK_FIELDS, Check
from harness.plugins.card_functions import plain
from harness.utils.text import nearest
from tasks.cards import Recipe, TaskCard
from tasks.protocol import Protocol

SETTINGS = tuple(field.name for field in fields(Protocol))


def task_fault(card: TaskCard, methods: Sequence[MethodCard], left_out: Iterable[str] = ()) -> str | None:
    """Returns the first error of the card as a clause, or None if it is valid.

    Recipes may name any of ``methods``. They may also name a method that is ``left_out``, which is not checked.
    """
    return (
        _fields_fault("task", card, TASK_FIELDS)
        or _optional_fault(card)
        or _values_fault("task", card)
        or (None if card.reads_data else _task_functions_fault(card))
        or _recipes_fault(card, methods, frozenset(left_out))
    )


def _task_functions_fault(card: TaskCard) -> str | None:
    return (
        _functions_fault(lambda: (card.group_of(card.params), card.max_nodes_of(card.params)))
        or _functions_fault(lambda: (card.variant_of(card.params), card.resolve(card.settings())))
        or _functions_fault(lambda: (card.size_of(card.params), card.examples(card.settings())))
        or _functions_fault(lambda: _defaults_work(card))
    )


def method_fault(card: MethodCard) -> str | None:
    """Returns the first error of the card as a clause, or None if it is valid."""
    parts: dict[str, Any] = {"base": card.base, "sampler": card.sampler}
    if not isinstance(parts["base"], BaseCard):
        return f"the 'base' of its card should be a BaseCard, not {reprlib.repr(card.base)}"
    if not isinstance(parts["sampler"], SamplerCard | None):
        return f"the 'sampler' of its card should be a SamplerCard or None, not {reprlib.repr(card.sampler)}"
    fault = base_fault(card.base) or (sampler_fault(card.sampler) if card.sampler else None)
    if fault is None and card.sampler is None and not card.base.respects:
        return "the 'respects' of its card should name the groups that it respects, such as frozenset({'S_n'})"
    return fault


def base_fault(base: BaseCard) -> str | None:
    """Returns the first error of the card as a clause, or None if it is valid."""
    fault = (
        _fields_fault("base model", base, BASE_FIELDS)
        or _values_fault("base model", base)
        or _functions_fault(lambda: base.weights(base.resolve(base.settings())))
    )
    if fault is None and not base.needs <= base.reads:
        fault = f"the base model needs {', '.join(sorted(base.needs - base.reads))}, which it does not read"
    return fault


def sampler_fault(sampler: SamplerCard) -> str | None:
    """Returns the first error of the card as a clause, or None if it is valid."""
    return _fields_fault("sampler", sampler, SAMPLER_FIELDS) or _values_fault("sampler", sampler)


def _optional_fault(card: TaskCard) -> str | None:
    others = ", ".join(sorted(card.optional - card.inputs))
    return f"the 'optional' of its task card holds {others}, which its 'inputs' do not have" if others else None


def _fields_fault(what: str, card: Any, table: Mapping[str, Check]) -> str | None:
    for name, check in table.items():
        if complaint := check(getattr(card, name)):
            return f"the '{name}' of its {what} card {complaint}"
    return None


def _values_fault(what: str, card: TaskCard | BaseCard | SamplerCard) -> str | None:
    """Finds limits, choices and meanings of unknown parameters, and defaults other than None outside their limits."""
    for field in ("limits", "choices", "meanings"):
        for name in sorted(getattr(card, field, {}).keys() - card.params.keys()):
            hint = _near(name, card.params)
            return f"its {what} card has {field} for '{name}', which is not one of its parameters: {hint}"
    for name, limit in card.limits.items():
        default = card.params.get(name)
        if default is not None and not _accepted(limit, default):
            return f"the default {default!r} of '{name}' on its {what} card should be {limit}"
    return None


def _accepted(limit: Any, value: Any) -> bool:
    try:
        return limit.wrong(value) is None
    except Exception:  # limits of other packages may raise any error
        return False


def _functions_fault(call: Callable[[], Any]) -> str | None:
    """Calls functions of a card with its default parameters; returns their error as a clause."""
    try:
        call()
    except SymbenchError as error:
        sentence = str(error).rstrip(".")
        return sentence[:1].lower() + sentence[1:]
    return None


def _defaults_work(card: TaskCard) -> None:
    if complaint := card.check(card.settings()):
        raise PluginError(f"The default parameters of its task card do not work: {complaint}.")


# Recipes


def _recipes_fault(card: TaskCard, methods: Sequence[MethodCard], left_out: Set[str]) -> str | None:
    for number, recipe in enumerate(card.recipes, start=1):
        if complaint := _recipe_complaint(card, recipe, methods, left_out):
            return f"recipe {number} of its task card {complaint}"
    return None


def _recipe_complaint(card: TaskCard, recipe: Any, methods: Sequence[MethodCard], left_out: Set[str]) -> str | None:
    if not isinstance(recipe, Recipe):
        return f"should be a Recipe, not {reprlib.repr(recipe)}"
    sections = {"base": recipe.base, "sampler": recipe.sampler, "settings": recipe.settings}
    for section, values in sections.items():
        if wanted := plain(values):
            return f"should have as '{section}' {wanted}, not {reprlib.repr(values)}"
    names = ["*", *dict.fromkeys(chain.from_iterable(sorted(method.names) for method in methods))]
    if not isinstance(recipe.method, str) or recipe.method not in {*names, *left_out}:
        return f"names the method {recipe.method!r}, which does not exist: {_near(recipe.method, names)}"
    if recipe.protocol != "*" and recipe.protocol not in card.protocols:
        hint = _near(recipe.protocol, card.protocols)
        return f"names the protocol {recipe.protocol!r}, which the task does not have: {hint}"
    selected = [method for method in methods if recipe.method in ("*", *method.names)]
    everywhere = dict.fromkeys(name for method in methods if method.sampler for name in method.sampler.params)
    for name in recipe.sampler.keys() - everywhere.keys():
        return f"sets '{name}', which no sampler has: {_near(name, everywhere)}"
    return _params_complaint(card, recipe, selected) or _settings_complaint(card, recipe)


def _params_complaint(card: TaskCard, recipe: Recipe, selected: Sequence[MethodCard]) -> str | None:
    fitting = [method for method in selected if method.misfit(card, card.params) is None] or selected[:1]
    for method in fitting:
        if complaint := _values_complaint("base", recipe.base, method.base):
            return complaint
    for sampler in (method.sampler for method in selected if method.sampler):
        own = {name: value for name, value in recipe.sampler.items() if name in sampler.params}
        if complaint := _values_complaint("sampler", own, sampler):
            return complaint
    return None


def _values_complaint(section: str, values: Mapping[str, Any], card: BaseCard | SamplerCard) -> str | None:
    for name, value in values.items():
        if name not in card.params:
            return f"sets the {section} parameter '{name}', which {card.name} does not have: {_near(name, card.params)}"
        if reason := unfit(name, value, card):
            return f"sets the {section} parameter '{name}' of {card.name}, which {reason}, to {value!r}"
    return None


def _settings_complaint(card: TaskCard, recipe: Recipe) -> str | None:
    for name in recipe.settings:
        if name not in SETTINGS:
            return f"sets '{name}', which is not a setting of a protocol: {_near(name, SETTINGS)}"
    for name, protocol in card.protocols.items():
        if recipe.protocol in ("*", name):
            try:
                Protocol(**{**asdict(protocol), **recipe.settings})
            except (TypeError, ValueError) as error:
                return f"does not work under '{name}': {error}"
    return None


def _near(name: Any, known: Iterable[str]) -> str:
    listed = list(known)
    return nearest(str(name), listed) if listed else "it has none"
