"""ModelNet10 and ModelNet40 (Wu et al. 2015) as points sampled from their meshes, which PyG downloads and reads.

What is kept in a data folder are the points alone (`modelnet10-v1-points2048.npz`): the download, of which PyG would
take a half for a whole, lives in a temporary folder until every shape has been counted.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.sources import cache
from tasks.sources.shape_families import surface_points
from tasks.sources.splits import split_arrays

if TYPE_CHECKING:
    from torch_geometric.data import Data

VERSION = 1
POINTS = 2048
SIZES: Mapping[str, tuple[int, int]] = {"modelnet10": (3_991, 908), "modelnet40": (9_843, 2_468)}  # train, test
HALVES = ("train", "test")


class Surfaces(NamedTuple):
    """Points that stand for surfaces, in an order without meaning.

    Attributes:
        points: [M, T, 3], float32; about their mean, the furthest of norm 1.
        label: [M], int64; the class.
    """

    points: NDArray[np.float32]
    label: NDArray[np.int64]


def file_name(name: str) -> str:
    """What the points of `modelnet10` or `modelnet40` are called in a data folder."""
    return cache.versioned_name(name, VERSION, points=POINTS)


def surfaces(name: str) -> tuple[Surfaces, Surfaces]:
    """The published training and test split of `modelnet10` or `modelnet40`, in an order that mixes the classes.

    Raises:
        cache.DataError: the points are in no data folder and the meshes cannot be downloaded, or a file is damaged.
    """
    stored = split_arrays(file_name(name), HALVES, Surfaces._fields, lambda: _sample(name))
    train, test = (Surfaces(**stored[split]) for split in HALVES)
    for part, size in zip((train, test), SIZES[name], strict=True):
        if fault := _fault(part, size):
            raise cache.DataError(f"{cache.find(file_name(name))} does not hold {name} ({fault}); replace it.")
    return train, test


def _fault(found: Surfaces, size: int) -> str | None:
    """What speaks against `found` being `size` surfaces: a file may have been put there by hand."""
    if found.points.shape != (size, POINTS, 3) or found.label.shape != (size,):
        return f"points {found.points.shape} and labels {found.label.shape} in place of {size} surfaces"
    if not np.isfinite(found.points).all():
        return "a point is not finite"
    if found.label.dtype.kind not in "iu" or found.label.min() < 0:
        return "a label is no class"
    return None


def _sample(name: str) -> dict[str, cache.Arrays]:
    from torch_geometric.datasets import ModelNet

    made: dict[str, cache.Arrays] = {}
    with tempfile.TemporaryDirectory() as folder:
        for split, size in zip(HALVES, SIZES[name], strict=True):
            try:
                read = ModelNet(folder, name.removeprefix("modelnet"), split == "train", pre_transform=_sampled)
            except Exception as error:  # whatever a network, an archive or a mesh may raise
                raise cache.DataError(
                    f"{name} could not be downloaded or read ({type(error).__name__}: {error}); put "
                    f"{file_name(name)} into {cache.folders()[0]}, or take generated shapes with "
                    "task_params.data=generated."
                ) from error
            if len(read) != size:
                raise cache.DataError(f"{name} has {len(read)} meshes for {split} instead of {size}: try again.")
            label = np.array([int(shape.y) for shape in read])
            key = np.array([int(shape.key) for shape in read])
            order = np.lexsort((label, key))  # the order in which a folder lists its files means nothing
            points = np.stack([shape.pos.numpy() for shape in read])[order]
            made[split] = {"points": points, "label": label[order]}
    return made


def _sampled(shape: Data) -> Data:
    """Points sampled from a mesh by chance that depends on the mesh alone."""
    import torch
    from torch_geometric.data import Data
    from trimesh import Trimesh

    vertices = shape.pos.double().numpy()
    key = zlib.crc32(vertices.tobytes())
    points = surface_points(Trimesh(vertices, shape.face.T.numpy(), process=False), POINTS, seed=key)
    return Data(pos=torch.from_numpy(points).float(), y=shape.y, key=key)
