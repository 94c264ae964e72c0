"""What a generator's version stands for: the data that this version makes, by digest.

A digest that differs means other data under an old name, in the cache and in records: raise the generator's version
together with its digest here. So does a library that draws other numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from tasks.sources import exp, graph8c, pattern, point_clouds
from tasks.sources.splits import SPLITS

FEW = {"train": 14, "validation": 4, "test": 4}


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Of names, shapes, types and contents."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(f"{name} {array.shape} {array.dtype.str}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def connected_graphs() -> dict[str, np.ndarray]:
    return {f"{nodes} nodes": graph8c.connected_graphs(nodes) for nodes in (4, 6)}


def formulas() -> dict[str, np.ndarray]:
    graphs = exp.generated(seed=3, pairs=18)
    return {name: getattr(graphs, name) for name in ("node_offset", "edge_offset", "node_type", "edge_index", "label")}


def blocks() -> dict[str, np.ndarray]:
    found = pattern.generated(60, FEW, patterns=3, seed=3)
    return {
        f"{split} {name}": array
        for split in SPLITS
        for name, array in {**found[split].graphs.arrays(), "label": found[split].label}.items()
    }


Generator = Callable[[], Mapping[str, np.ndarray]]
VERSIONS: list[tuple[Generator, int, str]] = [
    (connected_graphs, graph8c.GENERATOR_VERSION, "1 8c76986bd437d949"),
    (formulas, exp.GENERATOR_VERSION, "1 74983fc67fdbc6c6"),
    (blocks, 1, "1 9e4c17f58779a966"),
]


@pytest.mark.parametrize(("made", "version", "known"), VERSIONS)
def test_a_version_always_makes_the_same(made: Generator, version: int, known: str) -> None:
    assert f"{version} {digest(made())}" == known


def test_shapes_of_a_version_agree_to_rounding() -> None:
    """Of coordinates, which rounding may move: their means when they are multiplied by a fixed wave."""
    found = point_clouds.generated(FEW, points=12, handed=True, seed=3)
    assert [found[split].label.tolist() for split in SPLITS] == [list(range(14)), [0, 1, 2, 3], [0, 1, 2, 3]]
    waves = [(found[split].points.ravel() * np.sin(np.arange(found[split].points.size))).mean() for split in SPLITS]
    assert waves == pytest.approx([-0.0142746, 0.037083, -0.0594291], abs=1e-6) and point_clouds.GENERATOR_VERSION == 1
