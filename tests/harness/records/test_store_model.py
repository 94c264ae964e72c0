"""Any sequence of writes, reads and damages against a model of the store, and records against their JSON."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.spec import RunSpec
from harness.training.results import CurvePoint, VariancePoint
from tasks.protocol import Protocol
from tests.harness.records.plain_records import DESCRIPTION, ROWS, failed, path_of, spec, succeeded


class StoreMachine(RuleBasedStateMachine):
    """Any order of writes and damage: a succeeded record is there, as written, until its own file is damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name))
        self.good: dict[int, Record] = {}
        self.bad: dict[int, Record] = {}

    @rule(seed=st.integers(0, 2), value=st.floats(allow_nan=False, allow_infinity=False))
    def succeed(self, seed: int, value: float) -> None:
        self.good[seed] = succeeded(seed, value)
        self.bad.pop(seed, None)
        self.store.write(self.good[seed], ROWS)

    @rule(seed=st.integers(0, 2))
    def fail(self, seed: int) -> None:
        self.store.write(failed(seed), ROWS[:1])
        if seed not in self.good:
            self.bad[seed] = failed(seed)

    @precondition(lambda self: self.good or self.bad)
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        seed = data.draw(st.sampled_from(sorted({*self.good, *self.bad})))
        path = path_of(self.store, self.good.pop(seed, None) or self.bad.pop(seed))
        body = path.read_bytes()
        path.write_bytes(body[: data.draw(st.integers(0, len(body) - 3))])

    @rule()
    def leave_a_half_written_file(self) -> None:
        (self.store.root / "records" / f".{spec().digest}.json.x.tmp").write_text('{"schema"')

    @invariant()
    def the_store_agrees(self) -> None:
        expected = {**{seed: "failed" for seed in self.bad}, **{seed: "succeeded" for seed in self.good}}
        assert self.store.statuses() == {spec(seed).digest: status for seed, status in expected.items()}
        for seed, record in {**self.bad, **self.good}.items():
            assert self.store.read(spec(seed).digest) == record
            assert self.store.history(spec(seed).digest).height == (2 if seed in self.good else 1)

    def teardown(self) -> None:
        self.folder.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
params = st.dictionaries(st.text(max_size=5), json_values, max_size=3)
measured = st.dictionaries(st.text(max_size=5), finite, max_size=3)
points = st.builds(CurvePoint, samples=st.integers(1, 64), value=finite, value_error=finite, variance=finite)
variances = st.builds(
    VariancePoint,
    stage=st.sampled_from(["initialised", "trained"]),
    samples=st.integers(1, 200),
    repeats=st.integers(1, 100),
    output_variance=finite,
    loss_mean=finite,
    loss_variance=finite,
)
records = st.builds(
    Record,
    spec=st.builds(
        RunSpec,
        task=st.text(),
        task_version=st.text(),
        task_params=params,
        method=st.text(),
        method_version=st.text(),
        base=params,
        sampler=params,
        seed=st.integers(0, 2**31),
        protocol=st.text(),
        settings=st.builds(Protocol, epochs=st.integers(0, 9), curve_samples=st.tuples(st.integers(1, 64))),
    ),
    suite=st.text(),
    status=st.sampled_from(["succeeded", "failed"]),
    description=st.just(DESCRIPTION),
    started=st.text(),
    finished=st.text(),
    metrics=measured,
    curve=st.lists(points, max_size=3).map(tuple),
    output_variance=st.lists(variances, max_size=3).map(tuple),
    cost=measured,
    notes=st.lists(st.text(), max_size=2).map(tuple),
    provenance=params,
    failure=st.none() | st.builds(Failure, sentence=st.text(), traceback=st.text()),
)


@given(record=records)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_record_survives_json(record: Record) -> None:
    again = Record.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False)))
    assert again == record
    assert again.digest == record.digest


def test_a_metric_that_is_not_finite_keeps_its_name_and_can_be_written_again() -> None:
    record = replace(succeeded(), metrics={"a": float("inf"), "b": float("nan"), "c": 1.0})
    values = record.to_dict()
    assert values["metrics"] == {"a": None, "b": None, "c": 1.0}
    assert Record.from_dict(values).to_dict() == values


def test_a_record_from_before_variances_were_measured_has_none() -> None:
    values = {name: value for name, value in succeeded().to_dict().items() if name != "output_variance"}
    assert Record.from_dict(values) == succeeded()
