"""Which number of the validation set says how good weights are (no torch)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tasks.cards import TaskCard
from tasks.protocol import Protocol


@dataclass(frozen=True)
class Monitor:
    """The loss or a metric of the task by its name, and whether more or less of it is better."""

    name: str = "loss"
    direction: Literal["max", "min"] = "min"

    @staticmethod
    def of(card: TaskCard, protocol: Protocol) -> Monitor:
        """What ``protocol`` asks for on a task."""
        return Monitor(card.metric, card.direction) if protocol.monitor == "metric" else Monitor()

    def better(self, value: float, best: float | None) -> bool:
        """Whether ``value`` beats the ``best`` so far (``None``: there is none); what is not finite never does."""
        if not math.isfinite(value):
            return False
        return best is None or (value > best if self.direction == "max" else value < best)
