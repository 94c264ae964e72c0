"""Floating-point operations are counted where they are known in closed form, for every kind of method."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from baselines.bases.transformer import encoder
from harness import registry
from harness.training.evaluate import cost
from harness.training.execute import execute
from harness.training.flops import flops
from harness.training.from_spec import new_model
from tasks.catalogue.geometry import NBodySettings
from tasks.nbody import NBody
from tests.harness.training.small_problems import EdgeCount, particles_spec
from tests.harness.training.test_no_waiting import small_model


def test_a_linear_layer_takes_a_product_and_a_sum_for_each_weight_and_row() -> None:
    layer, x = nn.Linear(30, 7), torch.randn(11, 30)
    assert flops(lambda: layer(x)) == 11 * 2 * 30 * 7
    assert flops(lambda: x.relu().sort().values) == 0


@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_fused_attention_counts_as_its_two_products(masked: bool) -> None:
    query, key, value = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 9, 8), torch.randn(2, 3, 9, 8)
    mask = torch.zeros(5, 9) if masked else None
    found = flops(lambda: scaled_dot_product_attention(query, key, value, attn_mask=mask))
    assert found == 2 * (2 * 3 * 5 * 9 * 8) * 2


@torch.no_grad()
def test_a_transformer_in_evaluation_mode_is_counted_though_torch_fuses_its_layers() -> None:
    width, tokens, wide = 16, 6, 32
    network = encoder(width, layers=2, heads=4, feed_forward=wide).eval()
    x = torch.randn(3, tokens, width)
    projections, attention, feed_forward = 4 * width * width, 2 * tokens * width, 2 * width * wide
    assert flops(lambda: network(x)) == 2 * 3 * 2 * tokens * (projections + attention + feed_forward)


def flops_of(method: str, samples: int) -> float:
    spec = particles_spec(method)
    problem = NBody(NBodySettings(**spec.task_params))
    model, batch = new_model(spec, problem.signature), problem.data("test").first(4).inputs
    return cost(model, batch, samples, torch.Generator(), None)["flops_per_example"]


@pytest.mark.usefixtures("generated_data")
def test_operations_grow_in_proportion_to_the_group_samples() -> None:
    assert flops_of("mlp-ga", 1) > 0
    assert flops_of("mlp-ga", 12) == 12 * flops_of("mlp-ga", 1)
    assert flops_of("mlp-none", 12) == flops_of("mlp-none", 1)
    single, many = (flops_of("mlp-ps", k) for k in (1, 12))
    assert many == 12 * single


@pytest.mark.usefixtures("generated_data")
@pytest.mark.parametrize(
    "method",
    [name for name, card in registry.methods().items() if not card.misfit(registry.task("nbody"), {"nodes": 5})],
)
def test_every_method_is_counted_and_as_much_whatever_the_batch(method: str) -> None:
    spec = particles_spec(method)
    problem = NBody(NBodySettings(**spec.task_params))
    model, inputs = new_model(spec, problem.signature), problem.data("test").inputs
    one, several = (cost(model, inputs[:n], 2, torch.Generator(), None)["flops_per_example"] for n in (1, 5))
    assert one > 0 and several == pytest.approx(one, rel=1e-6)


@pytest.mark.parametrize("method", ["mlp-ps", "gin_id-ps", "vit-canonical", "gin"])
def test_padding_changes_no_count(method: str) -> None:
    """On the CPU some networks compute as many nodes as the largest graph has, on an accelerator all of them."""
    graphs = EdgeCount().data("test").inputs
    sizes = graphs.mask.sum(1)
    assert sizes.min() < sizes.max() == graphs.nodes
    model = small_model("exp_classify", EdgeCount(), method)
    counts = {
        cost(model, graphs[place : place + 1], 2, torch.Generator(), None)["flops_per_example"]
        for place in (int(sizes.argmin()), int(sizes.argmax()))
    }
    assert len(counts) == 1 and counts != {0.0}


@pytest.mark.usefixtures("generated_data")
def test_a_run_keeps_its_count() -> None:
    outcome = execute(particles_spec("gnn-fa", epochs=1))
    assert outcome.cost["flops_per_example"] > 0
