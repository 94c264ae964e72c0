"""What runs took, from their records, and so what others like them will take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from harness.records.record import Record
from harness.spec import RunSpec


@dataclass(frozen=True)
class Estimate:
    """Seconds that a run will take. From its own settings with another seed, or roughly from others of its pair."""

    seconds: float
    source: Literal["settings", "pair"]


class Costs:
    """Wall times of the runs that succeeded."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_setting: dict[str, list[float]] = defaultdict(list)
        self._by_pair: dict[tuple[str, str], list[float]] = defaultdict(list)
        for record in records:
            seconds = record.provenance.get("wall_seconds")
            if record.status == "succeeded" and isinstance(seconds, int | float):
                spec = record.spec
                self._by_setting[spec.setting].append(seconds)
                self._by_pair[spec.task, spec.method].append(seconds / _work(spec))

    def estimate(self, spec: RunSpec) -> Estimate | None:
        """``None`` where no run of this task and method has a record."""
        if times := self._by_setting.get(spec.setting):
            return Estimate(fmean(times), "settings")
        if paces := self._by_pair.get((spec.task, spec.method)):
            return Estimate(median(paces) * _work(spec), "pair")
        return None


def _work(spec: RunSpec) -> int:
    """What most of a run's time is proportional to: epochs, and group samples in each."""
    return max(1, spec.settings.epochs) * max(1, spec.settings.train_samples)
