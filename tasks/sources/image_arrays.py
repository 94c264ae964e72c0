"""Images with labels as plain arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ImageSplit(NamedTuple):
    """Grey images of one split.

    Attributes:
        image: Grey values, uint8 `[M, side, side]`.
        label: The class of each image, integers `[M]`.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.int64]
