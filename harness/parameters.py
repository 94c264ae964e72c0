"""Checks the values of a card's parameters and converts equal values to one form (no torch)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from baselines.cards import BaseCard, SamplerCard
from harness.errors import SettingsError, UnknownName
from harness.utils.text import nearest, shortened
from tasks.cards import TaskCard
from tasks.limits import Limit
from tasks.settings import as_params

Card = TaskCard | BaseCard | SamplerCard


def overlay(what: str, defaults: Mapping[str, Any], *layers: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults with the values of later layers in their place.

    Raises :class:`UnknownName` for a name that has no default; ``what`` says what the settings are for.
    """
    merged = dict(defaults)
    for layer in layers:
        for name in layer:
            if name not in merged:
                raise UnknownName(f"There is no {what} setting '{name}': {nearest(name, merged)}")
        merged |= layer
    return merged


def check_values(section: str, card: Card, params: Mapping[str, Any]) -> None:
    """Raises :class:`SettingsError` for the first value that is not accepted."""
    for name, value in params.items():
        if reason := unfit(name, value, card):
            raise SettingsError(
                f"The {section} setting '{name}' of '{card.name}' {reason}, not {shortened(repr(value), 80)}."
            )


def unfit(name: str, value: Any, card: Card) -> str | None:
    """Returns what the value of a parameter of ``card`` should be, or None if it is accepted."""
    default, limit = card.params[name], card.limits.get(name)
    if value == default and type(value) is type(default):
        return None
    if not _same_kind(value, default):
        return f"should be like {default!r}"
    reason = None if limit is None else limit.wrong(value)
    return f"should be {reason}" if reason else None


def _same_kind(value: Any, default: Any) -> bool:
    """Returns True if a value has the type of ``default`` and can be written as JSON (dates and NaN cannot).

    A number whose default is positive is a size, a count or a scale, and must not be negative.
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


def normal(card: Card, params: Mapping[str, Any]) -> dict[str, Any]:
    """Converts every value to the normal form of its limit or, without a limit, to the type of its default."""
    return {name: _normal_value(value, card.params[name], card.limits.get(name)) for name, value in params.items()}


def _normal_value(value: Any, default: Any, limit: Limit | None) -> Any:
    if value is None or (value == default and type(value) is type(default)):
        return default if value is not None else None
    if limit is not None:
        return limit.normal(value)
    return value + 0.0 if isinstance(default, float) else list(value) if isinstance(value, tuple) else value


def typed(card: Card, params: Mapping[str, Any]) -> Any:
    """Returns the typed settings of a card for these parameters.

    Raises :class:`SettingsError` if the class of a plug-in's settings rejects them.
    """
    try:
        return card.settings_from(params)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"The settings of '{card.name}' do not work: {error}.") from error


def canonical_params(
    card: BaseCard | SamplerCard, params: Mapping[str, Any], usual: Mapping[str, Any], task_card: TaskCard
) -> dict[str, Any]:
    """Replaces values by the ``usual`` or default one if both mean the same on the task."""
    settings = typed(card, params)
    spellings = [typed(card, usual), card.settings()]
    kept: dict[str, Any] = {}
    for name, meaning in card.meanings.items():
        own = meaning(settings, task_card)
        values = (getattr(spelling, name) for spelling in spellings)
        kept[name] = next((one for one in values if meaning(replace(settings, **{name: one}), task_card) == own), own)
    return as_params(replace(settings, **kept))


def with_choices(params: Mapping[str, Any], sampler: SamplerCard, task_card: TaskCard) -> dict[str, Any]:
    """The parameters with the default choice in place of None."""
    chosen = dict(params)
    for name, names in sampler.choices.items():
        allowed = names(task_card)
        chosen[name] = allowed[0] if params[name] is None else params[name]
        if chosen[name] not in allowed:
            raise SettingsError(
                f"The sampler '{sampler.name}' has no {name} '{chosen[name]}' on the task '{task_card.name}': "
                f"{nearest(str(chosen[name]), allowed)}"
            )
    return chosen
