"""The parts of a data set, and arrays that are kept for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from tasks.sources import cache

SPLITS = ("train", "validation", "test")


def split_arrays(
    name: str,
    splits: Sequence[str],
    fields: Sequence[str],
    generate: Callable[[], Mapping[str, Mapping[str, NDArray[Any]]]],
) -> dict[str, cache.Arrays]:
    """The arrays `fields` of each split in the npz file called `name`; where it is missing, `generate()` makes them.

    Raises:
        DataError: the file is damaged, or is missing and no data folder can be written.
    """

    def flat() -> cache.Arrays:
        return {f"{split}_{field}": array for split, made in generate().items() for field, array in made.items()}

    stored = cache.arrays(name, [f"{split}_{field}" for split in splits for field in fields], flat)
    return {split: {field: stored[f"{split}_{field}"] for field in fields} for split in splits}
