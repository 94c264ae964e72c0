"""A message-passing network with a frame average in every layer (Puny et al. 2022, arXiv 2110.03336)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from baselines.bases.gnn import MessagePassing, distinct_pairs
from baselines.catalogue.equivariant import FAGNNSettings
from baselines.samplers.frame_averaging import chosen_signs, eigenspaces, scatter
from tasks.symmetry.eigen import eigenbasis
from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups import EuclideanGroup
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


def whole_frame(x: Structure) -> LinearMap:
    """The principal axes of the points about their centroid, with all 2^D choices of signs ``[B, 2^D, D, D]``.

    They have no gradient, as in the authors' code. If eigenvalues agree, no choice of a basis of their eigenspace is
    equivariant. A sampler draws one; this network is deterministic and sets those axes to zero.
    """
    dimension = x.points.shape[2]
    # In double precision, which autocast does not change, since bfloat16 has no eigendecomposition.
    values, axes = eigenbasis(scatter(replace(x, points=x.points.double()), EuclideanGroup(dimension)).detach())
    alone = eigenspaces(values).sum(-1) == 1
    middles = (torch.arange(2**dimension, device=values.device) + 0.5) / 2**dimension
    signs = chosen_signs(middles[None], dimension)
    return LinearMap(((axes * alone[:, None])[:, None] * signs[:, :, None]).to(x.points.dtype))


class FAGNN(nn.Module):
    """Predicts points ``[B, N, D, 1]`` as displacements from the centroid.

    Each layer passes messages in all frames of its input. Between layers the features of a node are C vectors, which
    are averaged over the frames and centred over the graph; the next layer reads them in frames of their own.
    Coordinates in the frames are invariant under O(D).

    Raises:
        ValueError: The width is not a multiple of the dimension of space.
    """

    def __init__(self, signature: Signature, settings: FAGNNSettings) -> None:
        super().__init__()
        width, self.dimension = settings.width, signature.dimension
        if width % self.dimension:
            raise ValueError(f"width must be a multiple of the dimension of space, unlike {width} and {self.dimension}")
        self.embed = nn.Linear(signature.node_scalars + self.dimension * signature.geometry, width)
        self.layers = nn.ModuleList(
            MessagePassing(width, signature.edge_scalars, residual=True) for _ in range(settings.layers)
        )
        self.decode = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, self.dimension))

    def forward(self, x: Structure) -> Tensor:
        frame = whole_frame(x)
        seen = x.acted(frame.inverse())
        pairs = distinct_pairs(seen)
        h = self.embed(torch.cat([seen.node_scalars, seen.geometry.mT.flatten(2)], -1))
        for index, layer in enumerate(self.layers):
            if index > 0:
                hidden = Structure.build(x.mask, points=self._averaged(h, frame, x), edge_scalars=x.edge_scalars)
                frame = whole_frame(hidden)
                seen = hidden.acted(frame.inverse())
                h = seen.geometry.mT.flatten(2)
            h = layer(h, seen, pairs)
        return (self._averaged(self.decode(h), frame, x) + x.centroid[:, None, :, None]) * x.mask[..., None, None]

    def _averaged(self, h: Tensor, frame: LinearMap, x: Structure) -> Tensor:
        """The mean over frames ``[B, N, D, C]`` of features ``[B * 2^D, N, C * D]`` as vectors in space."""
        vectors = h.unflatten(-1, (-1, self.dimension)).mT.unflatten(0, (len(x), frame.samples))
        return frame.act(vectors, Representation.NODE_VECTORS).mean(1).to(x.points.dtype)
