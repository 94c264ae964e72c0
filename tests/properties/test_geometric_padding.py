"""q on geometry does not see nodes that are not there."""

from __future__ import annotations

import pytest
import torch

from baselines.catalogue.samplers import ProbabilisticSettings
from baselines.samplers.probabilistic import ProbabilisticSymmetrization
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_particles

NODES, PADDED, SAMPLES = 5, 8, 3


def learned(x: Structure) -> ProbabilisticSymmetrization:
    torch.manual_seed(0)
    signature = Signature.of(x, Representation.NODE_POINTS, 1)
    return ProbabilisticSymmetrization(group(("S_n", "O(3)")), signature, ProbabilisticSettings(width=24)).double()


def outputs(
    sampler: ProbabilisticSymmetrization, x: Structure, noise: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)  # of dropout
    found = sampler.network(x, noise, 1.0)
    assert found.scores is not None and found.matrix is not None
    return found.scores[..., :NODES], found.matrix


@pytest.mark.parametrize("nodes", [NODES, 2, 1])  # more than the neighbours, fewer, alone
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(nodes: int, training: bool) -> None:
    """Scores, matrices, gradients and running statistics are those of a network without padding."""
    x = random_particles(4, nodes)
    padded = x.padded(PADDED)
    one, other = learned(x).train(training), learned(padded).train(training)
    vectors, ties, ranks = other.noise(padded, SAMPLES, None)
    found = outputs(other, padded, (vectors, ties, ranks))
    expected = outputs(one, x, (vectors[:, :, :nodes], ties[:, :, :nodes], ranks))
    weights = torch.randn(SAMPLES, nodes, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
    for sampler, (scores, matrix) in ((other, found), (one, expected)):
        ((scores[..., :nodes] * weights[0]).sum() + (matrix * weights[1]).sum()).backward()
        assert sum(p.grad is not None for p in sampler.parameters()) > 10
    torch.testing.assert_close(found[0][..., :nodes], expected[0], atol=1e-10, rtol=0)
    torch.testing.assert_close(found[1], expected[1], atol=1e-10, rtol=0)
    torch.testing.assert_close(other.state_dict(), one.state_dict(), atol=1e-10, rtol=0)
    for (name, parameter), reference in zip(other.named_parameters(), one.parameters(), strict=True):
        assert (parameter.grad is None) == (reference.grad is None)
        if reference.grad is not None:
            torch.testing.assert_close(parameter.grad, reference.grad, atol=1e-8, rtol=1e-8, msg=name)


@pytest.mark.parametrize("training", [False, True])
def test_structures_of_different_sizes_share_a_batch(training: bool) -> None:
    """Each gives what it gives alone, but for the statistics and the dropout that a batch shares in training."""
    large, small = random_particles(2, NODES), random_particles(2, 3, seed=1)
    both = Structure.cat([large, small.padded(NODES)])
    sampler = learned(both).train(training)
    for module in sampler.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.Dropout):
            module.eval()
    noise = sampler.noise(both, SAMPLES, None)
    scores, matrix = outputs(sampler, both, noise)
    vectors, ties, ranks = (part[2:] for part in noise)
    alone = outputs(sampler, small, (vectors[:, :, :3], ties[:, :, :3], ranks))
    torch.testing.assert_close(scores[2:, :, :3], alone[0], atol=1e-10, rtol=0)
    torch.testing.assert_close(matrix[2:], alone[1], atol=1e-10, rtol=0)


def test_what_stands_where_no_node_is_does_not_matter() -> None:
    padded = random_particles(3, NODES).padded(PADDED)
    sampler = learned(padded).eval()
    vectors, ties, ranks = sampler.noise(padded, SAMPLES, None)
    expected = outputs(sampler, padded, (vectors, ties, ranks))
    vectors = torch.where(padded.mask[:, None, :, None, None], vectors, 1e6)
    for found, reference in zip(outputs(sampler, padded, (vectors, ties, ranks)), expected, strict=True):
        torch.testing.assert_close(found, reference, atol=1e-10, rtol=0)


def test_a_task_without_padding_looks_at_no_mask() -> None:
    x = random_particles(2, NODES)
    assert Signature.of(x.padded(PADDED), Representation.NODE_POINTS, 1).padded
    sampler = learned(x).eval()
    trunk, permutation = sampler.network.trunk, sampler.network.permutation
    seen: list[object] = []
    for module in (trunk, permutation):
        module.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1]))
    outputs(sampler, x, sampler.noise(x, SAMPLES, None))
    assert seen == [None, None]
