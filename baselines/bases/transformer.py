"""A transformer with one token for every ordered pair of nodes (Kim et al. 2023, section 4.2).

With the published sizes it has 208,387 parameters on n-body.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from baselines.bases.base_model import BaseModel
from baselines.catalogue.base_models import TransformerSettings
from baselines.readout import first_point, present
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


class PairTransformer(BaseModel):
    """A token contains the edge scalars of a pair and, on the diagonal, the features of a node.

    Predicts points ``[B, N, D, 1]`` as displacements from the first input point, graph scalars ``[B, C]`` as a mean
    over existing nodes, node scalars ``[B, N, C]`` or edge scalars ``[B, N, N, C]``. Outputs of nodes are those of
    diagonal tokens. Position embeddings make the output depend on the order of nodes.
    """

    def __init__(self, signature: Signature, settings: TransformerSettings) -> None:
        super().__init__()
        width = settings.width
        self.output, self.padded = signature.output, signature.padded
        node_channels = signature.node_scalars + signature.dimension * signature.geometry
        self.embed = nn.Linear(node_channels + signature.edge_scalars, width)
        self.position = nn.Parameter(torch.randn(signature.nodes**2, width))
        size = (width, settings.layers, settings.heads)
        self.encoder = encoder(*size, feed_forward=width, equal_layers=settings.equal_layers)
        channels = signature.dimension if self.output is Representation.NODE_POINTS else signature.output_channels
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, channels))

    def forward(self, x: Structure) -> Tensor:
        features = torch.cat([x.node_scalars, x.coordinates.flatten(2)], -1)
        tokens = torch.cat([torch.diag_embed(features.mT).movedim(1, -1), x.edge_scalars], -1).flatten(1, 2)
        absent = ~x.pair_mask.flatten(1) if self.padded else None
        embedded = self.embed(tokens) + self.position
        if self.output is Representation.EDGE_SCALARS:
            h = self.encoder(embedded, src_key_padding_mask=absent)
            return present(self.head(h).unflatten(1, (x.nodes, x.nodes)), x, self.output)
        out = self.head(encoded_at(self.encoder, embedded, slice(None, None, x.nodes + 1), absent))  # the diagonal
        if self.output is Representation.NODE_POINTS:
            return out[..., None]
        if self.output is Representation.NODE_SCALARS:
            return present(out, x, self.output)
        keep = x.mask[..., None].to(out.dtype)
        return (out * keep).sum(1) / keep.sum(1)

    def origin(self, x: Structure) -> Tensor | None:
        return first_point(x, self.output)


class EncoderLayer(nn.TransformerEncoderLayer):
    """The layer of torch without its copies: queries, keys and values are views of one product."""

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        product = linear(x, self.self_attn.in_proj_weight, self.self_attn.in_proj_bias)
        query, key, value = product.chunk(3, -1)
        return self._attended(query, key, value, key_padding_mask)

    def at(self, x: Tensor, tokens: slice, bias: Tensor | None) -> Tensor:
        """The output at some tokens, which attend to all: ``layer(x)[:, tokens]`` without the rest.

        Args:
            x: All tokens ``[B, T, C]``.
            tokens: Which tokens are needed.
            bias: What is added to the logits of each key ``[B, T]``.
        """
        width, attention, normed, kept = x.shape[-1], self.self_attn, self.norm1(x), x[:, tokens]
        weights = attention.in_proj_weight.split([width, 2 * width])
        query_bias, other_bias = attention.in_proj_bias.split([width, 2 * width])
        query = linear(normed[:, tokens], weights[0], query_bias)
        key, value = linear(normed, weights[1], other_bias).chunk(2, -1)
        h = kept + self._attended(query, key, value, bias)
        return h + self._ff_block(self.norm2(h))

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.self_attn.num_heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        attended = scaled_dot_product_attention(query, key, value, None if bias is None else bias[:, None, None])
        out: Tensor = self.self_attn.out_proj(attended.transpose(1, 2).flatten(2))
        return self.dropout1(out)


def encoder(
    width: int, layers: int, heads: int, feed_forward: int, equal_layers: bool = False
) -> nn.TransformerEncoder:
    """Pre-norm layers with GELU and without dropout, followed by a norm.

    Args:
        width: Number of channels of a token.
        layers: Number of layers.
        heads: Number of attention heads.
        feed_forward: Width of the hidden layer of the feed-forward network.
        equal_layers: Starts all layers from the same weights, as torch and the authors' code do.
    """
    layer = EncoderLayer(width, heads, feed_forward, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    stacked = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
    for module in () if equal_layers else stacked.layers:
        module.apply(_reinitialise)
    return stacked


def encoded_at(stacked: nn.TransformerEncoder, x: Tensor, tokens: slice, absent: Tensor | None) -> Tensor:
    """The output of an encoder at some tokens: its last layer and its norm are computed at these only.

    Args:
        stacked: An encoder of :func:`encoder`.
        x: All tokens ``[B, T, C]``.
        tokens: Which tokens are needed.
        absent: The tokens that none attends to ``[B, T]``.

    Returns:
        ``stacked(x)[:, tokens]``, equal up to rounding.
    """
    bias = None if absent is None else torch.zeros_like(absent, dtype=x.dtype).masked_fill_(absent, -torch.inf)
    *before, last = stacked.layers
    for layer in before:
        x = layer(x, src_key_padding_mask=bias)
    assert isinstance(last, EncoderLayer) and stacked.norm is not None
    out: Tensor = stacked.norm(last.at(x, tokens, bias))
    return out


def _reinitialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.LayerNorm):
        module.reset_parameters()
    elif isinstance(module, nn.MultiheadAttention):
        module._reset_parameters()
