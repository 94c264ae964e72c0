"""The representations that groups act on: how a tensor transforms."""

from __future__ import annotations

from enum import Enum


class Representation(Enum):
    """The kind of a tensor whose first axes are batch and samples, ``[B, K, ...]``.

    Rotations act on points and vectors, translations on points only, and permutations on all that has a node axis.
    """

    GRAPH_SCALARS = "graph_scalars"  # [B, K, C]
    NODE_SCALARS = "node_scalars"  # [B, K, N, C]
    NODE_POINTS = "node_points"  # [B, K, N, D, P]
    NODE_VECTORS = "node_vectors"  # [B, K, N, D, V]
    EDGE_SCALARS = "edge_scalars"  # [B, K, N, N, E]

    @property
    def is_geometric(self) -> bool:
        """True for points and vectors."""
        return self in (Representation.NODE_POINTS, Representation.NODE_VECTORS)

    @property
    def has_nodes(self) -> bool:
        """True if there is an axis of nodes."""
        return self is not Representation.GRAPH_SCALARS
