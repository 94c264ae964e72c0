"""The nested columns of the table ``runs``: their types, and values of a record fitted to them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import polars as pl
import pyarrow as pa

CURVE = pl.List(
    pl.Struct(
        {
            "samples": pl.Int64,
            "value": pl.Float64,
            "value_error": pl.Float64,
            "variance": pl.Float64,
            "equivariance": pl.Float64,
        }
    )
)
OUTPUT_VARIANCE = pl.List(
    pl.Struct(
        {
            "stage": pl.String,
            "samples": pl.Int64,
            "repeats": pl.Int64,
            "output_variance": pl.Float64,
            "loss_mean": pl.Float64,
            "loss_variance": pl.Float64,
        }
    )
)
METRICS = pl.List(pl.Struct({"name": pl.String, "value": pl.Float64}))
PROVENANCE = pl.Struct(
    {
        "python": pl.String,
        "packages": pl.List(pl.Struct({"name": pl.String, "version": pl.String})),
        "plugins": pl.List(
            pl.Struct({"name": pl.String, "version": pl.String, "digest": pl.String, "used": pl.Boolean})
        ),
        "device": pl.String,
        "device_type": pl.String,
        "accelerator": pl.Struct(
            {
                "driver": pl.String,
                "cuda": pl.String,
                "cudnn": pl.Int64,
                "tf32_matmul": pl.Boolean,
                "tf32_cudnn": pl.Boolean,
            }
        ),
        "cpus": pl.Int64,
        "threads": pl.Int64,
        "seeds": pl.List(pl.Struct({"name": pl.String, "value": pl.Int64})),
        "peak_rss_bytes": pl.Int64,
        "pid": pl.Int64,
        "resources": pl.Struct(
            {
                "cpus": pl.Float64,
                "gpus": pl.Float64,
                "memory": pl.Int64,
                "chunk": pl.Int64,
                "timeout": pl.Float64,
                "stack": pl.Int64,
                "workers": pl.Int64,
                "keep_weights": pl.Boolean,
            }
        ),
        "command": pl.List(pl.String),
    }
)
NESTED: Mapping[str, pl.DataType] = {
    "metrics": METRICS,
    "curve": CURVE,
    "output_variance": OUTPUT_VARIANCE,
    "notes": pl.List(pl.String),
    "provenance": PROVENANCE,
}
"""The columns of ``runs`` that are no plain values."""

Fitted = Callable[[Any], Any]


def finite(value: Any) -> float | None:
    """The value if it is a number in the range of floats, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None


def whole(value: Any) -> int | None:
    """The nearest whole number if it has 64 bits, else None."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else finite(value)
    return None if number is None or abs(number) >= 2**63 else round(number)


def metrics(values: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """The metrics in the order of their names; those that are not finite are null."""
    return [{"name": name, "value": finite(values[name])} for name in sorted(values)]


def provenance(values: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of a record as a value of :data:`PROVENANCE`: what has another type is null."""
    found: dict[str, Any] = _provenance({**values, "command": _words(values.get("command"))})
    return found


def series(name: str, values: Sequence[Any]) -> pl.Series:
    """The column ``name`` of :data:`NESTED`; numbers of points that are not finite become null."""
    dtype = NESTED[name]
    column = pl.Series(name, pa.array(values, type=pl.Series(dtype=dtype).to_arrow().type), dtype=dtype)
    if dtype not in (CURVE, OUTPUT_VARIANCE):
        return column
    floats = [field.name for field in dtype.inner.fields if field.dtype == pl.Float64]  # type: ignore[attr-defined]
    numbers = [pl.when(pl.field(field).is_finite()).then(pl.field(field)) for field in floats]
    return column.list.eval(pl.element().struct.with_fields(numbers))


def as_json(name: str) -> pl.Expr:
    """A nested column as JSON text."""
    text = pl.struct(pl.col(name).alias("_")).struct.json_encode()  # only structs can be encoded
    return text.str.strip_prefix('{"_":').str.strip_suffix("}").alias(name)


def _fitted(dtype: Any) -> Fitted:
    """The function that gives a JSON value as ``dtype``, or None if it has another type.

    A list of structs may be a JSON object: its names are the first field, its values the rest.
    """
    match dtype:
        case pl.Struct():
            fields = {field.name: _fitted(field.dtype) for field in dtype.fields}
            return lambda value: (
                {name: fit(value.get(name)) for name, fit in fields.items()} if isinstance(value, Mapping) else None
            )
        case pl.List(inner=pl.Struct() as inner):
            key, *rest = [field.name for field in inner.fields]
            fit_item = _fitted(inner)
            return lambda value: (
                [fit_item({**_item(value[name], rest), key: name}) for name in sorted(value)]
                if isinstance(value, Mapping)
                else None
            )
        case pl.List():
            return lambda value: value if isinstance(value, list) else None
        case pl.Int64:
            return whole
        case pl.Float64:
            return finite
    kind = bool if dtype == pl.Boolean else str
    return lambda value: value if isinstance(value, kind) else None


def _item(value: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """The fields of an item but its name: those of a JSON object, or the only one."""
    return value if isinstance(value, Mapping) else {names[0]: value}


def _words(command: Any) -> list[str] | None:
    """The words of a command, which older records have as a line."""
    if isinstance(command, str):
        with suppress(ValueError):  # quotes that are not closed
            return shlex.split(command)
    return [str(word) for word in command] if isinstance(command, list) else None


_provenance = _fitted(PROVENANCE)
