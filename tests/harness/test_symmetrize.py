"""Groups, samplers and settings by name: found, or refused in one sentence that says what is meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import symbench
from baselines.catalogue import GROUP_AVERAGING, SAMPLERS
from baselines.samplers.group_averaging import GroupAveraging
from harness import registry
from harness.errors import DoesNotFit, SettingsError, SymbenchError, UnknownName
from harness.symmetrize import parsed_group, symmetrize
from tasks.symmetry.names import GROUPS
from tasks.symmetry.roles import INPUTS, OUTPUTS

X = {"positions": torch.randn(2, 3, 3)}
MINE = replace(GROUP_AVERAGING, name="mine", title="a plug-in", implementation=GroupAveraging)


def flat(width: int = 9) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 1))


@pytest.mark.parametrize("name", [kind.replace("#", "3") for kind in GROUPS])
def test_every_group_is_read(name: str) -> None:
    assert parsed_group(name) == (name,) == parsed_group([name]) == parsed_group(f"  {name} ")


@pytest.mark.parametrize("text", ["S_n x O(3)", "O(3) x S_n", " S_n  x  O(3)", "S_n\u00d7O(3)"])
def test_products_are_read_with_groups_of_nodes_first(text: str) -> None:
    assert parsed_group(text) == ("S_n", "O(3)")
    assert symmetrize(flat(), text, "ga", inputs=X).symmetrized.sampler.group.name == "S_n x O(3)"


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"group": "O3"}, UnknownName, r"There is no group 'O3': did you mean 'O\(3\)'\?"),
        ({"group": "s_n x se(3)"}, UnknownName, r"There is no group 's_n': did you mean 'S_n'\?"),
        ({"group": "SE(4"}, UnknownName, r"did you mean 'SE\(4\)'\?"),
        ({"group": ""}, UnknownName, "There is no group ''"),
        ({"group": ()}, SettingsError, "The group has no factors"),
        ({"group": ("S_n", 3)}, UnknownName, "There is no group '3'"),
        ({"group": "S_n x C_n"}, SettingsError, "S_n and C_n both act on nodes"),
        ({"sampler": "pss"}, UnknownName, r"There is no sampler 'pss': did you mean 'ps'\?"),
        (
            {"sampler": "ps", "temprature": 1.0},
            UnknownName,
            "There is no sampler setting 'temprature': did you mean 'temp",
        ),
        ({"sampler": "ps", "temperature": -1.0}, SettingsError, "The sampler setting 'temperature' of 'ps' should be"),
        ({"sampler": "ps", "q": "gin"}, SettingsError, "The sampler 'ps' has no q 'gin'"),
        ({"sampler": "ps", "width": 4}, SettingsError, "width should be at least 6 for vector neurons"),
        ({"group": "Aff(3)"}, DoesNotFit, r"'ga' does not cover Aff\(3\) on these inputs: Aff\(3\) has no Haar"),
        ({"group": "O(2)"}, DoesNotFit, r"symmetrized over O\(2\): O\(2\) acts on R\^2"),
        ({"inputs": {"adjacency": torch.ones(2, 3, 3)}}, DoesNotFit, "acts on points and vectors, and there are none"),
        ({"inputs": {"vectors": X["positions"]}, "group": "E(3)"}, DoesNotFit, "there are only vectors"),
        ({"inputs": {"place": X["positions"]}}, SettingsError, "There is no input 'place'"),
        ({"inputs": X["positions"]}, SettingsError, "A Batch or Data of torch_geometric is expected, not Tensor"),
        ({"output": "energy"}, SettingsError, "There is no output 'energy'"),
        ({"module": torch.tanh}, SettingsError, "should be a torch.nn.Module, not builtin_function_or_method"),
    ],
)
def test_what_cannot_be_is_one_sentence(given: dict[str, Any], kind: type[SymbenchError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        symmetrize(**{"module": flat(), "group": "O(3)", "sampler": "ga", "inputs": X, **given})
    assert "\n" not in str(caught.value)


@given(
    group=st.lists(st.sampled_from([*(kind.replace("#", "3") for kind in GROUPS), "x", "O", ""]), max_size=3),
    sampler=st.sampled_from([*(card.name for card in SAMPLERS), "other"]),
    shapes=st.dictionaries(
        st.sampled_from(INPUTS), st.lists(st.integers(1, 4), min_size=2, max_size=4), min_size=1, max_size=3
    ),
    output=st.sampled_from([*OUTPUTS, "mask"]),
)
def test_whatever_is_asked_for_is_made_or_refused_in_one_sentence(
    group: list[str], sampler: str, shapes: dict[str, list[int]], output: str
) -> None:
    inputs = {role: torch.ones(shape, dtype=torch.bool if role == "mask" else None) for role, shape in shapes.items()}
    try:
        model = symmetrize(flat(), " x ".join(group), sampler, inputs=inputs, output=output)
    except SymbenchError as error:
        assert "\n" not in str(error)
    else:
        assert model.sampler.group.name == " x ".join(parsed_group(" x ".join(group)))


def test_a_card_and_a_plug_in_of_this_process_are_samplers() -> None:
    for model in (symmetrize(flat(), "O(3)", MINE, inputs=X), symmetrize(flat(), "O(3)", GROUP_AVERAGING, inputs=X)):
        assert isinstance(model.sampler, GroupAveraging)
    with pytest.raises(UnknownName):
        symmetrize(flat(), "O(3)", "mine", inputs=X)
    with registry.temporarily(MINE, origin="a test"):
        assert isinstance(symmetrize(flat(), "O(3)", "mine", inputs=X).sampler, GroupAveraging)


def test_settings_reach_the_sampler() -> None:
    model = symmetrize(flat(), "S_n x O(3)", "ps", inputs=X, width=12, temperature=0.3)
    assert model.sampler.relaxation.temperature == 0.3
    narrow, wide = (symmetrize(flat(), "O(3)", "ps", inputs=X, width=width) for width in (12, 24))
    assert sum(p.numel() for p in wide.parameters()) > sum(p.numel() for p in narrow.parameters())


def test_the_library_has_it() -> None:
    assert symbench.symmetrize is symmetrize and "symmetrize" in dir(symbench)
