"""Typed settings: frozen dataclasses whose fields have a default, a limit, a meaning and a source (no torch).

A card has such a class, whose fields are used to list, check and document settings. Networks, samplers and tasks take
an instance of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar

from tasks.limits import Limit, Limits

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field of a settings class, as ``symbench show`` prints it.

    Attributes:
        name: The key in a suite.
        type: The annotation in the source, for example ``tuple[int, ...]``.
        default: The default as JSON, with lists in place of tuples.
        limit: The values that are accepted; None accepts all values of the type of the default.
        meaning: One sentence.
        source: The publication or code of the default; empty if this project chose it.
    """

    name: str
    type: str
    default: Any
    limit: Limit | None
    meaning: str
    source: str


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """The settings of a card without settings."""


def setting(default: T, limit: Limit | None, meaning: str, source: str = "") -> T:
    """A field of a settings class.

    Args:
        default: The value if a suite does not set another.
        limit: The values that are accepted besides the default.
        meaning: One sentence on what the setting does.
        source: The publication or code of the default.
    """
    value: T = field(default=default, metadata={"limit": limit, "meaning": meaning, "source": source})
    return value


def settings_of(kind: type) -> tuple[Setting, ...]:
    """All fields of a settings class, in order."""
    return tuple(
        Setting(
            name=item.name,
            type=item.type if isinstance(item.type, str) else getattr(item.type, "__name__", str(item.type)),
            default=_as_json(item.default if item.default is not MISSING else None),
            limit=item.metadata.get("limit"),
            meaning=item.metadata.get("meaning", ""),
            source=item.metadata.get("source", ""),
        )
        for item in fields(kind)
    )


def defaults_of(kind: type) -> dict[str, Any]:
    """The defaults of all settings by name, as JSON."""
    return {item.name: item.default for item in settings_of(kind)}


def limits_of(kind: type) -> Limits:
    """The limits of all settings that have one, by name."""
    return {item.name: item.limit for item in settings_of(kind) if item.limit is not None}


def from_params(kind: type[S], params: Mapping[str, Any]) -> S:
    """Makes settings from the parameters of a run.

    Args:
        kind: A settings class.
        params: Values by name, as in a suite or a record. Lists become tuples; missing settings take their default.

    Raises:
        TypeError: A name is not a field of ``kind``.
    """
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in params.items()})


def as_params(settings: Any) -> dict[str, Any]:
    """The values of ``settings`` by name, as JSON: the inverse of :func:`from_params`."""
    return {item.name: _as_json(getattr(settings, item.name)) for item in fields(settings)}


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, kw_only=True)
class Configured:
    """Base class of cards: a name, a title for tables, which is the name if none is given, and settings.

    ``settings`` is their dataclass.
    """

    name: str
    title: str = ""
    settings: type = NoSettings

    def __post_init__(self) -> None:
        """Fills in the title."""
        if self.title == "":
            object.__setattr__(self, "title", self.name)

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """The default of every setting, by name."""
        return defaults_of(self.settings)

    @cached_property
    def limits(self) -> Limits:
        """The limit of every setting that has one, by name."""
        return limits_of(self.settings)

    def settings_from(self, params: Mapping[str, Any]) -> Any:
        """Makes settings from values by name.

        Raises:
            TypeError: A name is not a setting of this card.
        """
        return from_params(self.settings, params)
