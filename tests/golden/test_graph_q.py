"""q for S_n against the authors': scores, permutations, soft permutations, entropy and every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.samplers.probabilistic import TIE_NOISE, ProbabilisticSymmetrization
from baselines.samplers.sampler import Sample
from tasks.symmetry.element import Permutation
from tasks.symmetry.representation import Representation
from tasks.symmetry.sorting import permutation_entropy
from tasks.symmetry.structure import Signature, Structure
from tests.golden.vectors import (
    FORWARD,
    assert_gradients,
    assert_values,
    below,
    graph_q_names,
    graph_sampler,
    graph_structures,
    soft_matrix,
    vectors,
)

V = vectors("graph_q")
NAMES = dict(graph_q_names(3))
CASES = pytest.mark.parametrize(("part", "mode"), [(p, m) for p in ("exp", "graph8c") for m in ("eval", "train")])


def structures(part: str) -> Structure:
    return graph_structures(V[f"{part}.node_features"], V[f"{part}.adjacency"], V[f"{part}.node_counts"])


def sampler_in(part: str, mode: str) -> tuple[Structure, ProbabilisticSymmetrization]:
    x = structures(part)
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    return x, graph_sampler(x, signature, below(V, "weights.")).train(mode == "train")


def sampled(x: Structure, sampler: ProbabilisticSymmetrization, part: str) -> tuple[Sample, Permutation]:
    sample = sampler(x, (V[f"{part}.noise.features"], V[f"{part}.noise.ties"]))
    assert isinstance(sample.element, Permutation)
    return sample, sample.element


def permuted_input(x: Structure, element: Permutation, part: str) -> Tensor:
    """``[B, K, ...]``: permuted features node by node, then the permuted adjacency; of GRAPH8c the latter alone."""
    inverse = element.inverse()
    nodes = inverse.act(x.node_scalars[:, None], Representation.NODE_SCALARS).flatten(2)
    edges = inverse.act(x.edge_scalars[:, None], Representation.EDGE_SCALARS).flatten(2)
    return torch.cat([nodes, edges], -1) if part == "exp" else edges


@CASES
def test_scores(part: str, mode: str) -> None:
    x, sampler = sampler_in(part, mode)
    features, ties = V[f"{part}.noise.features"], V[f"{part}.noise.ties"]
    tied = sampler.network(x, (features, ties), 1.0).scores
    expected = V[f"{part}.{mode}.scores.tied"]
    exist = x.mask[:, None].expand_as(tied)
    largest = expected.abs().max().item()
    torch.testing.assert_close(tied[exist], expected[exist], rtol=0.0, atol=1e-12 * largest)
    raw = tied - TIE_NOISE * ties
    torch.testing.assert_close(raw, V[f"{part}.{mode}.scores.raw"], rtol=0.0, atol=1e-12 * largest)


@CASES
def test_permutations_and_their_entropy(part: str, mode: str) -> None:
    x, sampler = sampler_in(part, mode)
    sample, element = sampled(x, sampler, part)
    expected = V[f"{part}.{mode}.place_of_node"]
    exist = x.mask[:, None].expand_as(expected)
    assert torch.equal(element.preimages[exist], expected[exist])
    assert torch.equal(element.images[exist], V[f"{part}.{mode}.node_at_place"][exist])
    torch.testing.assert_close(soft_matrix(element), V[f"{part}.{mode}.soft"], **FORWARD)
    torch.testing.assert_close(sample.statistics["entropy"], V[f"{part}.{mode}.entropy"], **FORWARD)
    assert sample.penalty is not None
    torch.testing.assert_close(sample.penalty.detach(), 0.1 * V[f"{part}.{mode}.entropy"], **FORWARD)


@CASES
def test_the_gradient_of_the_entropy(part: str, mode: str) -> None:
    x, sampler = sampler_in(part, mode)
    sample, _ = sampled(x, sampler, part)
    assert sample.penalty is not None
    (sample.penalty / 0.1).backward()
    assert_gradients(sampler.network.scorer, below(V, f"{part}.{mode}.gradient.entropy."), NAMES)


@CASES
def test_the_straight_through_gradient(part: str, mode: str) -> None:
    """Of a functional of the permuted input: fails where the soft permutation is the transpose of the published one."""
    x, sampler = sampler_in(part, mode)
    _, element = sampled(x, sampler, part)
    rows = permuted_input(x, element, part)
    if mode == "eval":
        assert torch.equal(rows[:2].detach(), V[f"{part}.eval.permuted_input"].double())
    functional = (V[f"{part}.functional.weight"] * rows).sum()
    torch.testing.assert_close(functional.detach(), V[f"{part}.{mode}.functional"], rtol=1e-14, atol=1e-12)
    functional.backward()
    assert_gradients(sampler.network.scorer, below(V, f"{part}.{mode}.gradient.functional."), NAMES)


@pytest.mark.parametrize("part", ["exp", "graph8c"])
def test_running_statistics(part: str) -> None:
    """Fails where padded rows do not count in batch normalisation."""
    x, sampler = sampler_in(part, "train")
    sampled(x, sampler, part)
    assert_values(sampler.network.scorer, below(V, f"{part}.train.after."), NAMES)


def test_the_entropy_of_the_mean_permutation() -> None:
    x, sampler = sampler_in("exp", "eval")
    _, element = sampled(x, sampler, "exp")
    means = element.mean_matrix.double()
    each = [permutation_entropy(mean[None], mask[None]) for mean, mask in zip(means, x.mask, strict=True)]
    torch.testing.assert_close(torch.stack(each), V["exp.eval.entropy_of_mean_permutation"], **FORWARD)
