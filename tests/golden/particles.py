"""What the golden tests on charged particles share: the vectors, the particles, and official weights in our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tasks.nbody import charged_particles
from tasks.symmetry.structure import Structure

Vectors = Mapping[str, Tensor]


def vectors(name: str) -> Vectors:
    """All arrays of ``name``.npz."""
    with np.load(Path(__file__).with_name(f"{name}.npz")) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def below(found: Vectors, prefix: str) -> Vectors:
    """The arrays whose names start with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}


def particles(found: Vectors) -> Structure:
    return charged_particles(found["positions"], found["velocities"], found["charges"])


def in_our_names(weights: Vectors) -> dict[str, Tensor]:
    """``layer1.edge1.bias`` becomes ``layers.1.edge.2.bias``: in ours an activation stands between two layers."""

    def ours(name: str) -> str:
        return re.sub(r"(?<=[a-z])\d", lambda place: f".{2 * int(place[0])}", re.sub("^layer", "layers.", name))

    return {ours(name): value for name, value in weights.items()}


def assert_gradients(network: nn.Module, gradients: Vectors) -> None:
    """Those of all weights, to 1e-11 of the largest entry; a weight that nothing reads has none here and zero there."""
    expected = in_our_names(gradients)
    found = {name: value.grad for name, value in network.named_parameters()}
    assert found.keys() == expected.keys()
    tolerance = 1e-11 * max(value.abs().max().item() for value in expected.values())
    for name, value in found.items():
        read = torch.zeros_like(expected[name]) if value is None else value
        torch.testing.assert_close(read, expected[name], atol=tolerance, rtol=0)
