"""The number of the validation set by which weights are selected (no torch)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tasks.cards import TaskCard
from tasks.protocol import Protocol


@dataclass(frozen=True)
class Monitor:
    """The name of the loss or of a metric of the task, and whether larger or smaller is better."""

    name: str = "loss"
    direction: Literal["max", "min"] = "min"

    @staticmethod
    def of(card: TaskCard, protocol: Protocol) -> Monitor:
        """Returns the monitor that ``protocol`` has on a task."""
        return Monitor(card.metric, card.direction) if protocol.monitor == "metric" else Monitor()

    def better(self, value: float, best: float | None) -> bool:
        """Whether ``value`` is better than ``best`` (``None``: there is none yet); only finite values are."""
        if not math.isfinite(value):
            return False
        return best is None or (value > best if self.direction == "max" else value < best)
