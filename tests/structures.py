"""Random structures for tests: graphs with padding, particles in space."""

from __future__ import annotations

from dataclasses import replace

import torch

from tasks.graphs import constant_and_degree
from tasks.nbody import charged_particles
from tasks.symmetry.structure import Structure


def random_graphs(
    batch: int, nodes: int, seed: int = 0, dtype: torch.dtype = torch.float64, padded: bool = True
) -> Structure:
    """Erdos-Renyi graphs; with ``padded``, of different sizes."""
    noise = torch.Generator().manual_seed(seed)
    smallest = max(2, nodes // 2) if padded else nodes
    counts = torch.randint(smallest, nodes + 1, (batch,), generator=noise)
    mask = torch.arange(nodes) < counts[:, None]
    edges = (torch.rand(batch, nodes, nodes, generator=noise) < 0.4).triu(1)
    adjacency = ((edges | edges.mT) & mask[:, :, None] & mask[:, None]).to(dtype)
    degree = adjacency.sum(-1)
    return Structure.build(
        mask,
        node_scalars=torch.stack([mask.to(dtype), degree], -1),
        edge_scalars=adjacency[..., None],
    )


def random_particles(
    batch: int, nodes: int, seed: int = 0, dtype: torch.dtype = torch.float64, dimension: int = 3
) -> Structure:
    """Charged particles in space, off the origin."""
    noise = torch.Generator().manual_seed(seed)
    position = torch.randn(batch, nodes, dimension, generator=noise, dtype=dtype) + 2
    velocity = torch.randn(batch, nodes, dimension, generator=noise, dtype=dtype)
    charge = torch.randint(0, 2, (batch, nodes), generator=noise).to(dtype) * 2 - 1
    return charged_particles(position, velocity, charge)


def random_momenta(batch: int, nodes: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Structure:
    """Particles in space-time whose vectors are four-momenta ``(E, p)``; the masses are positive."""
    x = random_particles(batch, nodes, seed, dtype, dimension=4)
    momentum = x.vectors[:, :, 1:]
    energy = (momentum.square().sum(2, keepdim=True) + 0.1).sqrt()
    return replace(x, vectors=torch.cat([energy, momentum], 2))


def with_several(x: Structure, nodes: int) -> Structure:
    """Two points and three vectors for each node of particles ``x``, padded to ``nodes``."""
    points = torch.cat([x.points, x.points.flip(0) - 1], -1)
    vectors = torch.cat([x.vectors, 2 * x.vectors.flip(0), x.vectors.flip(1)], -1)
    return replace(x, points=points, vectors=vectors).padded(nodes)


def cycle(nodes: int, dtype: torch.dtype = torch.float64) -> Structure:
    """One cycle graph: every node looks alike."""
    ring = torch.eye(nodes, dtype=dtype).roll(1, 0)
    return constant_and_degree((ring + ring.T)[None])
