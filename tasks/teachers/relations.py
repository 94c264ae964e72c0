"""Random functions on pairs of nodes that commute with S_n, C_n, D_n or no permutation at all, and no other.

Let F commute with all permutations, f(x) = F(x, P) for a fixed relation P between places. Then
f(g x) = F(g x, P) = g F(x, g^-1 P): f commutes with every g that leaves P as it is and, where F is generic, with these
alone. F multiplies matrices of pairs, which tells apart what colour refinement does not (Maron et al. 2019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tasks.symmetry.groups import NodeGroup, SequenceGroup, SymmetricGroup
from tasks.symmetry.noise import Generator
from tasks.symmetry.representation import Representation

WIDTH = 16
FLOOR = 1e-2  # of a variance: what has none stays small
DOUBLES_AT_ONCE = 2**23
PARTS = {Representation.GRAPH_SCALARS: 2, Representation.NODE_SCALARS: 3, Representation.EDGE_SCALARS: 1}


class PairTeacher:
    """From pair features ``[B, N, N, channels]`` to ``outputs`` scalars of graphs, nodes or pairs, float64.

    ``T <- tanh(T W + b)``, then ``T <- tanh([T, (T A)(T B)] W + b)`` with its products standardised over pairs, then
    means and a linear map. The random weights, drawn from ``generator``, are small enough for targets to be smooth.
    """

    def __init__(
        self, symmetry: NodeGroup | None, nodes: int, channels: int, outputs: int, generator: Generator
    ) -> None:
        def weights(rows: int, columns: int) -> Tensor:
            return torch.randn(rows, columns, generator=generator, dtype=torch.float64) / rows**0.5

        self.fixed = torch.cat([torch.eye(nodes, dtype=torch.float64)[..., None], relation(symmetry, nodes)], -1)
        self.embed = weights(channels + self.fixed.shape[-1] + 1, WIDTH)
        self.left, self.right = weights(WIDTH, WIDTH), weights(WIDTH, WIDTH)
        self.mix = weights(2 * WIDTH + 1, WIDTH)
        self.heads = {kind: weights(parts * WIDTH, outputs) for kind, parts in PARTS.items()}

    def __call__(self, pairs: Tensor, output: Representation) -> Tensor:
        at_once = max(1, DOUBLES_AT_ONCE // (pairs.shape[1] ** 2 * max(WIDTH, pairs.shape[-1])))
        return torch.cat([self._read(self._features(part), output) for part in pairs.split(at_once)])

    def _features(self, pairs: Tensor) -> Tensor:
        given = torch.cat([pairs, self.fixed.expand(len(pairs), -1, -1, -1)], -1)
        t = _layer(given, self.embed)
        product = torch.einsum("bikc,bkjc->bijc", t @ self.left, t @ self.right)
        variance, mean = torch.var_mean(product, (1, 2), correction=0, keepdim=True)
        return _layer(torch.cat([t, (product - mean) / (variance + FLOOR).sqrt()], -1), self.mix)

    def _read(self, t: Tensor, output: Representation) -> Tensor:
        diagonal = t.diagonal(dim1=1, dim2=2).mT
        match output:
            case Representation.GRAPH_SCALARS:
                parts = [diagonal.mean(1), t.mean((1, 2))]
            case Representation.NODE_SCALARS:
                parts = [diagonal, t.mean(1), t.mean(2)]
            case _:
                parts = [t]
        return torch.cat(parts, -1) @ self.heads[output]


def relation(symmetry: NodeGroup | None, nodes: int) -> Tensor:
    """``[N, N, E]``: a relation between places that the group's permutations, and no other, leave as it is.

    On a circle: how far a place is from another (D_n), and on which side (C_n). No group: which place comes first.
    """
    step = torch.arange(nodes, dtype=torch.float64) - torch.arange(nodes, dtype=torch.float64)[:, None]
    angle = 2 * math.pi / nodes * step
    match symmetry:
        case SymmetricGroup():
            return step.new_zeros(nodes, nodes, 0)
        case SequenceGroup(reversals=True):
            return angle.cos()[..., None]
        case SequenceGroup():
            return torch.stack([angle.cos(), angle.sin()], -1)
        case None:
            return step.sign()[..., None]
        case _:
            raise ValueError(f"there is no teacher for permutations from {symmetry.name}: take S_n, C_n or D_n")


def _layer(values: Tensor, weights: Tensor) -> Tensor:
    """Tanh of an affine map, whose last row of weights is the bias."""
    return (values @ weights[:-1] + weights[-1]).tanh()
