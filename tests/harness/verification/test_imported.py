"""Inputs that are described in words, and functions that are imported by name."""

from __future__ import annotations

import pytest
import torch

from harness.errors import SettingsError
from harness.verification.imported import function_verdict, imported, random_inputs


def test_roles_give_tensors_in_their_order() -> None:
    text = "mask, node_features:4,positions,vectors:2,adjacency,edge_features"
    found = random_inputs(text, nodes=5, dimension=2, dtype=torch.float32)
    assert list(found) == ["mask", "node_features", "positions", "vectors", "adjacency", "edge_features"]
    assert [tuple(values.shape[1:]) for values in found.values()] == [(5,), (5, 4), (5, 2), (5, 2, 2), (5, 5), (5, 5)]
    assert found["mask"].dtype == torch.bool and found["positions"].dtype == torch.float32
    assert len(set(found["mask"].sum(1).tolist())) > 1 and found["mask"][:, 0].all()
    assert torch.equal(found["adjacency"], found["adjacency"].mT) and found["adjacency"].unique().tolist() == [0, 1]
    again = random_inputs(text, nodes=5, dimension=2, dtype=torch.float32)
    assert all(torch.equal(values, again[role]) for role, values in found.items())


def test_a_name_may_lead_to_an_attribute() -> None:
    assert imported("torch:linalg.norm") is torch.linalg.norm
    assert isinstance(imported("torch.nn:Identity"), torch.nn.Identity)
    with pytest.raises(SettingsError, match="'torch' names no function"):
        imported("torch")


@pytest.mark.parametrize(("group", "dimension"), [("S_n", 3), ("C_4", 2), ("U(2)", 4), ("S_n x SO+(1,3)", 4)])
def test_space_has_the_dimension_of_the_group(group: str, dimension: int) -> None:
    verdict = function_verdict("torch.nn:Identity", group, "positions", "positions", nodes=3, samples=(1, 4))
    assert verdict.passed and verdict.numbers["verdict"] == "exact"
    with pytest.raises(SettingsError, match=rf"does not run with positions \[8, 3, {dimension}\]: "):
        function_verdict("torch:cholesky", group, "positions", "positions", nodes=3, samples=(1, 4))
