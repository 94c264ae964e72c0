"""ModelNet10 and ModelNet40 (Wu et al. 2015): points sampled from meshes, which PyG downloads and reads.

Only the points are kept in a data folder (`modelnet10-v1-points2048.npz`). The download is kept in a temporary folder
until all shapes were counted, since PyG would accept an incomplete one.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.sources import cache
from tasks.sources.splits import split_arrays

if TYPE_CHECKING:
    from torch_geometric.data import Data

VERSION = 1
POINTS = 2048
SIZES: Mapping[str, tuple[int, int]] = {"modelnet10": (3_991, 908), "modelnet40": (9_843, 2_468)}  # train, test
HALVES = ("train", "test")


class Surfaces(NamedTuple):
    """M surfaces as points in arbitrary order.

    Attributes:
        points: T points relative to their mean, the furthest of norm 1; float32 [M, T, 3].
        label: Classes, int64 [M].
    """

    points: NDArray[np.float32]
    label: NDArray[np.int64]


def file_name(name: str) -> str:
    """The name of the file with the points of `modelnet10` or `modelnet40`."""
    return cache.versioned_name(name, VERSION, points=POINTS)


def available() -> str:
    """Returns "modelnet40" or "modelnet10" if a data folder has it, else "generated"."""
    found = (name for name in ("modelnet40", "modelnet10") if cache.find(file_name(name)))
    return next(found, "generated")


def surfaces(name: str) -> tuple[Surfaces, Surfaces]:
    """The published training and test split of `modelnet10` or `modelnet40`, with mixed classes.

    Raises:
        DataError: No data folder has the points and the meshes cannot be downloaded, or a file is damaged.
    """
    stored = split_arrays(file_name(name), HALVES, Surfaces._fields, lambda: _sample(name))
    train, test = (Surfaces(**stored[split]) for split in HALVES)
    for part, size in zip((train, test), SIZES[name], strict=True):
        if fault := _fault(part, size):
            raise DataError(f"{cache.find(file_name(name))} does not hold {name} ({fault}); replace it.")
    return train, test


def _fault(found: Surfaces, size: int) -> str | None:
    """Returns the reason if `found` is not `size` surfaces, as a file from elsewhere may be; else None."""
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
            except Exception as error:  # errors of the network, the archive or a mesh
                raise DataError(
                    f"{name} could not be downloaded or read ({type(error).__name__}: {error}); put "
                    f"{file_name(name)} into {cache.folders()[0]}, or take generated shapes with "
                    "task_params.data=generated."
                ) from error
            if len(read) != size:
                raise DataError(f"{name} has {len(read)} meshes for {split} instead of {size}: try again.")
            label = np.array([int(shape.y) for shape in read])
            key = np.array([int(shape.key) for shape in read])
            order = np.lexsort((label, key))  # not the arbitrary order of files in a folder
            points = np.stack([shape.pos.numpy() for shape in read])[order]
            made[split] = {"points": points, "label": label[order]}
    return made


def _sampled(shape: Data) -> Data:
    """Points sampled from a mesh, with a seed that depends on the mesh alone."""
    import torch
    from torch_geometric.data import Data
    from trimesh import Trimesh

    from tasks.sources.shape_families import surface_points

    vertices = shape.pos.double().numpy()
    key = zlib.crc32(vertices.tobytes())
    points = surface_points(Trimesh(vertices, shape.face.T.numpy(), process=False), POINTS, seed=key)
    return Data(pos=torch.from_numpy(points).float(), y=shape.y, key=key)
