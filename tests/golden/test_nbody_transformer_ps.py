"""The transformer on n-body under S_n x O(3) against the authors': poses, outputs and gradients."""

from __future__ import annotations

import pytest
import torch

from baselines.bases.transformer import PairTransformer
from baselines.catalogue.base_models import TransformerSettings
from baselines.symmetrized import Symmetrized
from tasks.symmetry.element import Permutation, Product, Rigid
from tests.golden.particles import (
    MODES,
    Kept,
    forward,
    permutation_names,
    rotation_names,
    sampler,
    signature,
    structures,
    symmetrized,
)
from tests.golden.vectors import FORWARD, assert_gradients, assert_values, below, both, load, soft_matrix, vectors

V = vectors("nbody_transformer_ps")
Q = dict([*rotation_names(), *permutation_names()])
BASE = {"position": "position", **dict(both("embed", "embed")), **dict(both("norm", "encoder.norm"))}
for layer in range(2):
    ours = f"encoder.layers.{layer}"
    BASE[f"layer{layer}.attention.qkv.weight"] = f"{ours}.self_attn.in_proj_weight"
    BASE[f"layer{layer}.attention.qkv.bias"] = f"{ours}.self_attn.in_proj_bias"
    BASE |= both(f"layer{layer}.attention.out", f"{ours}.self_attn.out_proj")
    for theirs, name in {"norm1": "norm1", "norm2": "norm2", "feed0": "linear1", "feed1": "linear2"}.items():
        BASE |= both(f"layer{layer}.{theirs}", f"{ours}.{name}")
BASE |= {**dict(both("head0", "head.1")), **dict(both("head1", "head.3"))}
EACH = pytest.mark.parametrize("mode", MODES)


def model(mode: str) -> Symmetrized:
    base = PairTransformer(
        signature(structures(V)), TransformerSettings(width=32, layers=2, heads=4, equal_layers=True)
    ).double()
    load(base, below(V, "base."), BASE)
    q = sampler(V, ("S_n", "E(3)"), mode, Q)
    if mode == "dropout":
        # [B, K, channels, D, points] -> [B K, points, D, channels]
        q.network.permutation.second.dropout = Kept(V["dropout.mask.second"].flatten(0, 1).transpose(1, 3))
    return symmetrized(base, q, mode)


@EACH
def test_the_sampled_elements(mode: str) -> None:
    _, _, sample = forward(V, model(mode))
    assert isinstance(sample.element, Product)
    permutation, rigid = sample.element.factors
    assert isinstance(permutation, Permutation) and isinstance(rigid, Rigid)
    assert torch.equal(permutation.images, V[f"{mode}.node_at_place"])
    torch.testing.assert_close(soft_matrix(permutation).detach(), V[f"{mode}.soft"], **FORWARD)
    torch.testing.assert_close(rigid.matrix.detach(), V[f"{mode}.rotation"], **FORWARD)
    torch.testing.assert_close(sample.statistics["entropy"], V[f"{mode}.entropy"], **FORWARD)


@EACH
def test_what_q_puts_out(mode: str) -> None:
    """Fails where norms are roots of squares, and where rotations see dropout."""
    q = model(mode).sampler.network
    noise = V["noise.vectors"], torch.zeros_like(V["noise.ties"]), torch.zeros_like(V["noise.ranks"])
    output = q(structures(V), noise, 1.0)
    assert output.scores is not None and output.matrix is not None
    torch.testing.assert_close(output.scores.detach(), V[f"{mode}.scores"], **FORWARD)
    torch.testing.assert_close(output.matrix.detach(), V[f"{mode}.q_matrix"], **FORWARD)


@EACH
def test_what_the_base_model_sees_and_puts_out(mode: str) -> None:
    network = model(mode)
    _, _, sample = forward(V, network.eval() if mode == "eval" else network)
    posed = network.base.pullback(structures(V), sample.element)
    nodes = posed.coordinates.unflatten(0, (4, 3))
    torch.testing.assert_close(nodes.detach(), V[f"{mode}.posed_nodes"], **FORWARD)
    torch.testing.assert_close(posed.edge_scalars.detach().unflatten(0, (4, 3)), V[f"{mode}.posed_edges"], **FORWARD)
    output = network.base(posed).detach().squeeze(-1).unflatten(0, (4, 3))
    torch.testing.assert_close(output, V[f"{mode}.base_output"], **FORWARD)


@EACH
def test_the_prediction_and_its_loss(mode: str) -> None:
    output, loss, sample = forward(V, model(mode))
    torch.testing.assert_close(output.detach(), V[f"{mode}.output"], **FORWARD)
    torch.testing.assert_close(loss.detach(), V[f"{mode}.loss"], **FORWARD)
    assert sample.penalty is not None
    torch.testing.assert_close((loss + sample.penalty).detach(), V[f"{mode}.objective"], **FORWARD)


@EACH
def test_gradients_of_the_loss(mode: str) -> None:
    """Fails where the input point is added inside the mean, and where points are centred after the permutation."""
    network = model(mode)
    _, loss, _ = forward(V, network)
    loss.backward()
    assert_gradients(network.sampler.network, below(V, f"{mode}.gradient.loss.q."), Q)
    assert_gradients(network.base, below(V, f"{mode}.gradient.loss.base."), BASE)


@EACH
def test_gradients_of_the_entropy(mode: str) -> None:
    network = model(mode)
    _, _, sample = forward(V, network)
    assert sample.penalty is not None
    (sample.penalty / 0.1).backward()
    assert_gradients(network.sampler.network, below(V, f"{mode}.gradient.entropy.q."), Q)


@pytest.mark.parametrize("mode", ["train", "dropout"])
def test_running_statistics(mode: str) -> None:
    network = model(mode)
    forward(V, network)
    assert_values(network.sampler.network, below(V, f"{mode}.after.q."), Q)
