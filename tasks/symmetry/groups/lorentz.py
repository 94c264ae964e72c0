"""SO+(1,3), the rotations and boosts of space-time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups.group import GeometricGroup, identity_matrix
from tasks.symmetry.groups.orthogonal import OrthogonalGroup
from tasks.symmetry.noise import Generator, normal
from tasks.symmetry.structure import Structure


@dataclass(frozen=True)
class LorentzTransformation(LinearMap):
    """Matrices L ``[B, K, 4, 4]`` with L^T eta L = eta = diag(1, -1, -1, -1). Time is the first coordinate."""

    @property
    def inverse_matrix(self) -> Tensor:
        signs = self.matrix.new_ones(4)
        signs[1:] = -1
        return signs[:, None] * self.matrix.mT * signs


class LorentzGroup(GeometricGroup):
    """SO+(1,3), the Lorentz transformations that keep the direction of time and the orientation of space.

    In the rest frame the total momentum has no space part, so that SO(3) remains, and group averaging uses Haar measure
    on SO(3). The total momentum is the sum over nodes of all vectors, or of all points if there are no vectors. It has
    a rest frame if it is timelike; otherwise no boost is applied, which is not equivariant.
    """

    name = "SO+(1,3)"
    dimension = 4
    rotations = OrthogonalGroup(3, special=True)

    def identity(self, x: Structure) -> LorentzTransformation:
        return LorentzTransformation(identity_matrix(x, self.dimension))

    def rest_frame(self, x: Structure) -> LorentzTransformation:
        momentum = (x.vectors if x.vectors.shape[-1] else x.points).sum((1, 3))
        mass_squared = momentum[:, 0].square() - momentum[:, 1:].square().sum(-1)
        timelike = mass_squared > torch.finfo(momentum.dtype).eps * momentum[:, 0].square()
        mass = torch.where(timelike, mass_squared, 1.0).sqrt() * torch.where(momentum[:, 0] < 0, -1.0, 1.0)
        return _boost((momentum[:, 1:] / mass[:, None] * timelike[:, None])[:, None])

    def compact_head(self, frame: Tensor) -> LorentzTransformation:
        """By Gram-Schmidt on the space part of the first three columns.

        :meth:`head` is then Minkowski-Gram-Schmidt that starts with the total momentum.
        """
        return _rotation(self.rotations.compact_head(frame[..., 1:, :3]))

    def from_rest(self, x: Structure, compact: LinearMap) -> LorentzTransformation:
        return self.rest_frame(x).compose(LorentzTransformation(compact.matrix))

    def covariants(self, vectors: Tensor) -> Tensor:
        """Adds the direction of time, which rotations of space leave unchanged."""
        time = torch.zeros_like(vectors[..., :1])
        time[..., 0, :] = 1
        return torch.cat([vectors, time], -1)

    def random(self, x: Structure, samples: int, generator: Generator) -> LorentzTransformation:
        """A uniform rotation, then a boost whose four-velocity has a space part of standard deviation 1/2."""
        rotation = self.rotations.compact_head(*self.rotations.noise(x, samples, generator))
        return _boost(normal((len(x), samples, 3), x.points, generator) / 2).compose(_rotation(rotation))


def _boost(velocity: Tensor) -> LorentzTransformation:
    """The boost from rest to the four-velocity with space part ``velocity`` ``[B, K, 3]``."""
    energy = (1 + velocity.square().sum(-1, keepdim=True)).sqrt()
    outer = velocity[..., :, None] * velocity[..., None, :] / (1 + energy[..., None])
    space = outer + torch.eye(3, dtype=velocity.dtype, device=velocity.device)
    first = torch.cat([energy, velocity], -1)
    rest = torch.cat([velocity[..., None, :], space], -2)
    return LorentzTransformation(torch.cat([first[..., None], rest], -1))


def _rotation(rotation: LinearMap) -> LorentzTransformation:
    """The Lorentz transformation that rotates space and leaves time unchanged."""
    matrix = torch.nn.functional.pad(rotation.matrix, (1, 0, 1, 0))
    time = matrix.new_zeros(4)
    time[0] = 1
    return LorentzTransformation(matrix + torch.diag(time))
