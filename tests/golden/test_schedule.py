"""The learning rate at every step against that of the authors' loops (schedule.npz: factors of its peak)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.registry import resolve
from harness.training.schedule import Budget
from tasks.protocol import Protocol

FOUND = np.load(Path(__file__).with_name("schedule.npz"))
EXAMPLES = {
    "exp_classify": 800,
    "pattern": 10_000,
    "peptides_func": 10_873,
    "peptides_struct": 10_873,
    "pcqm_contact": 90_736,
}
RUNS = [
    ("exp_classify.mlp", "exp_classify", "mlp-ps"),
    ("exp_classify.gin_id", "exp_classify", "gin_id-ps"),
    *((task, task, "vit-ps") for task in EXAMPLES if task != "exp_classify"),
]


@pytest.mark.parametrize(("name", "task", "method"), RUNS, ids=lambda value: value)
def test_protocol_paper_has_the_official_steps_and_rates(name: str, task: str, method: str) -> None:
    settings = resolve(task, method, "paper", 0).settings
    budget = Budget(settings, EXAMPLES[task])
    assert settings.lr == FOUND[f"{name}.lr"]
    assert budget.steps == FOUND[f"{name}.steps"]
    assert budget.warmup == FOUND[f"{name}.warmup_steps"]
    factors = [budget.learning_rate_factor(int(step)) for step in FOUND[f"{name}.step"]]
    np.testing.assert_allclose(factors, FOUND[f"{name}.factor"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mlp", "gin_id"])
def test_the_official_option_that_falls_is_one_step_from_ours(name: str) -> None:
    """No published command takes it: it starts at the peak and ends at 0, where ours follows the vision tasks."""
    key, warmup = f"exp_classify.{name}", 1600
    steps = int(FOUND[f"{key}.steps"]) - 8  # it falls over the configured epochs, without the extra one
    budget = Budget(Protocol(epochs=steps, max_steps=steps, batch_size=1, schedule="linear", warmup_steps=warmup), 8)
    for step, factor in zip(FOUND[f"{key}.step"], FOUND[f"{key}.with_decay.factor"], strict=True):
        within = 1e-12 if step < warmup else max(1 / warmup, 1 / (steps + 1 - warmup))
        assert abs(budget.learning_rate_factor(min(int(step), steps)) - factor) <= within
