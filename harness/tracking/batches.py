"""What is to be logged, in calls of which MLflow takes each."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.tracking.content import Point

MOST = {"points": 1000, "params": 100, "tags": 100}
MOST_TOGETHER = 1000
MOST_BYTES = 900_000
"""MLflow refuses a request above a million, as JSON in ASCII; the rest is for what stands around the entries."""
_NUMBERS_BYTES = 200


@dataclass
class Batch:
    """One call."""

    points: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def takes(self, kind: str, size: int) -> bool:
        """Whether another entry of that many bytes fits in."""
        counts = {"points": len(self.points), "params": len(self.params), "tags": len(self.tags)}
        few = counts[kind] < MOST[kind] and sum(counts.values()) < MOST_TOGETHER
        return few and self.size + size <= MOST_BYTES


def batches(points: Iterable[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Batch]:
    """Everything once, in its order, in as few calls as its limits allow; the tags stand in the last ones."""
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
    """The batch that the next entry goes into; one that has no room for it is finished."""
    if not batch.takes(kind, size):
        yield batch
        batch = Batch()
    batch.size += size
    return batch


def _bytes(*texts: str) -> int:
    return _NUMBERS_BYTES + sum(len(json.dumps(text)) for text in texts)
