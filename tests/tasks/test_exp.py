"""EXP as a separation task: only the given pairs count, and 1-WL is what they are beyond."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.build import build, build_network
from harness.registry import method, resolve, task
from harness.training.context import RunContext
from harness.training.separation import Separation, Unseparated
from tasks.catalogue.graphs import ExpSettings
from tasks.exp import MAX_NODES, Exp, formula_graphs
from tasks.graphs import typed_graphs
from tasks.protocol import Protocol
from tasks.settings import NoSettings
from tasks.sources.exp import generated
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import SeparationTask

GENERATED = {"data": "generated"}
FEW = 6


def few_pairs() -> Structure:
    """Generated like EXP: graphs 2p and 2p + 1 are pair p."""
    graphs = generated(seed=0, pairs=FEW)
    return typed_graphs(
        torch.from_numpy(graphs.node_offset),
        torch.from_numpy(graphs.edge_offset),
        torch.from_numpy(graphs.node_type),
        torch.from_numpy(graphs.edge_index).long(),
        nodes=MAX_NODES,
    )


class FewPairs(SeparationTask):
    threshold = 0.001

    def __init__(self, settings: NoSettings) -> None:
        self.graphs = few_pairs()
        self.signature = Signature.of(self.graphs, Representation.GRAPH_SCALARS, 10)

    def structures(self) -> Structure:
        return self.graphs

    def pairs(self) -> torch.Tensor:
        return torch.arange(2 * FEW).unflatten(0, (-1, 2))


@given(seed=st.integers(0, 10_000), initialisations=st.integers(1, 3))
def test_only_given_pairs_are_counted(seed: int, initialisations: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(initialisations, 12, 2, generator=noise, dtype=torch.float64).round()
    every = torch.tensor(list(itertools.combinations(range(12), 2)))
    pairs = every[torch.rand(len(every), generator=noise) < 0.3]
    left = Unseparated(12, 0.5, torch.device("cpu"), pairs)
    assert len(left) == len(pairs)
    for of in embeddings:
        left.add(of)
    close = [(a, b) for a, b in pairs.tolist() if all((of[a] - of[b]).abs().sum() <= 0.5 for of in embeddings)]
    assert len(left) == len(close)
    assert left.members().nonzero()[:, 0].tolist() == sorted({place for pair in close for place in pair})


@pytest.mark.usefixtures("generated_data")
def test_the_600_pairs_are_those_of_the_data() -> None:
    problem = Exp(ExpSettings(**GENERATED))
    graphs, labels = formula_graphs(ExpSettings(**GENERATED))
    pairs = problem.pairs()
    assert pairs.shape == (600, 2) and len(pairs.unique()) == len(problem.structures()) == 1200
    assert torch.equal(labels[pairs][..., 0], torch.tensor([[1.0, 0.0]]).expand(600, -1))
    degrees = graphs.node_scalars[..., 1].sort(-1).values[pairs]
    assert torch.equal(degrees[:, 0], degrees[:, 1])
    mlp = resolve("exp", "mlp-ps", "paper", 0, task_params=GENERATED).base
    assert mlp["widths"] == [2048, 4096, 2048] and mlp["final_activation"] and mlp["activation"] == "tanh"
    assert task("exp").variant_of(GENERATED) == "generated variant of EXP"


@pytest.mark.usefixtures("generated_data")
@pytest.mark.parametrize("name", ["gin", "gcn", "gat", "gated_gcn", "ppgn"])
def test_who_tells_the_pairs_apart(name: str) -> None:
    """Colour refinement does not, nor what it bounds; PPGN does, in every one of a few pairs."""
    x = few_pairs().to("cpu", torch.float64)
    card = method(name).base
    params = {**card.params, "width": 16, "activation": "tanh"}
    model = build_network(card, Signature.of(x, Representation.GRAPH_SCALARS, 10), params).double().eval()
    with torch.no_grad():
        first, second = model(x).unflatten(0, (-1, 2)).unbind(1)
    gaps = (first - second).abs().sum(-1)
    assert (gaps > 1e-3).all() if name == "ppgn" else (gaps < 1e-5).all()


@pytest.mark.usefixtures("generated_data")
@pytest.mark.parametrize(("name", "unseparated"), [("gin", FEW), ("ppgn", 0)])
def test_counts_and_curve_are_over_the_pairs(name: str, unseparated: int) -> None:
    problem, spec = FewPairs(NoSettings()), resolve("exp", name, "quick", 0, task_params=GENERATED)
    protocol = Protocol(initialisations=4, test_samples=1, curve_size=7, curve_samples=(1,))
    counted = Separation(
        lambda: build(method(name), problem.signature, (), spec.base, {}),
        problem,
        group(("S_n",)),
        protocol,
        RunContext(),
        seed=0,
    )
    assert counted.metrics() == {
        "unseparated": unseparated,
        "false_separations": 0,
        "unseparated_sound": unseparated,
    }
    if name == "gin":
        assert [point.value for point in counted.curve()] == [3.0]  # graphs 0 to 5; the partner of 6 is not among them
