"""System metrics: what the process and the machine really do, seldom, and with the GPU's where there is one."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from harness.tracking import machine
from harness.tracking.machine import Machine


@pytest.fixture(autouse=True)
def own_monitors() -> None:
    machine._monitors.cache_clear()


def test_a_busy_process_is_seen_to_be_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SAMPLE_SECONDS", 0.0)
    watched = Machine()
    time.sleep(0.3)
    idle = watched.sample()["system/process_cpu_utilization_percentage"]
    began = time.process_time()
    since = time.monotonic()
    while time.process_time() - began < 0.3:
        sum(range(1000))
    spent = time.process_time() - began
    busy = watched.sample()
    share = 100 * spent / (time.monotonic() - since)
    assert idle < busy["system/process_cpu_utilization_percentage"]
    assert busy["system/process_cpu_utilization_percentage"] == pytest.approx(share, rel=0.35)
    assert busy["system/process_memory_usage_megabytes"] == pytest.approx(psutil.Process().memory_info().rss / 1e6, 0.2)
    assert 0 < busy["system/system_memory_usage_percentage"] <= 100
    assert "system/cpu_utilization_percentage" in busy


def test_samples_are_seldom() -> None:
    watched = Machine()
    assert watched.sample()
    assert watched.sample() == {}
    assert machine.SAMPLE_SECONDS >= 10


def test_a_gpu_is_watched_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.system_metrics.metrics import gpu_monitor

    fake = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=2e9, total=8e9),
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=75),
        nvmlDeviceGetPowerUsage=lambda handle: 100_000,
        nvmlDeviceGetEnforcedPowerLimit=lambda handle: 400_000,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(gpu_monitor, "pynvml", fake, raising=False)
    values = Machine().sample()
    assert values["system/gpu_0_utilization_percentage"] == 75
    assert values["system/gpu_0_memory_usage_megabytes"] == 2000


def test_sampling_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processor time of this thread: a thousandth of the time between two samples at most."""
    watched = Machine()
    monkeypatch.setattr(machine, "SAMPLE_SECONDS", 0.0)
    began = time.thread_time()
    for _ in range(20):
        watched.sample()
    assert (time.thread_time() - began) / 20 < 0.01


class Monitor:
    """Gives the mean of what it collected since it was cleared."""

    def __init__(self) -> None:
        self.collected: list[float] = []
        self.now = 0.0

    def collect_metrics(self) -> None:
        self.collected.append(self.now)

    def aggregate_metrics(self) -> dict[str, float]:
        return {"load": sum(self.collected) / len(self.collected)}

    def clear_metrics(self) -> None:
        self.collected.clear()


def test_a_sample_is_of_its_own_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor, shares = Monitor(), iter([0.0, 50.0, 150.0])  # psutil's first answer says nothing
    monkeypatch.setattr(machine, "_monitors", lambda: [monitor])
    monkeypatch.setattr(machine, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(machine.psutil.Process, "cpu_percent", lambda self: next(shares))
    watched = Machine()
    for now, share in ((10.0, 50.0), (30.0, 150.0)):
        monitor.now = now
        sample = watched.sample()
        assert sample["system/load"] == now and sample["system/process_cpu_utilization_percentage"] == share
