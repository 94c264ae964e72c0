"""Functions on the cards of other packages: their errors and wrong return values become a :class:`SymbenchError`."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from harness.errors import PluginError, SymbenchError
from tasks.symmetry.names import is_group

SUMMARY_CHARACTERS = 300

Complaint = str | None
T = TypeVar("T")


def error_summary(error: BaseException) -> str:
    """The class of an error and the first line of its message."""
    kind, lines = type(error).__name__, str(error).strip().splitlines()
    return f"{kind}: {lines[0]}"[:SUMMARY_CHARACTERS] if lines else kind


def groups(value: Any) -> Complaint:
    """Expects the names of the factors of a symmetry group."""
    if not isinstance(value, tuple) or not value or not all(isinstance(name, str) and is_group(name) for name in value):
        return "a tuple of names of groups, such as ('S_n', 'O(3)')"
    return None


def plain(value: Any) -> Complaint:
    """Expects parameters as JSON values by name."""
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
    """Expects a positive integer or None."""
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


RETURN_CHECKS: Mapping[str, Callable[[Any], Complaint]] = {
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
"""The check of the value that each function of a card returns."""


class Guarded:
    """Wraps a function of a card so that it only raises :class:`SymbenchError`."""

    def __init__(
        self, function: Callable[..., Any], name: str, owner: str, check: Callable[[Any], Complaint] | None = None
    ) -> None:
        self.function, self._name, self._owner = function, name, owner
        self._check = check or RETURN_CHECKS[name]

    def __eq__(self, other: object) -> bool:
        """Equals its function and every other guard of it, so that a guarded card equals the card as it was given."""
        return bool(self.function == (other.function if isinstance(other, Guarded) else other))

    def __hash__(self) -> int:
        return hash(self.function)

    def __call__(self, *values: Any) -> Any:
        try:
            given = self.function(*values)
        except SymbenchError:
            raise
        except Exception as error:
            what = f"The function '{self._name}' of {self._owner} raises {error_summary(error)}"
            raise PluginError(f"{what}.") from error
        if wanted := self._check(given):
            raise PluginError(
                f"The function '{self._name}' of {self._owner} should return {wanted}, not {reprlib.repr(given)}."
            )
        return given


def guarded(card: T, distribution: str) -> T:
    """Returns the card with :class:`Guarded` functions, also in its parts."""
    if not is_dataclass(card) or isinstance(card, type):
        return card
    owner = f"the card '{getattr(card, 'name', '')}' of the plug-in {distribution}"
    values = {field.name: getattr(card, field.name) for field in fields(card)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("base", "sampler"):
            changed[name] = guarded(value, distribution)
        elif name in ("choices", "meanings") and isinstance(value, Mapping):
            changed[name] = {key: _guarded(one, name, owner) for key, one in value.items()}
        elif name == "resolve":
            changed[name] = _guarded(value, name, owner, _instance_of(values.get("settings")))
        elif name in RETURN_CHECKS:
            changed[name] = _guarded(value, name, owner)
    return replace(card, **changed)


def _guarded(value: Any, name: str, owner: str, check: Callable[[Any], Complaint] | None = None) -> Any:
    return Guarded(value, name, owner, check) if callable(value) and not isinstance(value, Guarded) else value


def _instance_of(settings: Any) -> Callable[[Any], Complaint]:
    def check(value: Any) -> Complaint:
        right = isinstance(settings, type) and isinstance(value, settings)
        return None if right else f"an instance of {getattr(settings, '__name__', 'its settings')}"

    return check
