"""Images to classify, read as graphs are by a vision transformer: the pixels are scalars of pairs of nodes.

These tasks have no symmetry. They are there to pretrain a base model on another modality.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import one_hot

from tasks.catalogue.images import DigitsSettings, FractalsSettings
from tasks.classification import Classification
from tasks.sources import digits, fractals
from tasks.sources.image_arrays import ImageSplit
from tasks.sources.splits import SPLITS
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset


class Images(Classification):
    """Grey images as edge scalars ``[B, N, N, 1]`` in [0, 1]; targets are one-hot classes."""

    def __init__(self, images: Mapping[str, ImageSplit], classes: int) -> None:
        self.classes = classes
        self._data = {split: self._dataset(images[split]) for split in SPLITS}
        self.signature = Signature(
            nodes=images["train"].image.shape[1],
            node_scalars=0,
            points=0,
            vectors=0,
            edge_scalars=1,
            dimension=0,
            output=Representation.GRAPH_SCALARS,
            output_channels=classes,
            padded=False,
        )

    def _dataset(self, images: ImageSplit) -> Dataset:
        pixels = torch.from_numpy(images.image).float()[..., None] / 255
        structure = Structure.build(torch.ones(pixels.shape[:2], dtype=torch.bool), edge_scalars=pixels)
        return Dataset(structure, one_hot(torch.from_numpy(images.label).long(), self.classes).float())


class Fractals(Images):
    """Classes are iterated function systems. With ``labels: shuffled`` the labels of all images are shuffled."""

    def __init__(self, settings: FractalsSettings) -> None:
        images = fractals.generated(settings.sizes, settings.classes, settings.side, settings.data_seed)
        if settings.labels == "shuffled":
            images = {split: _shuffled(images[split], settings.data_seed, place) for place, split in enumerate(SPLITS)}
        super().__init__(images, settings.classes)


class Digits(Images):
    """Handwritten digits, enlarged."""

    def __init__(self, settings: DigitsSettings) -> None:
        super().__init__(digits.shipped(settings.sizes, settings.side, settings.data_seed), digits.CLASSES)


def _shuffled(images: ImageSplit, seed: int, place: int) -> ImageSplit:
    return images._replace(label=np.random.default_rng([seed, place]).permutation(images.label))
