"""Shapes: the class of a cloud of points in any pose.

ModelNet (Wu et al. 2015) or generated surfaces (`tasks.sources.point_clouds`), with noise and partly occluded.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import one_hot

from tasks.catalogue.geometry import ShapesSettings
from tasks.classification import Classification
from tasks.sources.modelnet import SIZES, Surfaces
from tasks.sources.point_clouds import generated, points_needed, published, random_poses, seen
from tasks.sources.splits import SPLITS
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset


class Shapes(Classification):
    """Centred clouds in random poses from O(3); targets are one-hot classes.

    With ``poses: aligned`` all clouds have their original pose in training and test. Only the ``*_transformed`` metrics
    then show whether a model recognises a shape in another pose.

    Raises:
        ValueError: A setting is out of range.
    """

    proper = False  # True for poses from SE(3), under which a shape and its mirror image are two classes

    def __init__(self, settings: ShapesSettings) -> None:
        if settings.data not in ("generated", *SIZES):
            raise ValueError(f"data must be generated, {' or '.join(SIZES)}, not {settings.data}")
        if settings.poses not in ("random", "aligned"):
            raise ValueError(f"poses must be random or aligned, not {settings.poses}")
        surfaces = self._surfaces(settings)
        self.classes = 1 + int(surfaces["train"].label.max())
        self._data = {split: self._observed(surfaces[split], settings, place) for place, split in enumerate(SPLITS)}
        self.signature = Signature(
            nodes=settings.points,
            node_scalars=0,
            points=1,
            vectors=0,
            edge_scalars=0,
            dimension=3,
            output=Representation.GRAPH_SCALARS,
            output_channels=self.classes,
            padded=False,
        )

    def _surfaces(self, settings: ShapesSettings) -> dict[str, Surfaces]:
        if settings.data in SIZES:
            return published(settings.data)
        points = points_needed(settings.points, settings.occlusion)
        return generated(settings.sizes, points, self.proper, settings.data_seed)

    def _observed(self, surfaces: Surfaces, settings: ShapesSettings, place: int) -> Dataset:
        random = np.random.default_rng([settings.data_seed, len(SPLITS), place])
        clouds = seen(surfaces.points, settings.points, settings.noise, settings.occlusion, random)
        if settings.poses == "random":
            poses = random_poses(len(clouds), self.proper, random)
            clouds = clouds @ poses.matrix.swapaxes(1, 2) + poses.translation[:, None]
        points = torch.from_numpy(clouds).float()
        structure = Structure.build(torch.ones(points.shape[:2], dtype=torch.bool), points=points[..., None])
        return Dataset(structure, one_hot(torch.from_numpy(surfaces.label).long(), self.classes).float())


class ProperShapes(Shapes):
    """Clouds in poses from SE(3); generated helices and knots are left-handed or right-handed."""

    proper = True
