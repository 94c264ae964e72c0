"""How a tensor transforms: the representations that groups know how to act on."""

from __future__ import annotations

from enum import Enum


class Representation(Enum):
    """The kind of a tensor with batch and sample axes ``[B, K, ...]`` in front.

    Points move under translations, vectors do not; both are rotated. Scalars are only carried along by permutations.
    """

    GRAPH_SCALARS = "graph_scalars"  # [B, K, C]
    NODE_SCALARS = "node_scalars"  # [B, K, N, C]
    NODE_POINTS = "node_points"  # [B, K, N, D, P]
    NODE_VECTORS = "node_vectors"  # [B, K, N, D, V]
    EDGE_SCALARS = "edge_scalars"  # [B, K, N, N, E]

    @property
    def is_geometric(self) -> bool:
        return self in (Representation.NODE_POINTS, Representation.NODE_VECTORS)

    @property
    def has_nodes(self) -> bool:
        return self is not Representation.GRAPH_SCALARS
