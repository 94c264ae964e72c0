"""The record of a run and its JSON form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness import registry
from harness.records.weights import WeightsFile
from harness.renames import current_record
from harness.spec import RunSpec
from harness.training.results import CurvePoint, VariancePoint
from harness.utils.redaction import redacted_values

SCHEMA = 1
Status = Literal["succeeded", "failed"]


@dataclass(frozen=True, kw_only=True)
class Description:
    """Facts about a run that the registry knew when it ran, so that tables can be made without the registry."""

    group: str
    metric: str
    direction: Literal["max", "min"]
    kind: Literal["symmetrized", "equivariant"]
    base_model: str
    sampler: str | None
    control: str | None = None
    variant: str | None = None
    weights: str | None = None
    size_name: str | None = None
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run failed: one sentence, and the traceback (empty if the process died without one)."""

    sentence: str
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record of a run that succeeded or failed.

    Attributes:
        spec: The run.
        suite: The name of the suite that it was launched for.
        status: The outcome.
        description: Facts for the tables.
        started: ISO 8601, in UTC.
        finished: ISO 8601, in UTC.
        metrics: The final metrics by name, such as ``test_accuracy``.
        curve: Test metrics for several numbers of group samples.
        output_variance: The variance of the output, if the run measured it.
        cost: Time, memory and operations by name.
        notes: Remarks for the user, such as a smaller chunk after the device was out of memory.
        provenance: Code, packages and machine.
        failure: Why the run failed, or None.
        weights: The file of its weights, if they were kept.
    """

    spec: RunSpec
    suite: str
    status: Status
    description: Description
    started: str
    finished: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    output_variance: tuple[VariancePoint, ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    weights: WeightsFile | None = None

    @property
    def digest(self) -> str:
        """The digest of the run, which identifies the record."""
        return self.spec.digest

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values without secrets. Metrics that are not finite become ``null``."""
        return {
            "schema": SCHEMA,
            "digest": self.digest,
            "suite": self.suite,
            "status": self.status,
            "started": self.started,
            "finished": self.finished,
            "spec": self.spec.to_dict(),
            "description": asdict(self.description),
            "metrics": _finite(self.metrics),
            "curve": [_finite(asdict(point)) for point in self.curve],
            "output_variance": [_finite(asdict(point)) for point in self.output_variance],
            "cost": _finite(self.cost),
            "notes": redacted_values(self.notes),
            "provenance": redacted_values(self.provenance),
            "failure": redacted_values(asdict(self.failure)) if self.failure else None,
            **({"weights": asdict(self.weights)} if self.weights else {}),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Record:
        """The inverse of :meth:`to_dict`; ``null`` becomes NaN, and names of earlier versions those of today.

        Raises:
            KeyError: A value is missing.
            TypeError: A value has the wrong type.
            ValueError: A value or the version of the schema is wrong.
        """
        if values["schema"] != SCHEMA:
            raise ValueError(f"record schema {values['schema']} is not {SCHEMA}")
        values = current_record(values, registry.is_method)
        return Record(
            spec=RunSpec.from_dict(values["spec"]),
            suite=values["suite"],
            status=values["status"],
            description=Description(**values["description"]),
            started=values["started"],
            finished=values["finished"],
            metrics=_floats(values["metrics"]),
            curve=tuple(CurvePoint(**_floats(point)) for point in values["curve"]),
            output_variance=tuple(VariancePoint(**_floats(point)) for point in values.get("output_variance", ())),
            cost=_floats(values["cost"]),
            notes=tuple(values["notes"]),
            provenance=values["provenance"],
            failure=Failure(**values["failure"]) if values["failure"] else None,
            weights=WeightsFile.from_dict(values["weights"]) if values.get("weights") else None,
        )


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, str) or abs(value) < math.inf else None for name, value in values.items()}


def _floats(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in values.items()}
