"""What a plan accepts can be built and trained: a setting that cannot work is refused before anything starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from baselines.build import load
from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness import registry
from harness.errors import SymbenchError
from harness.search.loading import load as load_search
from harness.suites.loading import load as load_suite
from harness.training.from_spec import new_model
from harness.verification import verdicts
from tasks.cards import TaskCard
from tasks.symmetry import groups, names
from tasks.task import SupervisedTask

TASKS = ("teacher_graph_invariant", "teacher_space_invariant", "teacher_space_equivariant", "shapes_o3", "shapes_se3")
FEW = {"train": 6, "validation": 6, "test": 6, "data": "generated", "points": 8}
TINY = {"width": 24, "layers": 1, "widths": [8], "heads": 2, "grid": 4, "weights": "random"}
EDGES: dict[type, list[Any]] = {
    int: [-1, 0, 1, 3, 2.5, "x"],
    float: [-0.5, 0, 0.5, 1, 1.5, "x"],
    str: ["x"],
    list: [[0], [-1], [2.5], ["x"], []],
    type(None): [-0.5, 0, 0.5, 1, "x", ["x"], []],
    bool: [True, False, 1],
}
ODD = {"q": ["transformer", "deepsets", "x"]}


def parts() -> Iterator[tuple[str, MethodCard, BaseCard | SamplerCard]]:
    """Every base model, alone or without symmetrization, and every sampler with a base model of each kind of task."""
    methods = registry.methods()
    for card in methods.values():
        if card.sampler is None or card.sampler.name == "none":
            yield "base", card, card.base
        if card.sampler is not None and card.base.name in ("mlp", "gnn"):
            yield "sampler", card, card.sampler


def task_of(card: MethodCard) -> TaskCard | None:
    fitting = (registry.task(name) for name in TASKS)
    return next((task for task in fitting if card.misfit(task, task.params) is None), None)


@cache
def problem(name: str) -> SupervisedTask:
    card = registry.task(name)
    found: SupervisedTask = load(card.implementation)(card.settings_from(few(card)))
    return found


def few(task: TaskCard) -> dict[str, Any]:
    return {**task.params, **{name: value for name, value in FEW.items() if name in task.params}}


def values() -> Iterator[Any]:
    for section, method, part in parts():
        task = task_of(method)
        assert task is not None, method.name
        for name, default in part.params.items():
            for value in (*EDGES[type(default)], *ODD.get(name, ())):
                yield pytest.param(method, task, section, name, value, id=f"{method.name}-{section}.{name}={value}")


@pytest.mark.parametrize(("method", "task", "section", "name", "value"), [*values()])
def test_what_a_plan_accepts_trains(method: MethodCard, task: TaskCard, section: str, name: str, value: Any) -> None:
    tiny = {"base": {key: item for key, item in TINY.items() if key in method.base.params}, "sampler": {}}
    if method.sampler is not None and name != "width":
        tiny["sampler"] = {key: 8 for key in ("width",) if key in method.sampler.params}
    tiny[section] = {**tiny[section], name: value}
    try:
        spec = registry.resolve(task.name, method.name, "quick", 0, task_params=few(task), **tiny)
    except SymbenchError as error:
        assert "\n" not in str(error) and name in str(error)
        return
    torch.manual_seed(0)
    model = new_model(spec, problem(task.name).signature)
    inputs, targets = problem(task.name).data("train")[:]
    prediction = model(inputs, 2, torch.Generator().manual_seed(0))
    loss = prediction.objective(problem(task.name).loss(prediction.value, targets))
    loss.backward()
    assert loss.isfinite()


def test_names_of_groups_are_known_without_building_one() -> None:
    assert {*names.GROUPS} == {*groups.SINGLE, *groups.FAMILIES}
    for name in ("S_n", "SO+(1,3)", "O(3)", "C_4", "Aff(2)"):
        assert names.is_group(name) and groups.group((name,)).name == name
    for name in ("x", "O(#)", "O()", "SO+(2,3)", "C_0", "O(3)x"):
        assert not names.is_group(name)
        with pytest.raises(ValueError, match="there is no group"):
            groups.group((name,))


REFUSED = [
    ("sampler.sinkhorn_steps", 0, "'sinkhorn_steps' should be a whole number, at least 1, not 0."),
    ("sampler.sinkhorn_steps", -3, "'sinkhorn_steps' should be like 20, not -3."),
    ("sampler.sinkhorn_steps", 2.5, "'sinkhorn_steps' should be like 20, not 2.5."),
    ("sampler.temperature", 0, "'temperature' should be above 0, not 0."),
    ("sampler.noise_scale", -1.0, "'noise_scale' should be like 1.0, not -1.0."),
    ("sampler.dropout", 1.0, "'dropout' should be at least 0 and below 1, not 1.0."),
    ("sampler.entropy_weight", -0.1, "'entropy_weight' should be like 0.1, not -0.1."),
    ("sampler.neighbours", 0, "'neighbours' should be a whole number, at least 1, not 0."),
    ("sampler.group", ["SO3"], "'group' should be a list, each entry a group of S_n, C_n, D_n,"),
    ("base.layers", 0, "'layers' should be a whole number, at least 1, not 0."),
    ("base.heads", 0, "'heads' should be a whole number, at least 1, not 0."),
]


def suite_with(folder: Path, name: str, value: Any) -> Path:
    section, _, key = name.partition(".")
    experiment = {"tasks": ["nbody"], "methods": ["transformer-ps"], section: {key: value}}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"protocol": "quick", "experiments": [experiment]}, sort_keys=False))
    return path


@pytest.mark.parametrize(("name", "value", "sentence"), REFUSED)
def test_a_suite_a_search_and_a_check_refuse_it_alike(name: str, value: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SymbenchError) as caught:
        load_suite(suite_with(tmp_path, name, value))
    assert "mine.yaml, line " in str(caught.value) and sentence in str(caught.value)
    search = {"task": "nbody", "method": "transformer-ps", "protocol": "quick", "trials": 2}
    (tmp_path / "search.yaml").write_text(yaml.safe_dump({**search, "space": {name: {"choice": [value]}}}))
    with pytest.raises(SymbenchError) as caught:
        load_search(tmp_path / "search.yaml")
    assert "search.yaml, line " in str(caught.value) and sentence in str(caught.value)
    with pytest.raises(SymbenchError) as caught:
        verdicts.subject("transformer-ps", "nbody", [f"{name}={json.dumps(value)}"])
    own = "ps" if name.startswith("sampler") else "transformer"
    assert f"setting {sentence}".replace("' should", f"' of '{own}' should") in str(caught.value)


TOGETHER = [
    ("base.heads", 5, "width should be a multiple of heads, unlike 64 and 5"),
    ("sampler.width", 5, "width should be at least 6 for vector neurons, not 5"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), TOGETHER)
def test_settings_that_do_not_go_together_are_refused_before_a_run(
    name: str, value: Any, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SymbenchError, match=sentence):
        load_suite(suite_with(tmp_path, name, value)).expand()
    search = {"task": "nbody", "method": "transformer-ps", "protocol": "quick", "trials": 2}
    (tmp_path / "search.yaml").write_text(yaml.safe_dump({**search, "space": {name: {"choice": [16, value]}}}))
    with pytest.raises(SymbenchError, match=rf"search.yaml, line \d+: .*{sentence}"):
        load_search(tmp_path / "search.yaml")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"patience": 0}, "patience must be at least 1, not 0"),
        ({"clip_norm": 0.0}, "clip_norm must be positive, not 0.0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, not -0.1"),
        ({"train_size": 0}, "train_size must be at least 1, not 0"),
        ({"valid_size": -1}, "valid_size must be at least 1, not -1"),
        ({"test_size": 0}, "test_size must be at least 1, not 0"),
        ({"curve_samples": []}, "curve_samples must be a list of one or more different numbers of at least 1"),
        ({"curve_samples": [0, 1]}, "curve_samples must be a list of one or more different numbers of at least 1"),
        ({"monitor": "los"}, "'settings.monitor' should be 'loss' or 'metric'"),
        ({"train_size": 50}, "drop_last leaves no batch of 100 among 50 training examples"),
    ],
)
def test_protocol_settings_that_cannot_work_are_refused(
    settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    experiment = {"tasks": ["nbody"], "methods": ["egnn"], "settings": settings}
    path.write_text(yaml.safe_dump({"protocol": "quick", "experiments": [experiment]}))
    with pytest.raises(SymbenchError, match=sentence):
        load_suite(path).expand()


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        ("nbody", "nodes", 1),
        ("nbody", "train", 0),
        ("nbody", "data_seed", -1),
        ("pattern", "nodes", 8),
        ("pattern", "data", "oficial"),
        ("exp_classify", "data", "oficial"),
        ("shapes_o3", "occlusion", 1.0),
        ("shapes_o3", "poses", "alined"),
        ("teacher_graph_invariant", "stabilised", 1.5),
        ("brec", "max_nodes", 0),
        ("teacher_space_invariant", "group", ["SO3"]),
        ("peptides_func", "nodes", 0),
    ],
)
def test_task_params_that_cannot_work_are_refused(task: str, name: str, value: Any) -> None:
    with pytest.raises(SymbenchError, match=f"The task_params setting '{name}' of '{task}' should be"):
        registry.resolve(task, "gin", "quick", 0, task_params={name: value})
