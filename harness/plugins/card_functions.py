"""The functions on the cards of other packages: what they raise, or give that cannot be, becomes one sentence."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from harness.errors import SymbenchError
from tasks.symmetry.names import is_group

SAID_CHARACTERS = 300

Complaint = str | None
T = TypeVar("T")


def said(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    kind, lines = type(error).__name__, str(error).strip().splitlines()
    return f"{kind}: {lines[0]}"[:SAID_CHARACTERS] if lines else kind


def groups(value: Any) -> Complaint:
    """What the factors of a symmetry group should be."""
    if not isinstance(value, tuple) or not value or not all(isinstance(name, str) and is_group(name) for name in value):
        return "a tuple of names of groups, such as ('S_n', 'O(3)')"
    return None


def plain(value: Any) -> Complaint:
    """What parameters should be."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return "a mapping of names to values that JSON has"
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        return "a mapping of names to values that JSON has"
    return None


def _count(value: Any) -> Complaint:
    return None if type(value) is int and value > 0 else "a whole number from 1 on"


def count_or_none(value: Any) -> Complaint:
    return None if value is None or _count(value) is None else "a whole number from 1 on, or None"


def _text_or_none(value: Any) -> Complaint:
    return None if value is None or isinstance(value, str) else "a text or None"


def _names(value: Any) -> Complaint:
    right = isinstance(value, tuple) and value and all(isinstance(name, str) for name in value)
    return None if right else "a tuple of names"


def _counts(value: Any) -> Complaint:
    right = isinstance(value, Mapping) and all(
        isinstance(name, str) and _count(one) is None for name, one in value.items()
    )
    return None if right else "a mapping of splits to whole numbers from 1 on"


def _value(value: Any) -> Complaint:
    return None if plain({"": value}) is None else "a value that JSON has"


GIVES: Mapping[str, Callable[[Any], Complaint]] = {
    "group": groups,
    "max_nodes": _count,
    "resolve": plain,
    "variant": _text_or_none,
    "size": count_or_none,
    "check": _text_or_none,
    "weights": _text_or_none,
    "uncovered": _text_or_none,
    "choices": _names,
    "examples": _counts,
    "too_large": _text_or_none,
    "meanings": _value,
}
"""What each function of a card should give."""


class Guarded:
    """A card's function that raises :class:`SymbenchError` alone."""

    def __init__(
        self, function: Callable[..., Any], name: str, whose: str, check: Callable[[Any], Complaint] | None = None
    ) -> None:
        self.function, self._name, self._whose = function, name, whose
        self._check = check or GIVES[name]

    def __call__(self, *values: Any) -> Any:
        try:
            given = self.function(*values)
        except SymbenchError:
            raise
        except Exception as error:
            raise SymbenchError(f"The function '{self._name}' of {self._whose} raises {said(error)}.") from error
        if wanted := self._check(given):
            raise SymbenchError(
                f"The function '{self._name}' of {self._whose} should give {wanted}, not {reprlib.repr(given)}."
            )
        return given


def guarded(card: T, distribution: str) -> T:
    """The card with every function of it, and of its parts, guarded."""
    if not is_dataclass(card) or isinstance(card, type):
        return card
    whose = f"the card '{getattr(card, 'name', '')}' of the plug-in {distribution}"
    values = {field.name: getattr(card, field.name) for field in fields(card)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("base", "sampler"):
            changed[name] = guarded(value, distribution)
        elif name in ("choices", "meanings") and isinstance(value, Mapping):
            changed[name] = {key: _guarded(one, name, whose) for key, one in value.items()}
        elif name == "resolve":
            changed[name] = _guarded(value, name, whose, _instance_of(values.get("settings")))
        elif name in GIVES:
            changed[name] = _guarded(value, name, whose)
    return replace(card, **changed)


def _guarded(value: Any, name: str, whose: str, check: Callable[[Any], Complaint] | None = None) -> Any:
    return Guarded(value, name, whose, check) if callable(value) and not isinstance(value, Guarded) else value


def _instance_of(settings: Any) -> Callable[[Any], Complaint]:
    def check(value: Any) -> Complaint:
        right = isinstance(settings, type) and isinstance(value, settings)
        return None if right else f"an instance of {getattr(settings, '__name__', 'its settings')}"

    return check
