"""What a caption says about the numbers below it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness import registry
from harness.report.content.captions import BOOTSTRAP, STDERR, caption, examples_in_test


def row(seeds: int, task: str = "nbody", version: str | None = None, **params: Any) -> dict[str, Any]:
    card = registry.tasks()[task]
    given = {**card.params, **params}
    return {
        "task": task,
        "task_version": version or card.version,
        "task_params": json.dumps(given),
        "seeds": seeds,
    }


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(5, test=2000)], f"n = 2,000 test examples; 5 seeds; {STDERR}; {BOOTSTRAP}."),
        ([row(3, test=50), row(10, test=200)], f"n = 50 to 200 test examples; 3 to 10 seeds; {STDERR}; {BOOTSTRAP}."),
        ([row(1, test=1), row(0, test=1)], f"n = 1 test example; 1 seed; {STDERR}; {BOOTSTRAP}."),
        ([row(5, "graph8c")], f"5 seeds; {STDERR}; {BOOTSTRAP}."),
        ([row(0, "graph8c")], "no seed gave a value."),
    ],
)
def test_a_caption_says_examples_seeds_and_intervals(rows: list[dict[str, Any]], expected: str) -> None:
    assert caption(rows, STDERR, BOOTSTRAP) == expected


def test_a_caption_takes_the_examples_that_were_measured_instead() -> None:
    assert caption([row(5, test=2000)], examples=[64, 32, 64]) == "n = 32 to 64 test examples; 5 seeds."
    assert caption([row(5, test=2000)], examples=[]) == "5 seeds."


@pytest.mark.parametrize(
    "changed",
    [{"task": "of_another_package"}, {"task_version": "of another time"}, {"task_params": '{"no such name": 1}'}],
)
def test_examples_that_the_registry_does_not_know_are_left_out(changed: dict[str, str]) -> None:
    known = row(5, test=2000)
    assert examples_in_test(known["task"], known["task_version"], known["task_params"]) == 2000
    assert caption([known | changed]) == "5 seeds."
