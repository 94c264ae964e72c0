"""Distributions of the noise on node scalars of graphs, ``[B, K, N, C]`` with scale 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from baselines.q_networks.noise_sources import NoiseSource
from baselines.samplers.colour_refinement import refined_colours, within
from tasks.symmetry.structure import Structure


def uniform_noise(x: Structure, samples: int, chance: NoiseSource) -> Tensor:
    """Uniform on [0, 1), as published."""
    return chance.uniform((len(x), samples, *x.node_scalars.shape[1:]), x.node_scalars)


def normal_noise(x: Structure, samples: int, chance: NoiseSource) -> Tensor:
    """Standard normal."""
    return chance.normal((len(x), samples, *x.node_scalars.shape[1:]), x.node_scalars)


def structured_noise(x: Structure, samples: int, chance: NoiseSource) -> Tensor:
    """Uniform, with one draw for every colour of colour refinement.

    For most graphs the colours are the orbits. Nodes of the same orbit are then distinguished only by the noise that
    breaks ties.
    """
    by_colour = uniform_noise(x, samples, chance)
    colour = within(refined_colours(x), x.mask)
    return by_colour.gather(2, colour[:, None, :, None].expand_as(by_colour))


NOISE: Mapping[str, Callable[[Structure, int, NoiseSource], Tensor]] = {
    "uniform": uniform_noise,
    "normal": normal_noise,
    "structured": structured_noise,
}
