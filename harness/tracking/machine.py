"""MLflow's system metrics of a run, sampled by the thread that mirrors it.

They are no part of a record, so a run that is rebuilt from its record has none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import psutil

SAMPLE_SECONDS = 10.0
_PREFIX = "system/"


class Machine:
    """CPU and memory of this process and of the machine, and all its GPUs, with MLflow's names and units."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._monitors = _monitors()
        self._last = float("-inf")
        self._cpu()  # the first value has no meaning: a value covers the time since the previous one

    def sample(self) -> Mapping[str, float]:
        """The current values; empty if the last sample is less than :data:`SAMPLE_SECONDS` old."""
        now = time.monotonic()
        if now - self._last < SAMPLE_SECONDS:
            return {}
        self._last = now
        values = {
            "process_cpu_utilization_percentage": self._cpu(),
            "process_memory_usage_megabytes": self._process.memory_info().rss / 1e6,
        }
        for monitor in self._monitors:
            monitor.collect_metrics()
            values |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        return {_PREFIX + name: value for name, value in values.items()}

    def _cpu(self) -> float:
        """The CPU utilization in percent of one core: 200 if two are busy."""
        return float(self._process.cpu_percent())


@cache
def _monitors() -> list[Any]:
    """MLflow's monitors, created once for each process; without a GPU or its driver only that of the processor."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    found: list[Any] = [CPUMonitor()]
    found[0].collect_metrics()
    found[0].clear_metrics()
    try:
        found.append(GPUMonitor())
    except (ImportError, RuntimeError) as error:
        logging.getLogger(__name__).debug("no GPU is watched: %s", error)
    return found
