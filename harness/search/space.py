"""The space of a search: named settings, each with a range or choices (no torch; Optuna is imported when needed)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from harness.suites.fields import Number, StrictModel, Whole

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Values = Mapping[str, Any]
"""One point of a space: ``{"settings.lr": 1e-3, ...}``."""


def _rising(bounds: list[Any]) -> list[Any]:
    if len(bounds) != 2 or bounds[0] >= bounds[1]:
        raise ValueError("should be two numbers, the lower one first")
    return bounds


def _positive(bounds: list[Any]) -> list[Any]:
    if bounds[0] <= 0:
        raise ValueError("should be above 0, since it is searched on a logarithmic scale")
    return bounds


Floats = Annotated[list[Number], AfterValidator(_rising)]
Integers = Annotated[list[Whole], AfterValidator(_rising)]


class Dimension(StrictModel):
    """A range that includes both ends, or a list of choices of any YAML values; exactly one field is set."""

    uniform: Floats | None = None
    loguniform: Annotated[Floats, AfterValidator(_positive)] | None = None
    integer: Integers | None = None
    loginteger: Annotated[Integers, AfterValidator(_positive)] | None = None
    choice: Annotated[list[Any], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Dimension:
        if len(self.model_fields_set) != 1 or getattr(self, *self.model_fields_set) is None:
            raise ValueError(f"should have exactly one of {', '.join(Dimension.model_fields)}")
        return self

    @property
    def probes(self) -> list[Any]:
        """Values to check the setting with: both ends and a point between them, or all choices."""
        if self.choice is not None:
            return self.choice
        if (whole := self.integer or self.loginteger) is not None:
            return whole
        low, high = self.uniform or self.loguniform or []
        return [low, low + 0.381966 * (high - low), high]

    @property
    def size(self) -> float:
        """The number of values; infinity for a range of floats."""
        if self.choice is not None:
            return len(self.choice)
        whole = self.integer or self.loginteger
        return math.inf if whole is None else whole[1] - whole[0] + 1

    def distribution(self) -> BaseDistribution:
        """The distribution in Optuna. Choices are written as JSON, since Optuna accepts no lists."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choice is not None:
            return CategoricalDistribution([json.dumps(value) for value in self.choice])
        if (whole := self.integer or self.loginteger) is not None:
            return IntDistribution(whole[0], whole[1], log=self.loginteger is not None)
        low, high = self.uniform or self.loguniform or []
        return FloatDistribution(low, high, log=self.loguniform is not None)


class Space:
    """The dimensions by name, and the conversion of points to and from the parameters of Optuna."""

    def __init__(self, dimensions: Mapping[str, Dimension]) -> None:
        self._dimensions = dimensions

    @property
    def size(self) -> float:
        """The number of points."""
        return math.prod(dimension.size for dimension in self._dimensions.values())

    def distributions(self) -> dict[str, BaseDistribution]:
        return {name: dimension.distribution() for name, dimension in self._dimensions.items()}

    def parameters(self, values: Values) -> dict[str, Any]:
        return {name: json.dumps(value) if self._chosen(name) else value for name, value in values.items()}

    def values(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {name: json.loads(value) if self._chosen(name) else value for name, value in parameters.items()}

    def _chosen(self, name: str) -> bool:
        return self._dimensions[name].choice is not None
