"""Random functions on pairs of nodes that are equivariant under S_n, C_n, D_n or no permutation, and no larger group.

Let F commute with all permutations, and f(x) = F(x, P) for a fixed relation P of nodes. Then
f(g x) = F(g x, P) = g F(x, g^-1 P), so that f commutes with every g that fixes P and, for a generic F, with no other. F
multiplies matrices of pairs, which distinguishes more graphs than colour refinement (Maron et al. 2019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tasks.symmetry.groups import NodeGroup, SequenceGroup, SymmetricGroup
from tasks.symmetry.noise import Generator
from tasks.symmetry.representation import Representation

WIDTH = 16
FLOOR = 1e-2  # added to variances, so that features without variance stay small
DOUBLES_AT_ONCE = 2**23
PARTS = {Representation.GRAPH_SCALARS: 2, Representation.NODE_SCALARS: 3, Representation.EDGE_SCALARS: 1}


class PairTeacher:
    """Maps pair features ``[B, N, N, channels]`` to ``outputs`` scalars of graphs, nodes or pairs, in float64.

    The layers are ``T <- tanh(T W + b)``, ``T <- tanh([T, (T A)(T B)] W + b)`` with products standardised over pairs,
    means and a linear map. Random weights are small enough for smooth targets.

    Args:
        symmetry: The group of permutations; None for the identity.
        nodes: N.
        channels: Number of features of a pair.
        outputs: Number of outputs.
        generator: The source of random weights.
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
    """A relation of nodes ``[N, N, E]`` that the permutations of the group fix, and no others.

    It is the distance of nodes on a circle for D_n, also the direction for C_n, and the order of nodes without a group.
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
            raise ValueError(f"there is no teacher for permutations from {symmetry.name}: use S_n, C_n or D_n")


def _layer(values: Tensor, weights: Tensor) -> Tensor:
    """Tanh of an affine map, with the bias as the last row of weights."""
    return (values @ weights[:-1] + weights[-1]).tanh()
