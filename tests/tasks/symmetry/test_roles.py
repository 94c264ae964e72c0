"""Tensors by role become structures and are found again; what does not go together is one sentence."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.errors import SettingsError, SymbenchError
from tasks.symmetry.groups import group
from tasks.symmetry.roles import (
    INPUTS,
    OUTPUTS,
    ROLES,
    acted_output,
    checked_output,
    ranks_of,
    structure_of,
    tensors_of,
)
from tasks.symmetry.structure import Structure

SIZES = {"B": 2, "N": 4, "D": 3, "C": 2, "P": 2, "V": 3, "E": 5}


def tensor(role: str, whole: bool = True) -> Tensor:
    if role == "mask":
        return torch.tensor([[True, True, True, False], [True] * 4])
    shapes = ROLES[role].shapes
    return torch.randn([SIZES[axis] for axis in shapes[0 if whole else -1]], dtype=torch.float64)


def inputs(roles: Mapping[str, bool]) -> dict[str, Tensor]:
    return {role: tensor(role, whole) for role, whole in roles.items()}


ROLES_GIVEN = st.dictionaries(st.sampled_from(INPUTS), st.booleans(), min_size=1).filter(
    lambda roles: {*roles} != {"mask"}
)


@given(ROLES_GIVEN)
def test_structures_give_the_tensors_back_in_their_order(roles: dict[str, bool]) -> None:
    given = inputs(roles)
    found = tensors_of(structure_of(given), ranks_of(given))
    assert list(found) == list(given)
    exists = given.get("mask", torch.ones(2, 4, dtype=torch.bool))
    for role, values in given.items():
        axes = 2 if ROLES[role].axes.count("N") == 2 else 1
        kept = exists[:, :, None] & exists[:, None] if axes == 2 else exists
        expected = values * kept.view(*kept.shape, *[1] * (values.dim() - kept.dim()))
        torch.testing.assert_close(found[role], expected, rtol=0, atol=0)


@given(ROLES_GIVEN)
def test_absent_nodes_may_hold_anything(roles: dict[str, bool]) -> None:
    given = inputs({**roles, "mask": True})
    dirty = {role: values if role == "mask" else values.clone() for role, values in given.items()}
    for role, values in dirty.items():
        if role != "mask":
            values[0, 3] = torch.nan
            if ROLES[role].axes.count("N") == 2:
                values[0, :, 3] = torch.inf
    one, other = structure_of(given), structure_of(dirty)
    for name in ("node_scalars", "points", "vectors", "edge_scalars"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_the_action_on_structures_is_that_on_tensors() -> None:
    """Rotations turn positions and vectors, translations move positions alone, permutations rename nodes."""
    given = inputs({role: False for role in INPUTS if role != "mask"})
    x = structure_of(given)
    g = group(("S_n", "E(3)")).random(x, 1, torch.Generator().manual_seed(0))
    moved = tensors_of(x.acted(g), ranks_of(given))
    permutation, rigid = g.factors  # type: ignore[attr-defined]
    order, turn, shift = permutation.preimages[:, 0], rigid.matrix[:, 0], rigid.translation[:, 0]
    for b in range(2):
        there = {role: values[b][order[b]] for role, values in given.items()}
        expected = {
            "node_features": there["node_features"],
            "positions": there["positions"] @ turn[b].T + shift[b],
            "vectors": there["vectors"] @ turn[b].T,
            "adjacency": there["adjacency"][:, order[b]],
            "edge_features": there["edge_features"][:, order[b]],
        }
        for role, values in expected.items():
            torch.testing.assert_close(moved[role][b], values)


def test_the_adjacency_is_the_first_channel_of_edges() -> None:
    given = inputs({"edge_features": True, "adjacency": True})
    x = structure_of(given)
    assert x.edge_scalars.shape[-1] == 6
    assert torch.equal(x.edge_scalars[..., 0], given["adjacency"])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("role", OUTPUTS)
def test_outputs_have_zeros_for_absent_nodes(role: str, whole: bool) -> None:
    x = structure_of(inputs({"positions": False, "mask": True}))
    values = tensor(role, whole)
    found = checked_output(values, role, x)
    assert torch.equal(found[1], values[1]) and found.shape == values.shape
    if role != "graph_features":
        exist = (0, slice(3), slice(3)) if ROLES[role].axes.count("N") == 2 else (0, slice(3))
        assert torch.equal(found[exist], values[exist])
        assert (found[0] == 0).sum() == found[0].numel() - found[exist].numel()


@pytest.mark.parametrize("role", [role for role in INPUTS if role != "mask"])
def test_outputs_move_like_inputs_of_the_same_role(role: str) -> None:
    """With and without channels, for one and for several elements."""
    for whole in (True, False):
        given = {"positions": tensor("positions", whole=False), role: tensor(role, whole)}
        x = structure_of(given)
        g = group(("S_n", "E(3)")).random(x, 3, torch.Generator().manual_seed(1))
        expected = tensors_of(x.acted(g), ranks_of(given))[role].unflatten(0, (2, 3))
        torch.testing.assert_close(acted_output(given[role][:, None], role, g), expected)
        torch.testing.assert_close(acted_output(given[role][:, None], role, g.part(1, 2)), expected[:, 1:2])


WRONG: list[tuple[dict[str, object], str]] = [
    ({}, "There are no inputs"),
    ({"mask": tensor("mask")}, "There are no inputs"),
    ({"coordinates": tensor("positions")}, "There is no input 'coordinates'"),
    ({"graph_features": tensor("graph_features")}, "There is no input 'graph_features'"),
    ({"positions": [[1.0, 2.0]]}, "should be a tensor, not list"),
    ({"positions": torch.ones(4, 3)}, r"should have the shape \[B, N, D, P\] or \[B, N, D\], not \[4, 3\]"),
    ({"adjacency": torch.ones(2, 4, 5)}, r"should have the shape \[B, N, N\], not \[2, 4, 5\]"),
    ({"positions": torch.ones(2, 0, 3)}, "its axis N has size 0"),
    (
        {"positions": torch.ones(2, 4, 3), "vectors": torch.ones(2, 4, 2)},
        "'vectors' has D = 2, and 'positions' has D = 3",
    ),
    ({"positions": torch.ones(2, 4, 3), "node_features": torch.ones(2, 5, 1)}, "has N = 5, and 'positions' has N = 4"),
    ({"positions": torch.ones(2, 4, 3).int()}, "of a floating point dtype, not int32"),
    ({"positions": torch.ones(2, 4, 3), "vectors": torch.ones(2, 4, 3).double()}, "'vectors' is float64"),
    ({"positions": torch.ones(2, 4, 3), "mask": torch.ones(2, 4)}, "'mask' should be of dtype bool"),
    ({"positions": torch.ones(2, 4, 3), "mask": torch.ones(3, 4).bool()}, "'mask' has B = 3"),
    ({"positions": torch.ones(1, 2, 3), "mask": torch.tensor([[False, False]])}, "a node that exists"),
    ({"positions": torch.ones(1, 3, 3), "mask": torch.tensor([[True, False, True]])}, "sort them"),
    ({"positions": torch.ones(1, 2, 3, device="meta"), "vectors": torch.ones(1, 2, 3)}, "'vectors' is on cpu"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_what_does_not_go_together_is_one_sentence(given: dict[str, Tensor], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        structure_of(given)
    assert str(caught.value).count("\n") == 0 and str(caught.value).endswith(".")


@given(
    st.dictionaries(st.sampled_from([*ROLES, "x"]), st.lists(st.integers(0, 3), max_size=5).map(torch.ones), max_size=3)
)
def test_any_shapes_make_structures_or_one_sentence(given: dict[str, Tensor]) -> None:
    given = {role: values.bool() if role == "mask" else values for role, values in given.items()}
    try:
        x = structure_of(given)
    except SymbenchError as error:
        assert str(error).endswith(".")
    else:
        assert isinstance(x, Structure) and all(values.shape[:2] == x.mask.shape for values in given.values())


@pytest.mark.parametrize(
    ("role", "values", "message"),
    [
        ("energy", torch.ones(2), "There is no output 'energy'"),
        ("mask", tensor("mask"), "There is no output 'mask'"),
        ("positions", torch.ones(2, 4, 2), "has D = 2, and its inputs have D = 3"),
        ("node_features", torch.ones(2, 5, 1), "has N = 5, and its inputs have N = 4"),
        ("graph_features", torch.ones(6, 1), "has B = 6, and its inputs have B = 2"),
        ("graph_features", torch.ones(2, 4, 1), r"should have the shape \[B, C\] or \[B\], not \[2, 4, 1\]"),
        ("graph_features", (torch.ones(2, 1), None), "should be one tensor, not tuple"),
    ],
)
def test_outputs_of_another_shape_are_one_sentence(role: str, values: Tensor, message: str) -> None:
    x = structure_of({"positions": tensor("positions", whole=False)})
    with pytest.raises(SettingsError, match=message):
        checked_output(values, role, x)
