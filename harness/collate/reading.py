"""Converts the JSON of a record to a row of the table ``runs``.

Rows are read from the JSON and not through :class:`~harness.records.record.Record`, so that records from before a
setting was added are readable, and thousands are read in seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from harness import registry
from harness.collate.structs import NESTED, finite, metrics, series, whole
from harness.collate.structs import provenance as fitted_provenance
from harness.records.devices import device_of
from harness.records.record import SCHEMA
from harness.renames import current_record
from harness.spec import without_neutral, without_seed
from harness.training.stack_note import stack_of

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
MOMENT = pl.Datetime("us", "UTC")
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "digest": pl.String,
    "source": pl.String,
    "status": pl.String,
    "suite": pl.String,
    "task": pl.String,
    "task_version": pl.String,
    "task_params": pl.String,
    "variant": pl.String,
    "group": pl.String,
    "size_name": pl.String,
    "size": pl.Int64,
    "method": pl.String,
    "method_version": pl.String,
    "kind": pl.String,
    "base_model": pl.String,
    "weights": pl.String,
    "sampler": pl.String,
    "seed": pl.Int64,
    "protocol": pl.String,
    "setting": pl.String,
    "series": pl.String,
    "metric": pl.String,
    "direction": pl.String,
    "value": pl.Float64,
    "control_name": pl.String,
    "control": pl.Float64,
    "metrics": NESTED["metrics"],
    "curve": NESTED["curve"],
    "output_variance": NESTED["output_variance"],
    "train_samples": pl.Int64,
    "test_samples": pl.Int64,
    "parameters": pl.Int64,
    "train_seconds": pl.Float64,
    "flops_per_example": pl.Float64,
    "seconds_per_example": pl.Float64,
    "train_examples_per_second": pl.Float64,
    "peak_memory_bytes": pl.Int64,
    "train_peak_memory_bytes": pl.Int64,
    "wall_seconds": pl.Float64,
    "started": MOMENT,
    "finished": MOMENT,
    "host": pl.String,
    "device": pl.String,
    "stack": pl.Int64,
    "git_commit": pl.String,
    "git_dirty": pl.Boolean,
    "symbench_version": pl.String,
    "error": pl.String,
    "traceback": pl.String,
    "notes": NESTED["notes"],
    "provenance": NESTED["provenance"],
    "spec_json": pl.String,
}


class Unreadable(Exception):
    """A file that is no readable record; ``newer`` is True if a newer version of symbench wrote it."""

    def __init__(self, reason: str, *, newer: bool = False) -> None:
        super().__init__(reason)
        self.newer = newer


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Point(_Part):
    samples: Int64
    value: float | None
    value_error: float | None
    variance: float | None
    equivariance: float | None = None  # older records do not have it


class _VariancePoint(_Part):
    stage: Literal["initialised", "trained"]
    samples: Int64
    repeats: Int64
    output_variance: float | None
    loss_mean: float | None
    loss_variance: float | None


class _Description(_Part):
    group: str
    metric: str
    direction: Literal["max", "min"]
    kind: str
    base_model: str
    sampler: str | None
    control: str | None = None
    variant: str | None = None
    weights: str | None = None
    size_name: str | None = None
    size: Int64 | None = None


class _Failure(_Part):
    sentence: str
    traceback: str = ""


class _Spec(_Part):
    task: str
    task_version: str
    task_params: dict[str, Any]
    method: str
    method_version: str
    base: dict[str, Any]
    sampler: dict[str, Any]
    seed: Int64
    protocol: str
    settings: dict[str, Any]


class _Record(_Part):
    digest: str = Field(min_length=1)
    suite: str
    status: Literal["succeeded", "failed"]
    started: str
    finished: str
    spec: _Spec
    description: _Description
    metrics: dict[str, float | None]
    curve: list[_Point]
    output_variance: list[_VariancePoint] = Field(default_factory=list)  # older records do not have it
    cost: dict[str, float | None]
    notes: list[str]
    provenance: dict[str, Any]
    failure: _Failure | None


def read_row(raw: bytes | str, source: str | None = None) -> dict[str, Any]:
    """Converts the JSON of a record to a row, under the names of today.

    Args:
        raw: The JSON.
        source: The imported bundle that the record is from, or None. It is part of the setting, so that imported
            numbers are not pooled with others.

    Returns:
        A value for each of :data:`COLUMNS`.

    Raises:
        Unreadable: It is no record that this version can read.
    """
    try:
        values = from_json(raw)
    except ValueError as error:
        raise Unreadable(f"no complete JSON ({error})") from error
    if not isinstance(values, dict) or not isinstance(schema := values.get("schema"), int):
        raise Unreadable("no record: it names no schema")
    if schema > SCHEMA:
        raise Unreadable(f"schema {schema}", newer=True)
    values = current_record(values, registry.is_method)
    try:
        record = _Record.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Unreadable(f"{where}: {first['msg']}") from error
    return _row(record, values["spec"], source)


def frame(rows: Sequence[Mapping[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    """Converts rows of :func:`read_row` to a table.

    Args:
        rows: The rows.
        schema: The columns, which may be more than :data:`COLUMNS`.
    """
    lists = {name: [row[name] for row in rows] for name in schema}
    nested = [series(name, lists.pop(name)) for name in NESTED]
    plain = pl.DataFrame(lists, schema={name: schema[name] for name in lists})
    return plain.with_columns(nested).select(*schema)


def _row(record: _Record, spec: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    described, provenance, failure = record.description, record.provenance, record.failure
    same_but_seed = _canonical(without_seed(without_neutral(spec)))
    apart = "" if source is None else f"@{source}"
    return {
        "digest": record.digest,
        "source": source,
        "status": record.status,
        "suite": record.suite,
        "task": record.spec.task,
        "task_version": record.spec.task_version,
        "task_params": _canonical(record.spec.task_params),
        "variant": described.variant,
        "group": described.group,
        "size_name": described.size_name,
        "size": described.size,
        "method": record.spec.method,
        "method_version": record.spec.method_version,
        "kind": described.kind,
        "base_model": described.base_model,
        "weights": described.weights,
        "sampler": described.sampler,
        "seed": record.spec.seed,
        "protocol": record.spec.protocol,
        "setting": _hash(same_but_seed) + apart,
        "series": _series(same_but_seed, described.size_name) + apart,
        "metric": described.metric,
        "direction": described.direction,
        "value": finite(record.metrics.get(described.metric)),
        "control_name": described.control,
        "control": finite(record.metrics.get(described.control)) if described.control else None,
        "metrics": metrics(record.metrics),
        "curve": _once((point for point in record.curve if point.samples >= 1), "samples"),
        "output_variance": _once(record.output_variance, "stage", "samples"),
        "train_samples": whole(record.spec.settings.get("train_samples")),
        "test_samples": whole(record.spec.settings.get("test_samples")),
        "parameters": whole(record.cost.get("parameters")),
        "train_seconds": finite(record.cost.get("train_seconds")),
        "flops_per_example": finite(record.cost.get("flops_per_example")),
        "seconds_per_example": finite(record.cost.get("seconds_per_example")),
        "train_examples_per_second": finite(record.cost.get("train_examples_per_second")),
        "peak_memory_bytes": whole(record.cost.get("peak_memory_bytes")),
        "train_peak_memory_bytes": whole(record.cost.get("train_peak_memory_bytes")),
        "wall_seconds": finite(provenance.get("wall_seconds")),
        "started": _moment(record.started),
        "finished": _moment(record.finished),
        "host": _text(provenance.get("host")),
        "device": device_of(provenance),
        "stack": stack_of(record.notes),
        "git_commit": _text(provenance.get("git_commit")),
        "git_dirty": dirty if isinstance(dirty := provenance.get("git_dirty"), bool) else None,
        "symbench_version": _text(provenance.get("symbench_version")),
        "error": failure.sentence if failure else None,
        "traceback": failure.traceback if failure else None,
        "notes": record.notes,
        "provenance": fitted_provenance(provenance),
        "spec_json": _canonical(without_seed(spec)),
    }


def _once(points: Iterable[_Part], *place: str) -> list[dict[str, Any]]:
    """The first of several points with equal values of ``place``, so that a run counts once."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for values in map(vars, points):
        found.setdefault(tuple(values[name] for name in place), values)
    return list(found.values())


@lru_cache(maxsize=65536)
def _series(setting: str, size_name: str | None) -> str:
    """The identity of a curve over sizes: the setting without the task parameter that is the size."""
    values = json.loads(setting)
    params = {name: value for name, value in values["task_params"].items() if name != size_name}
    return _hash(_canonical({**values, "task_params": params}))


_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def _moment(text: str) -> datetime | None:
    """The moment of a text in ISO 8601, in UTC if it names no offset; None if it is no moment."""
    try:
        when = datetime.fromisoformat(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
