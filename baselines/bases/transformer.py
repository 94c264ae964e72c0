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
        h = self.encoder(self.embed(tokens) + self.position, src_key_padding_mask=absent)
        if self.output is Representation.EDGE_SCALARS:
            return present(self.head(h).unflatten(1, (x.nodes, x.nodes)), x, self.output)
        out = self.head(h[:, :: x.nodes + 1])  # the diagonal
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
        attention = self.self_attn
        product = linear(x, attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = (
            part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for part in product.chunk(3, -1)
        )
        bias = None if key_padding_mask is None else key_padding_mask[:, None, None]
        attended = scaled_dot_product_attention(query, key, value, bias)
        out: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
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


def _reinitialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.LayerNorm):
        module.reset_parameters()
    elif isinstance(module, nn.MultiheadAttention):
        module._reset_parameters()
