"""Graphs in several parts, without edges, with self-loops, of a single node: every method that reads graphs copes."""

from __future__ import annotations

import pytest
import torch

from baselines.build import build
from baselines.cards import MethodCard
from baselines.catalogue import METHODS
from baselines.model import Model
from tasks.catalogue.shared import QUICK_VIT
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

NODES = 6
GRAPHS = {
    "a node": (1, []),
    "two nodes without an edge": (2, []),
    "two triangles": (6, [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]),
    "an edge and a node": (3, [(0, 1)]),
    "self-loops": (4, [(0, 0), (1, 1), (1, 2), (2, 3)]),
    "a node with a self-loop": (1, [(0, 0)]),
}
METHODS_ON_GRAPHS = {
    card.name: card for card in METHODS if card.base.needs <= {"node_scalars", "edges"} <= card.base.reads
}


def odd_graphs() -> Structure:
    counts = torch.tensor([count for count, _ in GRAPHS.values()])
    mask = torch.arange(NODES) < counts[:, None]
    adjacency = torch.zeros(len(GRAPHS), NODES, NODES, dtype=torch.float64)
    for graph, (_, edges) in enumerate(GRAPHS.values()):
        for i, j in edges:
            adjacency[graph, i, j] = adjacency[graph, j, i] = 1
    scalars = torch.stack([mask.double(), adjacency.sum(-1)], -1)
    return Structure.build(mask, node_scalars=scalars, edge_scalars=adjacency[..., None])


def model_of(card: MethodCard, x: Structure, output: Representation) -> Model:
    base = {**card.base.params, **(QUICK_VIT.base if card.base.name == "vit" else {})}
    signature = Signature.of(x, output, 2)
    return build(card, signature, ("S_n",), base, card.sampler.params if card.sampler else {}).double()


@pytest.mark.parametrize("name", METHODS_ON_GRAPHS)
def test_odd_graphs_are_learned_from_and_predicted(name: str) -> None:
    """Finite outputs and gradients; where a method is exact, also the symmetry, graph by graph."""
    card, x = METHODS_ON_GRAPHS[name], odd_graphs()
    written = card.base.writes & {"graph_scalars", "node_scalars"}
    assert written
    for output in map(Representation, sorted(written)):
        model = model_of(card, x, output)
        model(x, 2, torch.Generator().manual_seed(0)).value.square().sum().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert gradients and all(gradient.isfinite().all() for gradient in gradients)
        model.eval()
        with torch.no_grad():
            y = model(x, 2, torch.Generator().manual_seed(0)).value
            assert y.isfinite().all()
            if output is Representation.NODE_SCALARS:
                assert not y[~x.mask].any()
            if card.sampler is None:
                g = group(("S_n",)).random(x, 1, torch.Generator().manual_seed(1))
                expected = g.act(y[:, None], output)[:, 0]
                torch.testing.assert_close(model(x.acted(g), 1).value, expected)
                alone = torch.cat([model(x[i : i + 1], 1).value for i in range(len(x))])
                torch.testing.assert_close(alone, y)
