"""GIN with identifiers against the authors': the gradient reaches q through identifiers alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from baselines.bases.gin_id import GINID
from baselines.catalogue.shared import GraphNetworkSettings
from baselines.samplers.sampler import Sample
from baselines.symmetrized import Symmetrized
from tasks.symmetry.element import Permutation
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.golden.vectors import (
    FORWARD,
    assert_gradients,
    below,
    both,
    graph_q_names,
    graph_sampler,
    graph_structures,
    load,
    vectors,
)

V = vectors("gin_id_ps")
Q = dict(graph_q_names(3))
BASE = {
    **{f"layer{layer}.eps": f"gin.convolutions.{layer}.eps" for layer in range(3)},
    **{theirs: ours for layer in range(3) for theirs, ours in both(f"layer{layer}", f"gin.convolutions.{layer}.nn")},
    **dict(both("head0", "gin.head.0")),
    **dict(both("head1", "gin.head.2")),
}
MODES = pytest.mark.parametrize("mode", ["eval", "train"])


def structures() -> Structure:
    return graph_structures(V["node_features"], V["adjacency"], V["node_counts"])


def model(mode: str) -> Symmetrized:
    x = structures()
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    base = GINID(signature, GraphNetworkSettings(width=16, layers=3, head=(10,))).double()
    weights = {name: value.reshape(1) if name.endswith("eps") else value for name, value in below(V, "base.").items()}
    load(base, weights, BASE)
    symmetrized = Symmetrized(base, graph_sampler(x, signature, below(V, "q.")), Representation.GRAPH_SCALARS)
    return symmetrized.train(mode == "train")


def forward(symmetrized: Symmetrized) -> tuple[Tensor, Tensor, Sample]:
    """Logits, their loss, and the sampled permutations."""
    sample = symmetrized.sampler(structures(), (V["noise.features"], V["noise.ties"]))
    value, mass = symmetrized._weighted_sum(structures(), sample)
    logits = value / mass
    return logits, binary_cross_entropy_with_logits(logits, V["labels"].double()[:, None]), sample


@MODES
def test_the_objective(mode: str) -> None:
    logits, loss, sample = forward(model(mode))
    assert isinstance(sample.element, Permutation) and sample.penalty is not None
    exist = structures().mask[:, None].expand_as(sample.element.preimages)
    assert torch.equal(sample.element.preimages[exist], V[f"{mode}.place_of_node"][exist])
    torch.testing.assert_close(logits[:, 0].detach(), V[f"{mode}.logits"], **FORWARD)
    torch.testing.assert_close(loss.detach(), V[f"{mode}.loss"], **FORWARD)
    torch.testing.assert_close(sample.statistics["entropy"], V[f"{mode}.entropy"], **FORWARD)
    torch.testing.assert_close((loss + sample.penalty).detach(), V[f"{mode}.objective"], **FORWARD)


@MODES
def test_gradients_of_the_loss(mode: str) -> None:
    symmetrized = model(mode)
    _, loss, _ = forward(symmetrized)
    loss.backward()
    assert_gradients(symmetrized.sampler.network.scorer, below(V, f"{mode}.gradient.loss.q."), Q)
    assert_gradients(symmetrized.base, below(V, f"{mode}.gradient.loss.base."), BASE)


@MODES
def test_gradients_of_the_objective(mode: str) -> None:
    symmetrized = model(mode)
    _, loss, sample = forward(symmetrized)
    assert sample.penalty is not None
    (loss + sample.penalty).backward()
    assert_gradients(symmetrized.sampler.network.scorer, below(V, f"{mode}.gradient.objective.q."), Q)


@MODES
def test_the_gradient_of_identifiers(mode: str) -> None:
    symmetrized = model(mode)
    x = structures()
    sample = symmetrized.sampler(x, (V["noise.features"], V["noise.ties"]))
    assert isinstance(symmetrized.base, GINID)
    inputs = symmetrized.base.pullback(x, sample.element)
    inputs.embedded.retain_grad()
    logits = symmetrized.base(inputs).unflatten(0, (len(x), 2)).mean(1)
    binary_cross_entropy_with_logits(logits, V["labels"].double()[:, None]).backward()
    assert inputs.embedded.grad is not None
    found = inputs.embedded.grad @ symmetrized.base.gin.convolutions[0].nn.weight[:, 2:]  # of what is embedded linearly
    expected = V[f"{mode}.gradient.loss.identifiers"]
    exist = x.pair_mask[:2, None].expand_as(expected)
    torch.testing.assert_close(found[:2][exist], expected[exist], rtol=0.0, atol=1e-11 * expected.abs().max().item())
