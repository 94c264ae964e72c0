"""The laws of the noise on a graph's node scalars: ``[B, K, N, C]`` of scale 1."""

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
    """Uniform, one draw for every colour of colour refinement, shared by the nodes that have it.

    That is one for every orbit where the colours are the orbits; what breaks ties tells such nodes apart.
    """
    by_colour = uniform_noise(x, samples, chance)
    colour = within(refined_colours(x), x.mask)
    return by_colour.gather(2, colour[:, None, :, None].expand_as(by_colour))


NOISE: Mapping[str, Callable[[Structure, int, NoiseSource], Tensor]] = {
    "uniform": uniform_noise,
    "normal": normal_noise,
    "structured": structured_noise,
}
