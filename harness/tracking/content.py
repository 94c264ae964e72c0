"""The params, tags, metrics and artifacts of a run in MLflow, both for running runs and for records."""

from __future__ import annotations

import getpass
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
"""The longest param that every MLflow server since 1.0 accepts; the artifact ``spec.json`` has the full values."""

DIGEST = "symbench.digest"
FINISHED = "symbench.finished"
LAUNCH = "symbench.launch"
STORE = "symbench.store"
STORE_ID = "symbench.store_id"
TASK = "symbench.task"
METRIC = "symbench.metric"
DIRECTION = "symbench.direction"
PARENT = "mlflow.parentRunId"
"""Earlier versions put runs below a run for their launch, which hid them in MLflow's pages."""

KIND = "mlflow.experimentKind"
NOTE = "mlflow.note.content"

_LARGEST = 2**63 - 1
_NOT_IN_NAMES = re.compile(r"[^/\w.\- :]")


class Point(NamedTuple):
    """The value of a metric at a step; ``timestamp`` is in milliseconds since 1970."""

    name: str
    value: float
    timestamp: int
    step: int


class Home(NamedTuple):
    """The place of a run in MLflow.

    Attributes:
        launch: The id of the launch.
        store: The location of the store, for people.
        store_id: The identity of the store (:func:`~harness.tracking.identity.store_id`).
    """

    launch: str
    store: str
    store_id: str


def experiment_name(suite: str) -> str:
    """The name of the experiment of a suite."""
    return _cut(_text(f"symbench/{suite}"), MAX_NAME)


def run_name(spec: RunSpec, description: Description) -> str:
    """The name of a run: method, seed, task and size. The method is first, since MLflow's legends cut long names."""
    size = f" {description.size_name}={description.size}" if description.size is not None else ""
    return _cut(_text(f"{spec.method} seed={spec.seed} {spec.task}{size}"), MAX_NAME)


def params(spec: RunSpec) -> dict[str, str]:
    """The flattened spec, with names such as ``settings.lr`` and ``task_params.nodes``."""
    return {name(key): _cut(value, MAX_VALUE) for key, value in _flat("", spec.to_dict())}


def opening_tags(job: Job, description: Description, home: Home) -> dict[str, str]:
    """The tags that are known when a run begins."""
    spec = job.spec
    return _texts(
        {
            DIGEST: spec.digest,
            TASK: spec.task,
            "symbench.method": spec.method,
            "symbench.seed": spec.seed,
            "symbench.protocol": spec.protocol,
            "symbench.suite": job.suite,
            "symbench.group": description.group,
            METRIC: description.metric,
            DIRECTION: description.direction,
            "symbench.kind": description.kind,
            "symbench.base_model": description.base_model,
            "symbench.sampler": description.sampler,
            "symbench.variant": description.variant,
            "symbench.weights": description.weights,
            "symbench.size": description.size,
            LAUNCH: home.launch,
            STORE: home.store,
            STORE_ID: home.store_id,
            "mlflow.user": _user(),
            "mlflow.source.name": f"symbench, suite {job.suite}",
            "mlflow.source.type": "LOCAL",
        }
    )


def closing_tags(record: Record) -> dict[str, str]:
    """The tags that are known when a run has ended. :data:`FINISHED` identifies the record among those of a digest."""
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
            "mlflow.source.git.commit": provenance.get("git_commit"),
            "symbench.error": record.failure.sentence if record.failure else None,
        }
    )


def experiment_tags(suite: str) -> dict[str, str]:
    """The tags of the experiment of a suite: its description, and that its runs are of machine learning."""
    return {KIND: "custom_model_development", NOTE: _cut(_text(f"Runs of the suite {suite} of symbench."), MAX_VALUE)}


def name(text: str) -> str:
    """The name if MLflow accepts it, else a valid name with a hash that makes it unique."""
    clean = posixpath.normpath(_NOT_IN_NAMES.sub("_", text)).lstrip("./")
    if text and clean == text and len(text) <= MAX_NAME:
        return text
    return f"{clean[: MAX_NAME - 9]}_{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def point(metric: str, value: Any, timestamp: int, step: int) -> Point:
    """A point that MLflow and its databases accept.

    The name has valid characters, a value that is no number becomes NaN, and timestamp and step are bounded integers.
    """
    return Point(name(metric), _number(value), max(0, _whole(timestamp)), _whole(step))


def history_points(rows: Iterable[tuple[int, str, float, float]], started: str) -> list[Point]:
    """The points of a history with rows (step, name, value, seconds since ``started``, an ISO 8601 time)."""
    begin = milliseconds(started)
    return [point(name, value, begin + round(seconds * 1000), step) for step, name, value, seconds in rows]


def closing_points(record: Record) -> list[Point]:
    """Points for test metrics and cost, and for curves, whose step is the number of group samples."""
    plain, end = record.to_dict(), milliseconds(record.finished)
    scalars = {"test": plain["metrics"], "cost": plain["cost"]}
    return [
        *(point(f"{kind}/{name}", value, end, 0) for kind, values in scalars.items() for name, value in values.items()),
        *(
            point(f"curve/{name}", row[name], end, row["samples"])
            for row in plain["curve"]
            for name in ("value", "value_error", "variance", "equivariance")
            if name != "equivariance" or row[name] is not None  # older records do not have it
        ),
        *(
            point(f"{row['stage']}/{name}", row[name], end, row["samples"])
            for row in plain["output_variance"]
            for name in ("output_variance", "loss_mean", "loss_variance")
        ),
    ]


def artifacts(record: Record) -> dict[str, str]:
    """The artifacts of a record: texts by file name, equal for a new record and one read from the store."""
    values = record.to_dict()
    files = {
        "spec.json": json.dumps(values["spec"], indent=1),
        "record.json": json.dumps(values, indent=1),
        "report.md": report(Record.from_dict(values)),
    }
    return files | ({"traceback.txt": values["failure"]["traceback"]} if record.failure else {})


def milliseconds(moment: str) -> int:
    """An ISO 8601 time in milliseconds since 1970."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _user() -> str | None:
    """The user who logs a run, if the system has a name for this user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without an entry for the user
        return None


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", _text(value)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: _cut(_text(value), MAX_VALUE) for key, value in values.items() if value is not None}


def _text(value: Any) -> str:
    """A text that databases accept: without zero bytes (PostgreSQL) and lone surrogates (SQLite)."""
    text = redacted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text.encode(errors="replace").decode().replace("\0", "?")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


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
