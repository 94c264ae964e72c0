"""What the digest of a run promises: the same settings give the same numbers, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from baselines.model import Model
from harness.training import supervised
from harness.training.device import deterministic
from harness.training.execute import execute
from tasks.symmetry.structure import Structure
from tests.harness.training.small_problems import particles_spec
from tests.harness.training.test_no_waiting import fit

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("generated_data", "small_molecules")


def trained(task_name: str, method_name: str) -> tuple[list[Any], Mapping[str, torch.Tensor]]:
    with deterministic(CPU):
        torch.manual_seed(0)
        one = fit(task_name, method_name, CPU, validate_every=1)
        progress = one.run()
    history = [(epoch, {name: value for name, value in sorted(values.items())}) for epoch, values in progress.history]
    return history, one.model.state_dict()


def assert_equal(first: tuple[list[Any], Mapping[str, torch.Tensor]], second: Any) -> None:
    assert first[0] == second[0] and all(math.isfinite(values["train/loss"]) for _, values in first[0])
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])


@pytest.mark.parametrize(
    ("task_name", "method_name"),
    [
        ("exp_classify", "mlp-ps"),
        ("exp_classify", "gin_id-fa"),
        ("exp_classify", "gated_gcn"),
        ("exp_classify", "gps"),
        ("nbody", "transformer-ps"),
        ("nbody", "fa_gnn"),
        ("nbody", "vector_neurons"),
        ("peptides_func", "vit-ps"),
        ("peptides_struct", "vit-canonical"),
        ("pcqm_contact", "vit-fa"),
    ],
)
def test_a_run_that_is_done_twice_ends_with_the_same_bits(task_name: str, method_name: str) -> None:
    assert_equal(trained(task_name, method_name), trained(task_name, method_name))


@pytest.mark.parametrize("task_name", ["exp_classify", "pattern"])
def test_ranks_that_are_known_beforehand_change_no_number(task_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = trained(task_name, "gin_id-fa")
    monkeypatch.setattr("baselines.symmetrized.Symmetrized.prepared", Model.prepared)
    assert_equal(known, trained(task_name, "gin_id-fa"))


def test_a_prediction_costs_what_it_costs_for_new_structures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was computed of a data set before."""
    seen: list[Structure] = []

    def remembered(self: Model, graphs: Structure) -> Structure:
        ranks = torch.zeros(*graphs.mask.shape, 1, dtype=torch.int16)
        return Structure(*(ranks if name == "ranks" else value for name, value in vars(graphs).items()))

    def measured(model: Model, batch: Structure, *_: Any) -> dict[str, float]:
        seen.append(batch)
        return {}

    monkeypatch.setattr(Model, "prepared", remembered)
    monkeypatch.setattr(supervised, "cost", measured)
    execute(particles_spec("egnn", epochs=1))
    assert [batch.ranks.shape[-1] for batch in seen] == [0]
