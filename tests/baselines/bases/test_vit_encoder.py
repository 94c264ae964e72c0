"""The encoder's attention against torch's own layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from baselines.bases.transformer import EncoderLayer, PairTransformer, encoded_at, encoder
from baselines.catalogue.base_models import TransformerSettings
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tests.structures import random_graphs, random_particles


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients_are_those_of_torchs_layer(padded: bool, training: bool) -> None:
    layers = []
    for kind in (EncoderLayer, nn.TransformerEncoderLayer):
        torch.manual_seed(0)
        layers.append(
            kind(12, 3, 8, dropout=0.0, activation="gelu", batch_first=True, norm_first=True).double().train(training)
        )
    tokens = torch.randn(4, 7, 12, dtype=torch.float64, requires_grad=True)
    absent = torch.arange(7) >= torch.tensor([[7], [5], [3], [1]]) if padded else None
    weights = torch.randn(4, 7, 12, dtype=torch.float64)
    found: list[list[Tensor]] = []
    for layer in layers:
        out = layer(tokens, src_key_padding_mask=absent)
        if absent is not None:
            out = out * ~absent[..., None]
        found.append([out, *torch.autograd.grad((out * weights).sum(), [tokens, *layer.parameters()])])
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_what_some_tokens_need_of_the_last_layer_is_what_the_whole_encoder_gives(padded: bool, training: bool) -> None:
    stacked = encoder(12, 2, 3, feed_forward=8).double().train(training)
    tokens = torch.randn(4, 9, 12, dtype=torch.float64, requires_grad=True)
    absent = torch.arange(9) >= torch.tensor([[9], [5], [3], [1]]) if padded else None
    diagonal = slice(None, None, 4)
    whole = stacked(tokens, src_key_padding_mask=absent)[:, diagonal]
    some = encoded_at(stacked, tokens, diagonal, absent)
    present = torch.ones(4, 3, dtype=torch.bool) if absent is None else ~absent[:, diagonal]
    weights = torch.randn(4, 3, 12, dtype=torch.float64) * present[..., None]
    found = [
        [out[present], *torch.autograd.grad((out * weights).sum(), [tokens, *stacked.parameters()])]
        for out in (whole, some)
    ]
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=1e-12)


def test_the_last_layer_computes_only_the_tokens_that_are_needed() -> None:
    x = random_particles(3, 5)
    network = PairTransformer(Signature.of(x, Representation.NODE_POINTS, 1), TransformerSettings(width=12, heads=3))
    seen: list[torch.Size] = []
    for layer in network.encoder.layers:
        layer.linear1.register_forward_hook(lambda module, given, out: seen.append(given[0].shape))
    network.double().train()(x)
    assert [shape[1] for shape in seen] == [25] * (len(seen) - 1) + [5]


class Masks(TorchDispatchMode):
    """Counts how often attention is given a mask."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        self.count += "scaled_dot_product" in str(func) and given.get("attn_mask") is not None
        return func(*args, **given)


@pytest.mark.parametrize("padded", [True, False])
def test_there_is_a_mask_only_where_something_is_padded(padded: bool) -> None:
    x = random_graphs(3, 5) if padded else random_particles(3, 5)
    output = Representation.GRAPH_SCALARS if padded else Representation.NODE_POINTS
    settings = TransformerSettings(width=12, layers=2, heads=3)
    network = PairTransformer(Signature.of(x, output, 1), settings).double().train()
    with Masks() as masks:
        network(x)
    assert (masks.count > 0) == padded
