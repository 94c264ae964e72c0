"""Handwritten digits: the 1,797 real images of 8 x 8 pixels that scikit-learn ships (Alpaydin and Kaynak 1998)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.errors import DataError
from tasks.extras import named_extras
from tasks.sources.image_arrays import ImageSplit
from tasks.sources.splits import SPLITS

IMAGES, CLASSES, BRIGHTEST = 1_797, 10, 16


@named_extras("The task digits")
def shipped(sizes: Mapping[str, int], side: int, seed: int) -> dict[str, ImageSplit]:
    """The images of each of `SPLITS`, enlarged bilinearly.

    Args:
        sizes: Number of images of each split, at most `IMAGES` together.
        side: Number of pixels along each side.
        seed: The seed of the order in which images are given to splits.

    Raises:
        DataError: There are not that many images.
        MissingExtra: scikit-learn is not installed.
    """
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    if sum(sizes.values()) > IMAGES:
        raise DataError(f"There are {IMAGES:,} digits, and the splits ask for {sum(sizes.values()):,}: ask for fewer.")
    found = load_digits()
    grey = found.images.astype(np.float64) / BRIGHTEST
    enlarged = zoom(grey, (1, side / grey.shape[1], side / grey.shape[2]), order=1, grid_mode=True, mode="nearest")
    images = np.round(255 * enlarged.clip(0, 1)).astype(np.uint8)
    order = np.random.default_rng(seed).permutation(IMAGES)
    ends = np.cumsum([sizes[split] for split in SPLITS])
    places = np.split(order, ends)[: len(SPLITS)]
    return {split: ImageSplit(images[of], found.target[of]) for split, of in zip(SPLITS, places, strict=True)}
