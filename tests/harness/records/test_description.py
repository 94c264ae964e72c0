"""What a record says of its task's control."""

from __future__ import annotations

import pytest

from harness import registry
from harness.records.description import describe


@pytest.mark.parametrize(
    ("task", "method", "control"),
    [
        ("graph8c", "gin", "unseparated_sound"),
        ("exp_classify", "mlp-ga", "accuracy_transformed"),
        ("nbody", "egnn", "mse_transformed"),
    ],
)
def test_a_record_names_the_control_of_its_task(task: str, method: str, control: str) -> None:
    params = {"data": "generated"} if task == "exp_classify" else {}
    assert describe(registry.resolve(task, method, "quick", 0, task_params=params)).control == control
