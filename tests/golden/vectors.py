"""Arrays measured from the authors' code, and our networks with the weights that these came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.catalogue import PROBABILISTIC
from baselines.samplers.probabilistic import ProbabilisticSymmetrization
from tasks.symmetry.element import Permutation
from tasks.symmetry.groups import group
from tasks.symmetry.structure import Signature, Structure

FORWARD = {"rtol": 0.0, "atol": 1e-12}
GRADIENT = 1e-11  # of the largest entry of a group of weights
STATISTICS = {"mean": "running_mean", "var": "running_var"}
Names = Mapping[str, str]  # ours by those of the file
Vectors = Mapping[str, Tensor]


def vectors(name: str) -> Vectors:
    """The arrays of one file by their names."""
    with np.load(Path(__file__).with_name(f"{name}.npz"), allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def below(found: Vectors, prefix: str) -> Vectors:
    """What stands behind ``prefix``, by the rest of its name."""
    return {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}


def graph_structures(features: Tensor, adjacency: Tensor, counts: Tensor) -> Structure:
    """Graphs whose nodes that exist come first."""
    return Structure.build(
        torch.arange(features.shape[1]) < counts[:, None],
        node_scalars=features,
        edge_scalars=adjacency.to(features.dtype)[..., None],
    )


def graph_sampler(x: Structure, signature: Signature, weights: Vectors, **params: Any) -> ProbabilisticSymmetrization:
    """Probabilistic symmetrization over S_n by a q of width 16 with these weights, as published."""
    published: dict[str, Any] = {
        "q": "gin",
        "noise": "uniform",
        "width": 16,
        "layers": 3,
        "temperature": 0.01,
        "input_linear": False,
        "norm_padding": True,
    }
    settings = PROBABILISTIC.settings_from({**published, **params})
    sampler = ProbabilisticSymmetrization(group(("S_n",)), signature, settings).double()
    load(sampler.network.scorer, weights, dict(graph_q_names(3)))
    return sampler


def graph_q_names(layers: int) -> Iterator[tuple[str, str]]:
    yield "virtual_node", "virtual_node"
    for layer in range(layers):
        yield f"layer{layer}.eps", f"layers.{layer}.eps"
        for pair in (1, 2):
            ours = f"layers.{layer}.mlp.{pair - 1}"
            for part in ("weight", "bias"):
                yield f"layer{layer}.linear{pair}.{part}", f"{ours}.linear.{part}"
                yield f"layer{layer}.norm{pair}.{part}", f"{ours}.norm.{part}"
            for theirs, statistic in STATISTICS.items():
                yield f"layer{layer}.norm{pair}.{theirs}", f"{ours}.norm.{statistic}"
    yield from both("head", "head")


def both(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    """Weight and bias of a linear map."""
    yield f"{theirs}.weight", f"{ours}.weight"
    yield f"{theirs}.bias", f"{ours}.bias"


def names_of_layers(weights: Vectors) -> Names:
    """``layer1.edge1.bias`` is ``layers.1.edge.2.bias``: in ours an activation stands between two layers."""

    def ours(name: str) -> str:
        return re.sub(r"(?<=[a-z])\d", lambda place: f".{2 * int(place[0])}", re.sub("^layer", "layers.", name))

    return {name: ours(name) for name in weights}


def load(module: nn.Module, weights: Vectors, names: Names) -> None:
    """Every tensor of ``module`` gets its value, and every one of ``weights`` is used."""
    assert set(weights) <= set(names), sorted(set(weights) - set(names))
    state = module.state_dict()
    given = {names[name]: value for name, value in weights.items()}
    missing = {name for name in state if name not in given and not name.endswith("num_batches_tracked")}
    assert not missing, sorted(missing)
    module.load_state_dict(state | given)


def assert_values(module: nn.Module, expected: Vectors, names: Names, atol: float = 1e-12) -> None:
    """Weights and statistics of ``module`` are those of the file."""
    state = module.state_dict()
    assert expected
    for name, value in expected.items():
        torch.testing.assert_close(state[names[name]], value, rtol=0.0, atol=atol)


def assert_gradients(module: nn.Module, expected: Vectors, names: Names) -> None:
    """The gradients that ``module`` holds are those of the file, against the largest entry of all of them."""
    parameters = dict(module.named_parameters())
    largest = max(value.abs().max().item() for value in expected.values())
    assert largest > 0
    for name, value in expected.items():
        gradient = parameters[names[name]].grad
        found = torch.zeros_like(value) if gradient is None else gradient
        worst = (found - value).abs().max().item()
        assert worst <= GRADIENT * largest, f"{name}: {worst / largest:.1e} of the largest entry"


def soft_matrix(permutation: Permutation) -> Tensor:
    """P_soft ``[B, K, nodes, places]``: the soft identity behind an element, its rows where their nodes stand."""
    soft = permutation.relaxation
    assert soft is not None
    return torch.zeros_like(soft).scatter(2, permutation.images[..., None].expand_as(soft), soft)
