"""The fields that a suite, an experiment and an override share, each checked by pydantic (no torch)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, create_model
from pydantic.types import GetPydanticSchema
from pydantic_core import core_schema

from harness.spec import Resources
from tasks.protocol import Protocol

MOST_SEEDS = 100_000


class Model(BaseModel):
    """Refuses keys it does not know, and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _fraction_or_whole(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError("should be a fraction below 1 or a whole number of GPUs")
    return gpus


class Grants(Model):
    """What a run is granted; ``memory`` is in bytes or written like 2GiB, ``timeout`` in seconds."""

    cpus: float = Field(default=Resources.cpus, ge=0)
    gpus: Annotated[float, AfterValidator(_fraction_or_whole)] = Field(default=Resources.gpus, ge=0)
    memory: Annotated[ByteSize, Field(gt=0)] | None = None
    chunk: Annotated[int, Field(ge=1)] | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None
    stack: Annotated[int, Field(ge=1)] = Resources.stack
    workers: Annotated[int, Field(ge=1)] = Resources.workers


_HINTS = get_type_hints(Protocol)
Settings: type[Model] = create_model(
    "Settings", __base__=Model, **{item.name: (_HINTS[item.name], item.default) for item in fields(Protocol)}
)  # type: ignore[call-overload]


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a glob matches; ``all`` matches every one."""
    return [name for name in names if pattern == "all" or fnmatchcase(name, pattern)]


def _given(settings: BaseModel) -> dict[str, Any]:
    return settings.model_dump(exclude_unset=True)


def _works(settings: dict[str, Any]) -> dict[str, Any]:
    Protocol(**settings)
    return settings


def _partial(model: type[BaseModel]) -> GetPydanticSchema:
    """Check a mapping by ``model``, and keep only the keys that were written."""
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
PartialGrants = Annotated[dict[str, Any], _partial(Grants)]
Seeds = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**32)]],
    AfterValidator(_distinct),
    Field(min_length=1),
    BeforeValidator(_counted),
]
Names = Annotated[list[str], AfterValidator(_distinct), Field(min_length=1), BeforeValidator(_listed)]
