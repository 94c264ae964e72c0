"""Splits params, metrics and tags into calls within MLflow's limits."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.tracking.content import Point

MOST = {"points": 1000, "params": 100, "tags": 100}
MOST_TOGETHER = 1000
MOST_BYTES = 900_000
"""MLflow refuses requests above a million bytes of ASCII JSON; the margin is for the syntax around the entries."""
_NUMBERS_BYTES = 200


@dataclass
class Batch:
    """The entries of one call, and their ``size`` in bytes."""

    points: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def takes(self, kind: str, size: int) -> bool:
        """Returns True if another entry of this kind and size in bytes fits."""
        counts = {"points": len(self.points), "params": len(self.params), "tags": len(self.tags)}
        few = counts[kind] < MOST[kind] and sum(counts.values()) < MOST_TOGETHER
        return few and self.size + size <= MOST_BYTES


def batches(points: Iterable[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Batch]:
    """Yields all entries in order, in as few calls as the limits allow; the tags are in the last ones."""
    batch = Batch()
    for name, text in params.items():
        batch = yield from _room(batch, "params", _bytes(name, text))
        batch.params[name] = text
    for point in points:
        batch = yield from _room(batch, "points", _bytes(point.name))
        batch.points.append(point)
    for name, text in tags.items():
        batch = yield from _room(batch, "tags", _bytes(name, text))
        batch.tags[name] = text
    if batch.size:
        yield batch


def _room(batch: Batch, kind: str, size: int) -> Generator[Batch, None, Batch]:
    """Returns the batch for the next entry; first yields the current one if the entry does not fit."""
    if not batch.takes(kind, size):
        yield batch
        batch = Batch()
    batch.size += size
    return batch


def _bytes(*texts: str) -> int:
    return _NUMBERS_BYTES + sum(len(json.dumps(text)) for text in texts)
