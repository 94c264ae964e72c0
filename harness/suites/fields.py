"""The fields that a suite, an experiment and an override share, each checked by pydantic (no torch)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from fnmatch import fnmatchcase
from functools import reduce
from operator import or_
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, StrictBool, create_model
from pydantic.types import GetPydanticSchema
from pydantic_core import PydanticCustomError, core_schema

from harness.spec import Resources
from harness.suites.yaml_source import NUMBER
from tasks.protocol import Protocol

MOST_SEEDS = 100_000
SIZE = re.compile(r"\d+(\.\d+)?\s*([kKMGTP]i?)?[bB]?")


class StrictModel(BaseModel):
    """Rejects unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _numeric(value: Any) -> Any:
    """Rejects booleans and texts such as ``1_000``, which pydantic reads as numbers and YAML 1.2 does not."""
    if isinstance(value, bool) or (isinstance(value, str) and not NUMBER.fullmatch(value)):
        raise PydanticCustomError("number", "Input should be a valid number")
    return value


Whole = Annotated[int, BeforeValidator(_numeric)]
Number = Annotated[float, BeforeValidator(_numeric)]


def _size(value: Any) -> Any:
    """Rejects texts such as ``1:30``, of which pydantic would read the first number."""
    if type(value) in (int, float) or (isinstance(value, str) and SIZE.fullmatch(value)):
        return value
    raise PydanticCustomError("size", "Input should be a number of bytes or a size such as 2GiB")


def _one_at_most(gpus: float) -> float:
    if gpus > 1:
        raise ValueError("should be at most 1, since a process uses one GPU: set workers to train a run on several")
    return gpus


class ResourceFields(StrictModel):
    """The resources of a run; ``memory`` is in bytes or written like 2GiB, ``timeout`` in seconds."""

    cpus: Number = Field(default=Resources.cpus, ge=0)
    gpus: Annotated[Number, AfterValidator(_one_at_most)] = Field(default=Resources.gpus, ge=0)
    memory: Annotated[ByteSize, Field(gt=0), BeforeValidator(_size)] | None = None
    chunk: Annotated[Whole, Field(ge=1)] | None = None
    timeout: Annotated[Number, Field(gt=0)] | None = None
    stack: Annotated[Whole, Field(ge=1)] = Resources.stack
    workers: Annotated[Whole, Field(ge=1)] = Resources.workers
    keep_weights: StrictBool = Resources.keep_weights


def _strict(hint: Any) -> Any:
    """The type of a field without the conversions that pydantic would make."""
    if get_origin(hint) in (UnionType, Union):
        return reduce(or_, map(_strict, get_args(hint)))
    if get_origin(hint) is tuple:
        return GenericAlias(tuple, (_strict(get_args(hint)[0]), ...))
    return {bool: StrictBool, int: Whole, float: Number}.get(hint, hint)


_HINTS = {name: _strict(hint) for name, hint in get_type_hints(Protocol).items()}
Settings: type[StrictModel] = create_model(
    "Settings", __base__=StrictModel, **{item.name: (_HINTS[item.name], item.default) for item in fields(Protocol)}
)  # type: ignore[call-overload]


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that match a glob; ``all`` matches every name."""
    return [name for name in names if pattern == "all" or fnmatchcase(name, pattern)]


def _given(settings: BaseModel) -> dict[str, Any]:
    return settings.model_dump(exclude_unset=True)


def _works(settings: dict[str, Any]) -> dict[str, Any]:
    Protocol(**settings)
    return settings


def _partial(model: type[BaseModel]) -> GetPydanticSchema:
    """A field that is checked by ``model`` and keeps only the keys that were given."""
    return GetPydanticSchema(lambda _, handler: core_schema.no_info_after_validator_function(_given, handler(model)))


def _counted(seeds: Any) -> Any:
    if isinstance(seeds, bool) or not isinstance(seeds, int):
        return seeds
    if not 1 <= seeds <= MOST_SEEDS:
        raise ValueError(f"should be a list of seeds or how many, from 1 to {MOST_SEEDS}, not {seeds}")
    return list(range(seeds))


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("should not name a value twice")
    return values


def _listed(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


PartialSettings = Annotated[dict[str, Any], _partial(Settings), AfterValidator(_works)]
PartialResources = Annotated[dict[str, Any], _partial(ResourceFields)]
Seeds = Annotated[
    list[Annotated[Whole, Field(ge=0, lt=2**32)]],
    AfterValidator(_distinct),
    Field(min_length=1),
    BeforeValidator(_counted),
]
Plugins = Annotated[list[str], AfterValidator(_distinct), BeforeValidator(_listed)]
"""Plug-in files, relative to the folder of the suite's or search's file."""
Names = Annotated[list[str], AfterValidator(_distinct), Field(min_length=1), BeforeValidator(_listed)]
