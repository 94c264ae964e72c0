"""How long a run will take, from runs that succeeded on the device where it probably runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.records.cost_estimates import Costs, Estimate
from harness.records.record import Record
from tests.harness.synthetic import default_provenance, make_record

SPEC = make_record(seed=99).spec
LONGER = make_record(settings={"epochs": 3 * SPEC.settings.epochs}).spec


def took(seconds: float, training: float, seed: int = 0, finished: str = "10:00", **provenance: Any) -> Record:
    return replace(
        make_record(seed=seed, cost={"train_seconds": training}),
        provenance={**default_provenance(), "wall_seconds": seconds, **provenance},
        finished=f"2026-03-02T{finished}:00+00:00",
    )


def failed(seconds: float, seed: int) -> Record:
    """A run that failed late, and whose record tells all that it took."""
    return replace(took(seconds, seconds, seed, "23:00"), status="failed")


@pytest.mark.parametrize("seconds", [0.01, 1e6])
def test_failed_runs_tell_nothing_of_how_long_others_take(seconds: float) -> None:
    """One that failed at once, or at its time limit, by settings and by pair."""
    done = [took(10.0, 8.0, 0), took(20.0, 8.0, 1)]
    costs = Costs([*done, *(failed(seconds, seed) for seed in (2, 3, 4))])
    assert costs.estimate(SPEC) == Estimate(15.0, "settings")
    assert costs.estimate(LONGER) == Costs(done).estimate(LONGER)
    assert Costs([failed(seconds, 0)]).estimate(SPEC) is None
    assert Costs([failed(seconds, 0)]).estimate(LONGER) is None


def test_a_run_with_more_work_takes_its_start_once_and_its_training_more_often() -> None:
    found = Costs([took(10.0, 8.0), took(30.0, 8.0, 1), took(11.0, 8.0, 2)]).estimate(LONGER)
    assert found == Estimate(pytest.approx(3.0 + 3 * 8.0), "pair")  # the median of 2, 22 and 3 seconds of start


def test_times_of_two_devices_have_no_mean() -> None:
    """What comes next takes as long as on the device that ran last, whatever the order of the records."""
    slow = [took(1000.0, 900.0, seed, f"1{seed}:00", device="AMD EPYC") for seed in (0, 1)]
    fast = [took(1.0, 0.9, seed, f"1{seed}:00", device="NVIDIA H100", device_type="cuda") for seed in (2, 3)]
    for records in ([*slow, *fast], [*fast, *slow]):
        assert Costs(records).estimate(SPEC) == Estimate(1.0, "settings")
    later = [*slow, *fast, took(500.0, 450.0, 4, "20:00", device="AMD EPYC")]
    assert Costs(later).estimate(SPEC) == Estimate(pytest.approx(2500.0 / 3), "settings")


@pytest.mark.parametrize("recorded", [None, "long"])
def test_records_without_a_time_tell_nothing(recorded: object) -> None:
    record = replace(took(1.0, 1.0), provenance={"wall_seconds": recorded})
    assert Costs([record]).estimate(SPEC) is None
