"""The schema of search files: that of the repository is the command's, shipped searches keep to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.search.loading import FOLDER
from harness.search.model import Search
from harness.search.schema import search_schema
from harness.search.space import Dimension
from harness.suites.source import SuiteFile

SCHEMA = search_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
RIGHT: dict[str, Any] = {
    "task": "nbody",
    "method": "egnn",
    "protocol": "quick",
    "trials": 4,
    "space": {"settings.lr": {"loguniform": [1e-4, 1e-2]}, "base.width": {"choice": [32, 64]}},
}


def test_it_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_file_in_the_repository_is_what_the_command_prints() -> None:
    written = (FOLDER / "schema.json").read_text()
    assert written == json.dumps(SCHEMA, indent=1) + "\n", "symbench schema --search > ray_configs/search/schema.json"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_searches_keep_to_it_and_name_it(path: Any) -> None:
    assert [error.json_path for error in VALIDATOR.iter_errors(SuiteFile(path).data)] == []
    assert path.read_text().splitlines()[0] == "# yaml-language-server: $schema=schema.json"


@pytest.mark.parametrize(
    "change",
    [
        {"task": "nbdy"},
        {"method": "mlp-*"},
        {"trial": 3},
        {"trials": 0},
        {"algorithm": "grid"},
        {"scheduler": "hyperband"},
        {"reduction": 1},
        {"confirm": 1},
        {"settings": {"epochs": -1}},
        {"space": {}},
        {"space": {"base.widht": {"choice": [1]}}},
        {"space": {"settings.test_samples": {"choice": [1]}}},
        {"space": {"settings.lr": {"loguniform": [0, 1]}}},
        {"space": {"settings.lr": {"uniform": [1]}}},
        {"space": {"settings.lr": {"uniform": [0, 1], "choice": [1]}}},
    ],
)
def test_a_mistake_is_found(change: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(RIGHT)
    assert not VALIDATOR.is_valid({**RIGHT, **change})


def test_keys_are_those_that_searches_have() -> None:
    assert SCHEMA["properties"].keys() == Search.model_fields.keys()
    assert SCHEMA["$defs"]["dimension"]["properties"].keys() == Dimension.model_fields.keys()
