"""Two spellings of a setting are one run, and what means something else is another run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness import registry
from harness.parameters import normal
from harness.registry import resolve
from harness.spec import RunSpec
from tests.properties.card_settings import PLACES, Place, settings_without_limits


def digest(task: str, method: str, protocol: str = "quick", **changes: Any) -> str:
    return resolve(task, method, protocol, 0, **changes).digest


SAME: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("nbody", "mlp-ga", {"sampler": {"group": []}}, {}),
    ("nbody", "mlp-ga", {"sampler": {"group": None}}, {}),
    ("nbody", "mlp-ga", {"sampler": {"group": ["S_n", "E(3)"]}}, {}),
    ("nbody", "mlp-ga", {"sampler": {"group": ("E(3)", "S_n")}}, {}),
    ("nbody", "gnn-ga", {"sampler": {"group": ["E(3)"]}}, {}),
    ("nbody", "mlp-ga", {"sampler": {"group": ["O(3)", "S_n"]}}, {"sampler": {"group": ["S_n", "O(3)"]}}),
    ("nbody", "mlp-none", {"sampler": {"group": ["S_n"]}}, {}),
    ("exp_classify", "mlp-ga", {"base": {"reads": None}}, {}),
    ("exp_classify", "mlp-ga", {"base": {"reads": ["edges", "node_scalars", "edges"]}}, {}),
    ("exp_classify", "mlp-ga", {"base": {"reads": ("edges", "geometry")}}, {"base": {"reads": ["edges"]}}),
    ("nbody", "mlp-ga", {"base": {"reads": ["edges", "geometry", "node_scalars"]}}, {}),
    ("graph8c", "mlp-ga", {"base": {"reads": ["geometry", "edges"]}}, {}),
    ("nbody", "mpnn-ga", {"base": {"edge_channels": 2}}, {"base": {"edge_channels": None}}),
    ("nbody", "mpnn-ga", {"base": {"edge_channels": 7}}, {"base": {"edge_channels": None}}),
    ("teacher_space_equivariant", "mpnn-ga", {"base": {"edge_channels": 1}}, {}),
    ("nbody", "gnn-ps", {"sampler": {"dropout": 0.08}}, {}),
    ("exp_classify", "mlp-ps", {"sampler": {"dropout": 0}}, {}),
    ("exp_classify", "mlp-ps", {"sampler": {"dropout": -0.0, "q": "gin", "noise": "uniform"}}, {}),
    ("pattern", "mlp-ps", {"sampler": {"dropout": None}}, {"sampler": {"dropout": 0.0}}),
    ("nbody", "gnn-ps", {"sampler": {"noise_scale": 1, "temperature": 0.1, "axis_floor": -0.0}}, {}),
    ("pattern", "vit-ga", {"base": {"patch_dropout": 0}}, {}),
    ("shapes_o3", "mlp-ga", {"task_params": {"noise": 1}}, {"task_params": {"noise": 1.0}}),
    ("nbody", "mlp-ga", {"base": {"widths": (8, 4)}}, {"base": {"widths": [8, 4]}}),
    ("nbody", "mlp-ga", {"base": {"widths": [256.0, 256.0]}}, {}),
    ("nbody", "tfn", {"base": {"reach": 10}}, {}),
    ("teacher_space_invariant", "mlp-ga", {"task_params": {"group": ["O(3)", "S_n"], "degree": 9}}, {}),
    ("teacher_space_invariant", "mlp-ga", {"task_params": {"group": ["S_n", "O(3)"]}}, {}),
    (
        "teacher_space_invariant",
        "mlp-ga",
        {"task_params": {"group": ["O(#)"], "degree": 4}},
        {"task_params": {"group": ["O(4)"]}},
    ),
    (
        "teacher_space_invariant",
        "mlp-ga",
        {"task_params": {"group": ["SO+(1,3)"], "degree": 4}},
        {"task_params": {"group": ["SO+(1,3)"]}},
    ),
    (
        "teacher_space_invariant",
        "mlp-ga",
        {"task_params": {"group": ["SO(3)"]}, "sampler": {"group": ["SO(3)"]}},
        {"task_params": {"group": ["SO(3)"]}},
    ),
    ("exp_classify", "mlp-ps", {"sampler": {"q": "gin"}}, {}),
    ("nbody", "egnn", {"settings": {"weight_decay": -0.0}}, {"settings": {"weight_decay": 0}}),
    ("nbody", "egnn", {"settings": {"lr": 1, "clip_norm": 2}}, {"settings": {"lr": 1.0, "clip_norm": 2.0}}),
    ("nbody", "egnn", {"settings": {"curve_samples": [4, 1]}}, {"settings": {"curve_samples": (1, 4)}}),
    ("nbody", "egnn", {"settings": {"analysis_epochs": [4, 0]}}, {"settings": {"analysis_epochs": (0, 4)}}),
    ("exp_classify", "gin", {"settings": {"variance_samples": [4, 2]}}, {"settings": {"variance_samples": [2, 4]}}),
]


@pytest.mark.parametrize(("task", "method", "one", "other"), SAME)
def test_two_spellings_of_a_setting_are_one_run(
    task: str, method: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert digest(task, method, **one) == digest(task, method, **other)


DIFFERENT: list[tuple[str, str, dict[str, Any]]] = [
    ("nbody", "mlp-ga", {"sampler": {"group": ["S_n"]}}),
    ("nbody", "mlp-ga", {"sampler": {"group": ["S_n", "O(3)"]}}),
    ("nbody", "mlp-ga", {"base": {"reads": ["geometry"]}}),
    ("exp_classify", "mlp-ga", {"base": {"reads": ["edges"]}}),
    ("nbody", "mpnn-ga", {"base": {"edge_channels": 2}}),
    ("nbody", "gnn-ps", {"sampler": {"dropout": 0.0}}),
    ("exp_classify", "mlp-ps", {"sampler": {"dropout": 0.08}}),
    ("pattern", "mlp-ps", {"sampler": {"dropout": None}}),
    ("exp_classify", "mlp-ps", {"sampler": {"q": "deepsets"}}),
    ("nbody", "mlp-ga", {"base": {"widths": [4, 8]}}),
    ("teacher_space_invariant", "mlp-ga", {"task_params": {"group": ["S_n", "SO(3)"]}}),
    ("teacher_space_invariant", "mlp-ga", {"task_params": {"group": ["S_n", "O(4)"]}}),
]


@pytest.mark.parametrize(("task", "method", "changes"), DIFFERENT)
def test_what_means_something_else_is_another_run(task: str, method: str, changes: dict[str, Any]) -> None:
    assert digest(task, method, **changes) != digest(task, method)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_the_default_written_out_is_the_default(place: Place) -> None:
    protocol = next(iter(registry.task(place.task).protocols))
    spec = resolve(place.task, place.method, protocol, 0)
    for name, value in RunSpec.to_dict(spec)[place.section].items():
        if value is None and place.section == "task_params":
            continue
        written = {place.section: {name: value}}
        assert resolve(place.task, place.method, protocol, 0, **written).digest == spec.digest, name


def test_a_record_with_settings_that_are_refused_today_is_still_read() -> None:
    values = resolve("nbody", "egnn", "quick", 0).to_dict()
    values["settings"] |= {"curve_samples": [2, 2, 1], "clip_norm": -1, "patience": 0}
    spec = RunSpec.from_dict(values)
    assert spec.to_dict() == values
    assert (spec.settings.curve_samples, spec.settings.clip_norm) == ((2, 2, 1), -1)
    with pytest.raises(TypeError, match="no settings banana"):
        RunSpec.from_dict({**values, "settings": {"banana": 1}})


def test_without_a_limit_the_spelling_is_that_of_the_default() -> None:
    settings = settings_without_limits(a=(1.0, 2.0), b=0.5, c=None)
    card = replace(registry.method("egnn").base, settings=settings)
    found = normal(card, {"a": [1, 2], "b": 3, "c": None})
    assert repr(found) == "{'a': [1.0, 2.0], 'b': 3.0, 'c': None}"
    assert repr(normal(card, {"a": (1, 3)})) == "{'a': [1, 3]}"
