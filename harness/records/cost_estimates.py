"""Estimates the wall time of runs from the records of similar ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal, NamedTuple

from harness.records.devices import device_of
from harness.records.record import Record
from harness.spec import RunSpec


@dataclass(frozen=True)
class Estimate:
    """An estimate of the wall time of a run.

    Attributes:
        seconds: Wall time in seconds.
        source: ``settings`` if there are runs with the same settings and another seed; ``pair`` for a rough estimate
            from other settings of the same task and method.
    """

    seconds: float
    source: Literal["settings", "pair"]


class Costs:
    """Wall times of succeeded runs: a part in proportion to the work, and a constant rest."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_setting: dict[str, list[_Time]] = defaultdict(list)
        self._by_pair: dict[tuple[str, str], list[_Time]] = defaultdict(list)
        for record in records:
            seconds = record.provenance.get("wall_seconds")
            if record.status == "succeeded" and isinstance(seconds, int | float):
                spec, time = record.spec, _Time.of(record, seconds)
                self._by_setting[spec.setting].append(time)
                self._by_pair[spec.task, spec.method].append(time)

    def estimate(self, spec: RunSpec) -> Estimate | None:
        """Estimates a run from those on the most recent device; None if this task and method have no record."""
        if times := _of_last_device(self._by_setting.get(spec.setting, ())):
            return Estimate(fmean(time.seconds for time in times), "settings")
        if others := _of_last_device(self._by_pair.get((spec.task, spec.method), ())):
            return Estimate(median(time.rest + time.pace * _work(spec) for time in others), "pair")
        return None


class _Time(NamedTuple):
    """The wall time of a run, its seconds for each unit of work, and the rest (starting, testing)."""

    seconds: float
    pace: float
    rest: float
    device: str | None
    finished: str

    @staticmethod
    def of(record: Record, seconds: float) -> _Time:
        working = record.cost.get("embed_seconds") or record.cost.get("train_seconds", 0.0)
        pace, rest = working / _work(record.spec), seconds - working
        return _Time(seconds, pace, rest, device_of(record.provenance), record.finished)


def _of_last_device(times: Sequence[_Time]) -> list[_Time]:
    """The times on the device of the latest run, where the next one probably runs too."""
    last = max(times, key=lambda time: time.finished, default=None)
    return [] if last is None else [time for time in times if time.device == last.device]


def _work(spec: RunSpec) -> int:
    """The number of group samples in training; of a task without training, in all embeddings."""
    settings = spec.settings
    if not settings.epochs:
        return settings.initialisations * settings.test_samples
    examples = settings.epochs * min(filter(None, (settings.train_size, spec.task_params.get("train"))), default=1)
    if settings.max_steps is not None:
        examples = min(examples, settings.max_steps * settings.batch_size)
    return examples * settings.train_samples
