"""Grey images of fractals, each class a random iterated function system (Kataoka et al. 2020, arXiv 2101.08515).

A system is a set of affine maps of the plane. An image is the density of the points that its maps, drawn at random,
visit one after another. As in the article, a map is drawn with a probability proportional to its determinant, and
images of one class differ in one of the six parameters of all maps, which is multiplied by 0.8 to 1.2, and in a
reflection. Unlike there, all maps are contractions, images are densities, and they are not cut into patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.sources import cache
from tasks.sources.image_arrays import ImageSplit
from tasks.sources.splits import SPLITS, split_arrays

GENERATOR_VERSION = 1
MAPS = (2, 8)
SCALES = (0.8, 1.2)
CONTRACTION = 0.95  # the largest singular value of a map
FILLED = 0.15  # the smallest share of pixels that the image of a class has points in
CHAINS, STEPS, BEFORE = 200, 60, 20  # points of an image: those of all chains after the first steps
CHUNK = 100

Float = NDArray[np.float64]


def generated(sizes: Mapping[str, int], classes: int, side: int, seed: int) -> dict[str, ImageSplit]:
    """Generates images for each of `SPLITS`, kept in the cache. Classes alternate, so that they are balanced.

    Every image has a random generator of its own: a smaller set is the beginning of a larger one, and splits share no
    image.

    Args:
        sizes: Number of images of each split.
        classes: Number of classes, each an iterated function system.
        side: Number of pixels along each side.
        seed: The seed of the whole set.

    Raises:
        DataError: The file is damaged, or the cache cannot be used.
    """
    name = cache.versioned_name("fractals", GENERATOR_VERSION, classes=classes, side=side, **sizes, seed=seed)

    def generate() -> dict[str, dict[str, NDArray[np.uint8]]]:
        systems = [system(np.random.default_rng([seed, label]), side) for label in range(classes)]
        return {
            split: {"image": np.concatenate(list(_images(systems, sizes[split], side, seed, place)))}
            for place, split in enumerate(SPLITS)
        }

    stored = split_arrays(name, SPLITS, ["image"], generate)
    return {split: ImageSplit(found["image"], np.arange(sizes[split]) % classes) for split, found in stored.items()}


def system(random: np.random.Generator, side: int) -> Float:
    """Draws an iterated function system with an image that is not nearly empty.

    Args:
        random: The random generator.
        side: Number of pixels along each side of the image.

    Returns:
        The parameters of M maps x -> A x + b as `[M, 2, 3]`, A beside b. All are uniform on [-1, 1] among contractions.
    """
    while True:
        maps = np.stack([_contraction(random) for _ in range(random.integers(MAPS[0], MAPS[1], endpoint=True))])
        image = density(attractor(maps[None], random.random((1, CHAINS, STEPS))), side)
        if (image > 0).mean() >= FILLED:
            return maps


def _contraction(random: np.random.Generator) -> Float:
    while True:
        drawn = random.uniform(-1, 1, (2, 3))
        if np.linalg.norm(drawn[:, :2], 2) <= CONTRACTION:
            return drawn


def attractor(systems: Float, noise: Float) -> Float:
    """Points of the attractors of several systems.

    Args:
        systems: Parameters `[B, M, 2, 3]`.
        noise: Uniform on [0, 1), `[B, CHAINS, STEPS]`: it chooses the map of each step.

    Returns:
        Points `[B, P, 2]`.
    """
    weights = np.abs(np.linalg.det(systems[..., :2])) + 1e-3  # no map is left out
    bounds = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
    chosen = (noise[..., None] > bounds[:, None, None, :-1]).sum(-1)
    rows = np.arange(len(systems))[:, None]
    point, points = np.zeros((*noise.shape[:2], 2)), []
    for step in range(noise.shape[2]):
        maps = systems[rows, chosen[..., step]]
        point = maps[..., 0] * point[..., :1] + maps[..., 1] * point[..., 1:] + maps[..., 2]
        if step >= BEFORE:
            points.append(point)
    return np.concatenate(points, axis=1)


def density(points: Float, side: int) -> NDArray[np.uint8]:
    """Images `[B, side, side]` of points `[B, P, 2]`: the logarithm of the count of each pixel, from 0 to 255.

    The image shows the smallest square that contains all points of the system.
    """
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    extent = (high - low).max(2, keepdims=True).clip(1e-9)
    places = ((points - (low + high) / 2) / extent + 0.5) * side
    pixels = places.astype(np.int64).clip(0, side - 1)
    flat = (np.arange(len(points))[:, None] * side + pixels[..., 0]) * side + pixels[..., 1]
    counts = np.bincount(flat.ravel(), minlength=len(points) * side**2).reshape(-1, side, side)
    grey = np.log1p(counts)
    return np.round(255 * grey / grey.max((1, 2), keepdims=True)).astype(np.uint8)


def _images(systems: list[Float], count: int, side: int, seed: int, place: int) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, count, CHUNK):
        members = range(start, min(start + CHUNK, count))
        varied, noise, reflected = [], [], []
        for member in members:
            random = np.random.default_rng([seed, len(SPLITS), place, member])
            maps = systems[member % len(systems)].copy()
            maps.reshape(len(maps), 6)[:, random.integers(6)] *= random.uniform(*SCALES)
            varied.append(_contracted(maps))
            noise.append(random.random((CHAINS, STEPS)))
            reflected.append(random.integers(2, size=2) == 1)
        yield _reflections(_densities(varied, np.stack(noise), side), np.stack(reflected))


def _contracted(maps: Float) -> Float:
    """The maps with matrices whose norm is too large scaled down."""
    norms = np.linalg.norm(maps[:, :, :2], 2, axis=(1, 2))
    scaled = maps.copy()
    scaled[:, :, :2] /= (norms / CONTRACTION).clip(1)[:, None, None]
    return scaled


def _densities(systems: list[Float], noise: Float, side: int) -> NDArray[np.uint8]:
    """The images of systems with different numbers of maps."""
    images = np.empty((len(systems), side, side), np.uint8)
    counts = np.array([len(maps) for maps in systems])
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        images[rows] = density(attractor(np.stack([systems[row] for row in rows]), noise[rows]), side)
    return images


def _reflections(images: NDArray[np.uint8], reflected: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The images, reflected along each axis if the row of `reflected` ``[B, 2]`` says so."""
    for axis in (0, 1):
        images = np.where(reflected[:, axis, None, None], np.flip(images, axis + 1), images)
    return images
