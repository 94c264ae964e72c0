"""How a run becomes params, tags, metrics and artifacts, whether it is mirrored as it goes or from its record."""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from harness.records.record import Description, Record
from harness.spec import Job, RunSpec
from harness.tracking.report import report
from harness.utils.redaction import redacted

MAX_NAME = 250
MAX_VALUE = 500
"""What every MLflow server since 1.0 takes as a param; the artifact ``spec.json`` has all of it."""

DIGEST = "symbench.digest"
FINISHED = "symbench.finished"
LAUNCH = "symbench.launch"
STORE = "symbench.store"
STORE_ID = "symbench.store_id"
PARENT = "mlflow.parentRunId"

_LARGEST = 2**63 - 1
_NOT_IN_NAMES = re.compile(r"[^/\w.\- :]")


class Point(NamedTuple):
    """One value of one metric; ``timestamp`` in milliseconds since 1970."""

    name: str
    value: float
    timestamp: int
    step: int


class Home(NamedTuple):
    """Where a run hangs in MLflow: the launch that made it, its parent run, and the store whose record it mirrors, by
    its place and by its name (:func:`~harness.tracking.identity.store_id`)."""

    launch: str
    parent: str
    store: str
    store_id: str


def experiment_name(suite: str) -> str:
    return _cut(_text(f"symbench/{suite}"), MAX_NAME)


def run_name(spec: RunSpec, description: Description) -> str:
    size = f" {description.size_name}={description.size}" if description.size is not None else ""
    return _cut(_text(f"{spec.task}{size} {spec.method} seed={spec.seed}"), MAX_NAME)


def params(spec: RunSpec) -> dict[str, str]:
    """The spec, flattened: ``settings.lr``, ``task_params.particles``, ..."""
    return {_name(key): _cut(value, MAX_VALUE) for key, value in _flat("", spec.to_dict())}


def opening_tags(job: Job, description: Description, home: Home) -> dict[str, str]:
    """What is known when a run begins."""
    spec = job.spec
    return _texts(
        {
            DIGEST: spec.digest,
            "symbench.task": spec.task,
            "symbench.method": spec.method,
            "symbench.seed": spec.seed,
            "symbench.protocol": spec.protocol,
            "symbench.suite": job.suite,
            "symbench.group": description.group,
            "symbench.metric": description.metric,
            "symbench.kind": description.kind,
            "symbench.base_model": description.base_model,
            "symbench.sampler": description.sampler,
            "symbench.variant": description.variant,
            "symbench.weights": description.weights,
            "symbench.size": description.size,
            LAUNCH: home.launch,
            STORE: home.store,
            STORE_ID: home.store_id,
            PARENT: home.parent,
        }
    )


def closing_tags(record: Record) -> dict[str, str]:
    """What is known when a run has ended. :data:`FINISHED` says which of a digest's records this mirrors."""
    provenance = record.provenance
    return _texts(
        {
            "symbench.status": record.status,
            FINISHED: record.finished,
            "symbench.host": provenance.get("host"),
            "symbench.device": provenance.get("device"),
            "symbench.version": provenance.get("symbench_version"),
            "symbench.git_commit": provenance.get("git_commit"),
            "symbench.git_dirty": provenance.get("git_dirty"),
            "symbench.error": record.failure.sentence if record.failure else None,
        }
    )


def point(name: str, value: Any, timestamp: int, step: int) -> Point:
    """A name that MLflow takes, and a float: what is none becomes NaN. Moments and steps are whole numbers that its
    databases hold."""
    return Point(_name(name), _number(value), max(0, _whole(timestamp)), _whole(step))


def history_points(rows: Iterable[tuple[int, str, float, float]], started: str) -> list[Point]:
    """The rows (step, name, value, seconds) of a history."""
    begin = milliseconds(started)
    return [point(name, value, begin + round(seconds * 1000), step) for step, name, value, seconds in rows]


def closing_points(record: Record) -> list[Point]:
    """Test metrics and cost; the curve and the variances with the number of group samples as the step."""
    plain, end = record.to_dict(), milliseconds(record.finished)
    scalars = {"test": plain["metrics"], "cost": plain["cost"]}
    return [
        *(point(f"{kind}/{name}", value, end, 0) for kind, values in scalars.items() for name, value in values.items()),
        *(
            point(f"curve/{name}", row[name], end, row["samples"])
            for row in plain["curve"]
            for name in ("value", "value_error", "variance", "equivariance")
            if name != "equivariance" or row[name] is not None  # of no record before it was measured
        ),
        *(
            point(f"{row['stage']}/{name}", row[name], end, row["samples"])
            for row in plain["output_variance"]
            for name in ("output_variance", "loss_mean", "loss_variance")
        ),
    ]


def artifacts(record: Record) -> dict[str, str]:
    """Files by name, the same whether the record was just made or read from the store."""
    values = record.to_dict()
    files = {
        "spec.json": json.dumps(values["spec"], indent=1),
        "record.json": json.dumps(values, indent=1),
        "report.md": report(Record.from_dict(values)),
    }
    return files | ({"traceback.txt": values["failure"]["traceback"]} if record.failure else {})


def milliseconds(moment: str) -> int:
    """Since 1970, of an ISO 8601 time."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", _text(value)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: _cut(_text(value), MAX_VALUE) for key, value in values.items() if value is not None}


def _text(value: Any) -> str:
    """What databases take: no zero byte (PostgreSQL), no half of a character (SQLite)."""
    text = redacted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text.encode(errors="replace").decode().replace("\0", "?")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _name(name: str) -> str:
    """The name, where MLflow takes it; else one made of what it takes, with a hash that keeps different ones apart."""
    clean = posixpath.normpath(_NOT_IN_NAMES.sub("_", name)).lstrip("./")
    if name and clean == name and len(name) <= MAX_NAME:
        return name
    return f"{clean[: MAX_NAME - 9]}_{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"


def _whole(number: Any) -> int:
    try:
        return max(-_LARGEST - 1, min(_LARGEST, int(number)))
    except OverflowError:  # infinite
        return _LARGEST if number > 0 else -_LARGEST - 1
    except (TypeError, ValueError):
        return 0


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
