"""The splits of a data set and their arrays."""

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
    """Returns arrays of each split from the npz file called `name`, which is generated first if it is missing.

    Args:
        name: The name of the file.
        splits: The names of the splits.
        fields: The names of the arrays.
        generate: Returns the arrays by split and name.

    Raises:
        DataError: The file is damaged, or is missing and no data folder can be written.
    """

    def flat() -> cache.Arrays:
        return {f"{split}_{field}": array for split, made in generate().items() for field, array in made.items()}

    stored = cache.arrays(name, [f"{split}_{field}" for split in splits for field in fields], flat)
    return {split: {field: stored[f"{split}_{field}"] for field in fields} for split in splits}
