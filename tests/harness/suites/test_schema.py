"""The schema of suite files: that of the repository is the command's, shipped suites keep to it, mistakes do not."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness import registry
from harness.suites.fields import ResourceFields, Settings
from harness.suites.loading import FOLDER
from harness.suites.model import Experiment, Override, Suite
from harness.suites.schema import limit_schema, suite_schema
from harness.suites.source import SuiteFile
from tasks.limits import COUNT, SEED, Each, Flag, Groups, Limit, Numbers, OneOf, Range, SomeOf
from tasks.protocol import Protocol
from tasks.settings import settings_of

SCHEMA = suite_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
SUITES = sorted(path.name for path in FOLDER.glob("*.yaml"))
RIGHT: dict[str, Any] = {"protocol": "quick", "experiments": [{"tasks": ["nbody"], "methods": ["egnn", "mlp-*"]}]}


def complaints(suite: Any) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(suite)]


def with_choices(**choices: Any) -> dict[str, Any]:
    """A suite whose experiment makes these choices."""
    return {**RIGHT, "experiments": [{**RIGHT["experiments"][0], **choices}]}


def test_it_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_file_in_the_repository_is_what_the_command_prints() -> None:
    written = (FOLDER / "schema.json").read_text()
    assert written == json.dumps(SCHEMA, indent=1) + "\n", "symbench schema > ray_configs/schema.json"


@pytest.mark.parametrize("name", SUITES)
def test_shipped_suites_keep_to_it_and_name_it(name: str) -> None:
    path = FOLDER / name
    assert complaints(SuiteFile(path).data) == []
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", path.read_text().splitlines()[0])
    assert named is not None and (path.parent / named[1]).resolve() == (FOLDER / "schema.json").resolve()


@pytest.mark.parametrize(
    ("suite", "place"),
    [
        ({**RIGHT, "experiment": []}, "$"),
        ({"protocol": "quick"}, "$"),
        ({**RIGHT, "experiments": []}, "$.experiments"),
        ({**RIGHT, "protocol": "quik"}, "$.protocol"),
        ({**RIGHT, "seeds": 0}, "$.seeds"),
        ({**RIGHT, "seeds": [1, 1]}, "$.seeds"),
        ({**RIGHT, "overrides": [{"tasks": ["nbody"]}]}, "$.overrides[0]"),
        ({**RIGHT, "overrides": [{"method": "egn"}]}, "$.overrides[0].method"),
        (with_choices(tasks=["nbdy"]), "$.experiments[0].tasks"),
        (with_choices(methods="mlp-haar"), "$.experiments[0].methods"),
        (with_choices(settings={"lr": 0}), "$.experiments[0].settings.lr"),
        (with_choices(settings={"optimizer": "sgd"}), "$.experiments[0].settings.optimizer"),
        (with_choices(settings={"lrr": 0.1}), "$.experiments[0].settings"),
        (with_choices(settings={"curve_samples": []}), "$.experiments[0].settings.curve_samples"),
        (with_choices(task_params={"nodes": 1}), "$.experiments[0].task_params.nodes"),
        (with_choices(task_params={"node": 5}), "$.experiments[0].task_params"),
        (with_choices(base={"width": 0}), "$.experiments[0].base.width"),
        (with_choices(base={"reads": ["edge"]}), "$.experiments[0].base.reads"),
        (with_choices(sampler={"noise_scale": -1}), "$.experiments[0].sampler.noise_scale"),
        (with_choices(sampler={"group": ["O(0)"]}), "$.experiments[0].sampler.group"),
        (with_choices(grid={"base.widht": [3]}), "$.experiments[0].grid"),
        (with_choices(grid={"settings.lr": [0.1, 0]}), "$.experiments[0].grid['settings.lr'][1]"),
        (with_choices(resources={"gpus": 2}), "$.experiments[0].resources.gpus"),
        (with_choices(resources={"memory": "lots"}), "$.experiments[0].resources.memory"),
    ],
)
def test_a_mistake_is_found_where_it_is(suite: dict[str, Any], place: str) -> None:
    assert complaints(RIGHT) == []
    assert place in complaints(suite)


@pytest.mark.parametrize(
    "choices",
    [
        {"tasks": "all", "methods": ["gin"]},
        {"task_params": {"nodes": 5}},
        {"sampler": {"group": ["S_n", "O(3)"], "q": None}},
        {"base": {"reads": None, "widths": [8, 8]}},
        {"grid": {"settings.lr": [1e-3, 3e-4], "task_params.nodes": [4, 8], "protocol": ["quick"]}},
        {"resources": {"cpus": 2, "gpus": 0.25, "memory": "8GiB", "chunk": None, "timeout": 3600}},
        {"seeds": [3, 5], "settings": {"clip_norm": None, "curve_samples": [1, 4]}},
    ],
)
def test_what_a_suite_may_say_is_accepted(choices: dict[str, Any]) -> None:
    assert complaints(with_choices(**choices)) == []


def test_keys_are_those_that_suites_have() -> None:
    properties, defined = SCHEMA["properties"], SCHEMA["$defs"]
    assert properties.keys() == Suite.model_fields.keys()
    assert properties["experiments"]["items"]["properties"].keys() == Experiment.model_fields.keys()
    assert properties["overrides"]["items"]["properties"].keys() == Override.model_fields.keys()
    assert defined["resources"]["properties"].keys() == ResourceFields.model_fields.keys()
    assert defined["settings"]["properties"].keys() == Settings.model_fields.keys()


def test_every_setting_says_what_it_means() -> None:
    for section in ("settings", "task_params", "base", "sampler"):
        for name, values in SCHEMA["$defs"][section]["properties"].items():
            assert "description" in values or all("description" in value for value in values["anyOf"]), name


def limits() -> Iterator[tuple[Limit | None, Any]]:
    """Every limit of a card or protocol with its default."""
    cards = [*registry.tasks().values(), *(method.base for method in registry.methods().values())]
    samplers = [method.sampler for method in registry.methods().values() if method.sampler]
    kinds = dict.fromkeys([Protocol, *(card.settings for card in (*cards, *samplers))])
    yield from ((setting.limit, setting.default) for kind in kinds for setting in settings_of(kind))


CANDIDATES: list[Any] = [
    -1, 0, 1, 2, 3, 44, 188, 444, 10_001, 2**31, 2**32, -0.5, 1e-13, 0.25, 0.999, 1.5, 1e-3, 1e10, True, False, "", "x",
    "adam", "linear", "auto", "gin", "random", [], [0], [1], [1, 1], [2, 1], [0.5], [1.5], ["x"], ["edges"], ["S_n"],
    ["S_n", "O(3)"], ["O(#)"], ["C_0"], ["C_4"], ["SO+(1,3)"], ["SO+(2,3)"], [None], [True], {}, {"a": 1}, [1] * 1_001,
]  # fmt: skip


def test_a_schema_accepts_what_its_limit_accepts() -> None:
    tried = 0
    for limit, default in limits():
        validator = Draft202012Validator(limit_schema(limit, default))
        assert limit is not None and validator.is_valid(default)
        assert validator.is_valid(None) == (default is None)
        for value in CANDIDATES:
            assert validator.is_valid(value) == (limit.wrong(value) is None), (str(limit), value)
            tried += 1
    assert tried > 5_000


@pytest.mark.parametrize(
    "limit", [COUNT, SEED, Range(above=0), Flag(), OneOf("a", "b"), Each(COUNT), SomeOf("a"), Numbers(1), Groups()]
)
def test_null_is_accepted_if_it_is_the_default(limit: Limit) -> None:
    for default in (None, 1):
        assert Draft202012Validator(limit_schema(limit, default)).is_valid(None) == (default is None)


@pytest.mark.parametrize(
    ("default", "right", "wrong"), [(3, 4, "x"), (0.5, 1, "x"), (True, False, 1), ("a", "b", 1), ([1], [], 1)]
)
def test_without_a_limit_a_value_is_like_the_default(default: Any, right: Any, wrong: Any) -> None:
    validator = Draft202012Validator(limit_schema(None, default))
    assert validator.is_valid(right) and not validator.is_valid(wrong)
    assert Draft202012Validator(limit_schema(None, None)).is_valid(math.pi)
