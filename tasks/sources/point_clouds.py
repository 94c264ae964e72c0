"""Point clouds of shapes to classify: partially visible surfaces with noise, in any pose.

The surfaces are from ModelNet, or generated from a dozen families (`shape_families`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.sources import cache, modelnet
from tasks.sources.modelnet import Surfaces
from tasks.sources.shape_families import CHIRAL, FAMILIES, surface_points, unit_ball
from tasks.sources.splits import SPLITS, split_arrays

GENERATOR_VERSION = 1
VALIDATION_SHARE = 10  # of ModelNet, which has no validation split, every tenth training shape


class Poses(NamedTuple):
    """Isometries.

    Attributes:
        matrix: Orthogonal matrices, float64 [M, 3, 3].
        translation: float64 [M, 3].
    """

    matrix: NDArray[np.float64]
    translation: NDArray[np.float64]


def class_names(handed: bool) -> tuple[str, ...]:
    """The classes of generated shapes; with `handed`, mirror images of chiral shapes are classes of their own."""
    return (*FAMILIES, *(f"left {name}" for name in CHIRAL)) if handed else tuple(FAMILIES)


def generated(sizes: Mapping[str, int], points: int, handed: bool, seed: int) -> dict[str, Surfaces]:
    """Generates surfaces for each of `SPLITS`, kept in the cache. Classes alternate, so that they are balanced.

    Every shape has a random generator of its own: a smaller set is the beginning of a larger one, and splits share no
    shape.

    Args:
        sizes: Number of shapes of each split.
        points: Number of points of each surface.
        handed: True if mirror images are classes of their own.
        seed: The seed of the whole set.

    Raises:
        ValueError: A size is not positive, or the seed is negative.
        DataError: The file is damaged, or the cache cannot be used.
    """
    if min(sizes.values()) < 1 or points < 1 or seed < 0:
        raise ValueError(
            f"shapes and points must be positive and the seed not negative: {dict(sizes)}, {points}, {seed}"
        )
    name = cache.versioned_name(
        "shapes-generated", GENERATOR_VERSION, points=points, **sizes, handed=int(handed), seed=seed
    )

    def generate() -> dict[str, cache.Arrays]:
        return {
            split: _generate(sizes[split], points, handed, (seed, place))._asdict()
            for place, split in enumerate(SPLITS)
        }

    stored = split_arrays(name, SPLITS, Surfaces._fields, generate)
    return {split: Surfaces(**arrays) for split, arrays in stored.items()}


def _generate(size: int, points: int, handed: bool, seed: tuple[int, int]) -> Surfaces:
    names = class_names(handed)
    label = np.arange(size) % len(names)
    shapes = [_shape(names[kind], points, np.random.default_rng([*seed, index])) for index, kind in enumerate(label)]
    return Surfaces(np.stack(shapes).astype(np.float32), label)


def _shape(name: str, points: int, random: np.random.Generator) -> NDArray[np.float64]:
    mesh = FAMILIES[name.removeprefix("left ")](random)
    sampled = surface_points(mesh, points, seed=int(random.integers(2**32)))
    return sampled * [1, 1, -1] if name.startswith("left ") else sampled


def published(name: str) -> dict[str, Surfaces]:
    """The surfaces of `modelnet10` or `modelnet40` for each of `SPLITS`.

    Raises:
        DataError: They are in no data folder and cannot be downloaded, or the file is damaged.
    """
    train, test = modelnet.surfaces(name)
    held_out = np.zeros(len(train.label), dtype=bool)
    for kind in np.unique(train.label):
        held_out[np.flatnonzero(train.label == kind)[VALIDATION_SHARE - 1 :: VALIDATION_SHARE]] = True
    return {
        "train": Surfaces(train.points[~held_out], train.label[~held_out]),
        "validation": Surfaces(train.points[held_out], train.label[held_out]),
        "test": test,
    }


def points_needed(points: int, occlusion: float) -> int:
    """The number of points that a surface must have so that `points` are visible if a share `occlusion` is hidden.

    Raises:
        ValueError: `points` is not positive, or `occlusion` is not in [0, 1).
    """
    if points < 1 or not 0 <= occlusion < 1:
        raise ValueError(f"points must be positive and occlusion in [0, 1), not {points} and {occlusion}")
    return math.ceil(points / (1 - occlusion))


def seen(
    surfaces: NDArray[np.float32], points: int, noise: float, occlusion: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Point clouds as a sensor sees them: with hidden points and noise, scaled to the unit ball about their mean.

    A half space in a random direction hides a share of every surface that is uniform on [0, occlusion]; visible points
    keep their order. Then normal noise is added to every coordinate.

    Args:
        surfaces: Points in the unit ball, [M, T, 3].
        points: Number of points of a cloud.
        noise: Standard deviation of the noise.
        occlusion: The largest share of a surface that is hidden.
        random: The source of random numbers.

    Returns:
        [M, points, 3].

    Raises:
        ValueError: A surface has fewer points than needed (`points_needed`), or `noise` is negative.
    """
    needed = points_needed(points, occlusion)
    if surfaces.shape[1] < needed or noise < 0:
        raise ValueError(
            f"{points} points with occlusion {occlusion} need {needed} of a surface that has {surfaces.shape[1]}, and "
            f"noise {noise} must not be negative: ask for fewer points or less."
        )
    size = len(surfaces)
    direction = random.normal(size=(size, 3, 1))
    considered = np.ceil(points / (1 - random.uniform(0, occlusion, size)))
    along = np.where(np.arange(needed) < considered[:, None], (surfaces[:, :needed] @ direction)[..., 0], np.inf)
    visible = np.sort(np.argpartition(along, points - 1, axis=1)[:, :points], axis=1)
    clouds = np.take_along_axis(surfaces, visible[..., None], axis=1)
    return unit_ball(clouds + noise * random.normal(size=clouds.shape))


def random_poses(size: int, proper: bool, random: np.random.Generator) -> Poses:
    """Uniform elements of O(3); with `proper`, uniform elements of SO(3) and standard normal translations."""
    from scipy.stats import ortho_group, special_ortho_group

    law = special_ortho_group if proper else ortho_group
    matrix = law.rvs(3, size=size, random_state=random).reshape(size, 3, 3)
    return Poses(matrix, random.normal(size=(size, 3)) if proper else np.zeros((size, 3)))
