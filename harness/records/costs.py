"""What runs took, from their records, and so what others like them will take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal, NamedTuple

from harness.records.record import Record
from harness.spec import RunSpec


@dataclass(frozen=True)
class Estimate:
    """Seconds that a run will take. From its own settings with another seed, or roughly from others of its pair."""

    seconds: float
    source: Literal["settings", "pair"]


class Costs:
    """Wall times of the runs that succeeded: what grows with the work to be done, and the rest, which does not."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_setting: dict[str, list[float]] = defaultdict(list)
        self._by_pair: dict[tuple[str, str], list[_Time]] = defaultdict(list)
        for record in records:
            seconds = record.provenance.get("wall_seconds")
            if record.status == "succeeded" and isinstance(seconds, int | float):
                spec = record.spec
                self._by_setting[spec.setting].append(seconds)
                self._by_pair[spec.task, spec.method].append(_Time.of(record, seconds))

    def estimate(self, spec: RunSpec) -> Estimate | None:
        """``None`` where no run of this task and method has a record."""
        if times := self._by_setting.get(spec.setting):
            return Estimate(fmean(times), "settings")
        if others := self._by_pair.get((spec.task, spec.method)):
            return Estimate(median(time.rest + time.pace * _work(spec) for time in others), "pair")
        return None


class _Time(NamedTuple):
    """Seconds for each unit of work, and those for starting and testing, whatever the work."""

    pace: float
    rest: float

    @staticmethod
    def of(record: Record, seconds: float) -> _Time:
        working = record.cost.get("embed_seconds") or record.cost.get("train_seconds", 0.0)
        return _Time(working / _work(record.spec), seconds - working)


def _work(spec: RunSpec) -> int:
    """Group samples in training, over all examples and epochs; of a task that does not train, in all embeddings."""
    settings = spec.settings
    if not settings.epochs:
        return settings.initialisations * settings.test_samples
    examples = settings.epochs * min(filter(None, (settings.train_size, spec.task_params.get("train"))), default=1)
    if settings.max_steps is not None:
        examples = min(examples, settings.max_steps * settings.batch_size)
    return examples * settings.train_samples
