"""n-body: the positions of charged particles after 1,000 steps from positions and velocities.

Kipf et al. 2018, as changed by Fuchs et al. 2020 and Satorras et al. 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from tasks.catalogue.geometry import NBodySettings
from tasks.sources.nbody import trajectories
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, Split, SupervisedTask


class NBody(SupervisedTask):
    """Points are positions, vectors are velocities, edge scalars are products of charges and squared distances."""

    def __init__(self, settings: NBodySettings) -> None:
        self._splits = trajectories(nodes=settings.nodes, seed=settings.data_seed, **settings.sizes)
        self.signature = Signature.of(self.data("validation").inputs, Representation.NODE_POINTS, 1)

    def data(self, split: Split) -> Dataset:
        arrays = {name: torch.from_numpy(array).float() for name, array in self._splits[split]._asdict().items()}
        structure = charged_particles(arrays["position"], arrays["velocity"], arrays["charge"])
        return Dataset(structure, arrays["target"][..., None])

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return mse_loss(predictions, targets)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {"mse": mse_loss(predictions.double(), targets.double()).item()}


def charged_particles(position: Tensor, velocity: Tensor, charge: Tensor) -> Structure:
    """Structures of particles with ``position`` and ``velocity`` ``[M, N, 3]`` and ``charge`` ``[M, N]``."""
    squared = (position[:, :, None] - position[:, None]).square().sum(-1)
    products = charge[:, :, None] * charge[:, None]
    different = 1 - torch.eye(position.shape[1], dtype=position.dtype)
    return Structure.build(
        torch.ones(charge.shape, dtype=torch.bool),
        points=position[..., None],
        vectors=velocity[..., None],
        edge_scalars=torch.stack([products, squared], -1) * different[..., None],
    )
