"""A run's identity covers all that can change its outcome, and nothing else."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.spec import NEUTRAL, Job, Resources, RunSpec, digest_of
from harness.suites.loading import load
from tasks.protocol import Protocol

ROOT = Path(registry.__file__).parents[1]
PUBLISHED = sorted((ROOT / "results" / "published").iterdir())
SPEC = registry.resolve("nbody", "transformer-ps", "quick", 0)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, shuffled(inner, order)) for key, inner in value.items()]
        order.shuffle(items)
        return dict(items)
    return [shuffled(inner, order) for inner in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(), VALUES), st.randoms(use_true_random=False))
def test_order_of_keys_is_no_part_of_the_identity(params: dict[str, Any], order: random.Random) -> None:
    spec = replace(SPEC, task_params=params)
    assert replace(SPEC, task_params=shuffled(params, order)).digest == spec.digest


@given(VALUES, VALUES)
def test_two_values_are_two_runs(one: Any, other: Any) -> None:
    same = RunSpec.to_dict(replace(SPEC, base={"x": one}))["base"] == {"x": other}
    digests = {replace(SPEC, base={"x": one}).digest, replace(SPEC, base={"x": other}).digest}
    assert len(digests) == 2 or same


@pytest.mark.parametrize("name", [item.name for item in fields(RunSpec) if item.name not in ("protocol", "settings")])
def test_every_field_counts(name: str) -> None:
    value = getattr(SPEC, name)
    other = {**value, "more": 1} if isinstance(value, dict) else value + (1 if name == "seed" else "x")
    assert replace(SPEC, **{name: other}).digest != SPEC.digest


@pytest.mark.parametrize("name", [item.name for item in fields(Protocol)])
def test_every_setting_counts(name: str) -> None:
    others: dict[str, Any] = {
        "optimizer": "adamw",
        "schedule": "linear",
        "precision": "float64",
        "curve_samples": (1, 3),
        "clip_norm": 0.123,
        "patience": 7,
        "train_size": 11,
        "valid_size": 11,
        "test_size": 11,
        "drop_last": False,
        "max_steps": 11,
        "monitor": "metric",
        "variance_samples": (1,),
        "analysis_epochs": (0,),
        "compile": True,
    }
    other = others[name] if name in others else getattr(SPEC.settings, name) + 1
    assert replace(SPEC, settings=replace(SPEC.settings, **{name: other})).digest != SPEC.digest


def test_a_spec_from_before_a_setting_is_the_run_with_its_neutral_value() -> None:
    values = SPEC.to_dict()
    for name in NEUTRAL["settings"]:
        del values["settings"][name]
    assert digest_of(values) == RunSpec.from_dict(values).digest == SPEC.digest


def test_a_setting_that_came_later_counts_unless_it_changes_nothing() -> None:
    spec = replace(SPEC, sampler={**SPEC.sampler, **NEUTRAL["sampler"]})
    older = {name: value for name, value in spec.sampler.items() if name not in NEUTRAL["sampler"]}
    assert len(older) == len(spec.sampler) - len(NEUTRAL["sampler"])
    assert replace(spec, sampler=older).digest == spec.digest
    others = {"dropout": 0.1, "input_linear": False, "axis_floor": 1e-3, "norm_padding": True}
    for name in NEUTRAL["sampler"]:
        changed = {name: others.get(name, "coordinate")}
        assert replace(spec, sampler={**spec.sampler, **changed}).digest != spec.digest


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_records_are_the_runs_that_their_suites_ask_for(folder: Path) -> None:
    """Those of the versions of today; of the others the digest is still that of what they say they are."""
    jobs, _ = load(ROOT / "ray_configs" / f"{folder.name}.yaml").expand()
    records = [json.loads(path.read_text()) for path in (folder / "records").glob("*.json")]
    specs = {record["digest"]: RunSpec.from_dict(record["spec"]) for record in records}
    assert all(spec.digest == digest_of(spec.to_dict()) == digest for digest, spec in specs.items())
    assert {digest for digest, spec in specs.items() if is_current(spec)} <= {job.spec.digest for job in jobs}
    assert Counter(map(pair, specs.values())) == Counter(pair(job.spec) for job in jobs)


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_results_say_from_which_version_they_are(folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    records = [json.loads(path.read_text()) for path in (folder / "records").glob("*.json")]
    versions = {record["provenance"]["symbench_version"] for record in records}
    assert all(f"symbench {version}" in readme for version in versions)
    older = not all(is_current(RunSpec.from_dict(record["spec"])) for record in records)
    assert older == ("before the corrections of" in readme)


def is_current(spec: RunSpec) -> bool:
    versions = registry.task(spec.task).version, registry.method(spec.method).version
    return (spec.task_version, spec.method_version) == versions


def pair(spec: RunSpec) -> tuple[str, str, int]:
    return spec.task, spec.method, spec.seed


def test_label_of_the_protocol_suite_and_resources_do_not_count() -> None:
    assert replace(SPEC, protocol="paper").digest == SPEC.digest
    jobs = [
        Job(spec=SPEC, suite="a", resources=Resources(cpus=1)),
        Job(spec=SPEC, suite="b", resources=Resources(gpus=0.5, chunk=2, timeout=9.0, memory=1)),
    ]
    assert jobs[0].spec.digest == jobs[1].spec.digest


@given(st.integers(0, 2**31), st.dictionaries(st.text(), VALUES), st.floats(1e-9, 1e3))
def test_a_spec_survives_json(seed: int, params: dict[str, Any], lr: float) -> None:
    spec = replace(SPEC, seed=seed, sampler=params, settings=replace(SPEC.settings, lr=lr))
    again = RunSpec.from_dict(spec.to_dict())
    assert again.digest == spec.digest
    assert again.settings == spec.settings
    assert again.to_dict() == spec.to_dict()


def test_not_a_number_has_no_identity() -> None:
    with pytest.raises(ValueError):
        _ = replace(SPEC, base={"x": float("nan")}).digest


def test_a_new_version_is_a_new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = dict(registry.tasks())
    cards["nbody"] = replace(cards["nbody"], version="changed")
    monkeypatch.setattr(registry, "tasks", lambda: cards)
    assert registry.resolve("nbody", "transformer-ps", "quick", 0).digest != SPEC.digest
    monkeypatch.undo()
    methods = dict(registry.methods())
    old = methods["transformer-ps"]
    methods["transformer-ps"] = replace(old, base=replace(old.base, version="changed"))
    monkeypatch.setattr(registry, "methods", lambda: methods)
    assert registry.resolve("nbody", "transformer-ps", "quick", 0).digest != SPEC.digest


def test_resolving_writes_every_setting_out() -> None:
    card, method = registry.task("nbody"), registry.method("transformer-ps")
    assert method.sampler is not None
    assert SPEC.task_params.keys() == card.params.keys()
    assert SPEC.base.keys() == method.base.params.keys()
    assert SPEC.sampler.keys() == method.sampler.params.keys()
    assert asdict(SPEC.settings).keys() == {item.name for item in fields(Protocol)}
