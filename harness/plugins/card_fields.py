"""The check of each field of a card (no torch).

A check returns what is wrong with a value as a clause, or None if the value is valid.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args

from baselines.cards import GUARANTEES
from harness.plugins.card_functions import Complaint, count_or_none, error_summary, groups, plain
from harness.plugins.references import reference_fault
from harness.utils.text import nearest
from tasks.cards import Form, Input, Output
from tasks.extras import EXTRAS
from tasks.protocol import Protocol
from tasks.settings import defaults_of, limits_of
from tasks.symmetry.names import is_group

NAME = re.compile(r"\w[\w.+-]*")

Check = Callable[[Any], str | None]


def _should(wanted: str, value: Any) -> str:
    return f"should be {wanted}, not {reprlib.repr(value)}"


def _name(value: Any) -> str | None:
    right = isinstance(value, str) and NAME.fullmatch(value) and value != "all"
    return None if right else _should("a name of letters, digits, _, ., + and -", value)


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else _should("a text", value)


def _any_text(value: Any) -> str | None:
    return None if isinstance(value, str) else _should("a text", value)


def _guarantee(value: Any) -> str | None:
    right = isinstance(value, str) and (not value or value.startswith(GUARANTEES))
    return None if right else _should(f"empty or a text that begins with {', '.join(GUARANTEES)}", value)


def _text_or_none(value: Any) -> str | None:
    return None if value is None or _text(value) is None else _should("a text or None", value)


def _texts(value: Any) -> str | None:
    right = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    return None if right else _should("a tuple of texts", value)


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else _should("True or False", value)


def _as(given: Callable[[Any], Complaint]) -> Check:
    """Makes a check of a field from a check of the value that a function of a card returns."""

    def check(value: Any) -> str | None:
        wanted = given(value)
        return _should(wanted, value) if wanted else None

    return check


def _one_of(*known: str) -> Check:
    def check(value: Any) -> str | None:
        if isinstance(value, str):
            return None if value in known else f"is {value!r}, which does not exist: {nearest(value, known)}"
        return _should(f"one of {', '.join(known)}", value)

    return check


def _some_of(known: Callable[[str], bool], hint: Iterable[str], least: int = 0) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, Set) or not all(isinstance(one, str) for one in value) or len(value) < least:
            return _should(f"a frozenset of {'one or more' if least else 'some'} of {', '.join(hint)}", value)
        for one in sorted(value):
            if not known(one):
                return f"holds {one!r}, which does not exist: {nearest(one, hint)}"
        return None

    return check


def _of(kinds: Any, least: int = 0) -> Check:
    names = get_args(kinds)
    return _some_of(lambda one: one in names, names, least)


def _group(value: Any) -> str | None:
    wanted = None if callable(value) else groups(value)
    return _should(f"{wanted}, or a function of the parameters", value) if wanted else None


def _function(value: Any) -> str | None:
    return None if callable(value) else _should("a function", value)


def _function_or_none(value: Any) -> str | None:
    return None if value is None or callable(value) else _should("a function or None", value)


def _is_limit(value: Any) -> bool:
    methods = (getattr(value, name, None) for name in ("wrong", "normal"))
    return not isinstance(value, type) and all(map(callable, methods))


def _settings(value: Any) -> str | None:
    if not isinstance(value, type) or not is_dataclass(value) or not _frozen(value):
        return _should("a frozen dataclass, such as those of tasks.catalogue and baselines.catalogue", value)
    without = [item.name for item in fields(value) if item.default is MISSING]
    if without:
        return f"is {value.__name__}, whose field '{without[0]}' has no default"
    for name, default in defaults_of(value).items():
        if plain({name: default}):
            return f"has a default of '{name}' that JSON cannot represent: {reprlib.repr(default)}"
    for name, limit in limits_of(value).items():
        if not _is_limit(limit):
            return f"has a limit of '{name}' that is not like those of tasks.limits: {reprlib.repr(limit)}"
    try:
        value()
    except Exception as error:  # __post_init__ of another package may raise any error
        return f"is {value.__name__}, which cannot be built from its defaults ({error_summary(error)})"
    return None


def _frozen(kind: Any) -> bool:
    return bool(kind.__dataclass_params__.frozen)


def _functions(value: Any) -> str | None:
    right = isinstance(value, Mapping) and all(
        isinstance(name, str) and callable(function) for name, function in value.items()
    )
    return None if right else _should("a mapping of parameters to functions", value)


def _protocols(value: Any) -> str | None:
    if not isinstance(value, Mapping) or not value:
        return _should("a mapping of names to Protocols", value)
    for name, protocol in value.items():
        if not isinstance(name, str) or not isinstance(protocol, Protocol):
            return _should("a mapping of names to Protocols", {name: protocol})
    return None


def _recipes(value: Any) -> str | None:
    return None if isinstance(value, tuple | list) else _should("a tuple of Recipes", value)


def _reference(value: Any) -> str | None:
    why = reference_fault(value)
    return f"is {reprlib.repr(value)}, which cannot be used: {why}" if why else None


def _form(value: Any) -> str | None:
    return None if value is None else _one_of(*get_args(Form))(value)


SPACE_GROUPS = ("S_n", "O(3)", "SO(3)", "E(3)", "SE(3)")
_COMMON: dict[str, Check] = {
    "name": _name,
    "title": _text,
    "version": _text,
    "source": _any_text,
    "implementation": _reference,
    "deviations": _texts,
    "settings": _settings,
}
TASK_FIELDS: Mapping[str, Check] = _COMMON | {
    "group": _group,
    "inputs": _of(Input, least=1),
    "optional": _of(Input),
    "output": _one_of(*get_args(Output)),
    "metric": _text,
    "direction": _one_of("max", "min"),
    "control": _text_or_none,
    "protocols": _protocols,
    "max_nodes": _function,
    "check": _function,
    "form": _form,
    "examples": _function,
    "edge_scalars": _as(count_or_none),
    "recipes": _recipes,
    "resolve": _function,
    "variant": _function,
    "size": _function_or_none,
    "size_name": _text,
    "extra": _one_of("", *EXTRAS),
    "reads_data": _flag,
}
BASE_FIELDS: Mapping[str, Check] = _COMMON | {
    "needs": _of(Input),
    "reads": _of(Input, least=1),
    "writes": _of(Output, least=1),
    "respects": _some_of(is_group, SPACE_GROUPS),
    "check": _function,
    "meanings": _functions,
    "max_tokens": _as(count_or_none),
    "resolve": _function,
    "weights": _function,
    "extra": _one_of("", *EXTRAS),
}
SAMPLER_FIELDS: Mapping[str, Check] = _COMMON | {
    "guarantee": _guarantee,
    "single": _flag,
    "check": _function,
    "meanings": _functions,
    "choices": _functions,
    "uncovered": _function,
    "too_large": _function,
}
