"""The splits of a data set: fractions of shuffled graphs, or lists of their indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.errors import DataError, SettingsError
from tasks.limits import SEED, SHARE
from tasks.settings import setting
from tasks.sources.splits import SPLITS

FRACTIONS: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Settings of a task whose splits are given."""

    data: str | None = setting(
        None, None, "Digest of graphs, targets and given splits; null takes that of the data set as it is."
    )


@dataclass(frozen=True, kw_only=True)
class SplitDataSettings(DataSettings):
    """Settings of a task whose splits are fractions of the data set."""

    train_fraction: float = setting(FRACTIONS["train"], SHARE, "Fraction of the graphs to train on.")
    validation_fraction: float = setting(FRACTIONS["validation"], SHARE, "Fraction of the graphs to validate on.")
    test_fraction: float = setting(FRACTIONS["test"], SHARE, "Fraction of the graphs to test on.")
    split_seed: int = setting(0, SEED, "Seed of the order in which graphs are split.")


def settings_class(fractions: Mapping[str, float]) -> type:
    """:class:`SplitDataSettings` with these defaults.

    Raises:
        SettingsError: A fraction is not between 0 and 1.
    """
    for split, fraction in fractions.items():
        if reason := SHARE.wrong(fraction):
            raise SettingsError(f"The fraction of the {split} split should be {reason}, not {fraction!r}.")
    plain = SplitDataSettings.__dataclass_fields__
    changed = []
    for split in SPLITS:
        name = f"{split}_fraction"
        meta = plain[name].metadata
        changed.append((name, float, setting(float(fractions[split]), meta["limit"], meta["meaning"])))
    return make_dataclass("SplitDataSettings", changed, bases=(SplitDataSettings,), frozen=True, kw_only=True)


def check_names(splits: Mapping[str, Any]) -> None:
    """Raises :class:`SettingsError` if there is another split than train, validation and test, or not all of them."""
    if set(splits) != set(SPLITS):
        raise SettingsError(f"The splits are {', '.join(map(str, splits))}: give {', '.join(SPLITS)}.")


def given(splits: Mapping[str, Sequence[int]], count: int) -> dict[str, Tensor]:
    """Index lists ``[graphs]`` of ``count`` graphs by split, int64.

    Raises:
        SettingsError: The splits are no lists of indices.
        DataError: A list is empty, an index is no graph's, or is in two lists or twice in one.
    """
    try:
        found = {split: torch.as_tensor(splits[split], dtype=torch.long).flatten() for split in SPLITS}
    except (TypeError, ValueError, RuntimeError) as error:
        why = "splits should be three fractions, three lists of indices, or three data sets with None as dataset"
        raise SettingsError(f"The {why}.") from error
    seen: dict[int, str] = {}
    for split, indices in found.items():
        if not len(indices):
            raise DataError(f"The {split} split has no graphs: give at least one.")
        for index in indices.tolist():
            if not 0 <= index < count:
                raise DataError(f"The {split} split has the index {index}, and there are {count} graphs.")
            if index in seen:
                raise DataError(f"Graph {index} is in the splits {seen[index]} and {split}: list it once.")
            seen[index] = split
    return found


def drawn(settings: Any, count: int) -> dict[str, Tensor]:
    """Shuffled indices ``[graphs]`` of ``count`` graphs by split, int64, for :class:`SplitDataSettings`.

    Raises:
        DataError: The fractions do not work; see :func:`wrong_fractions`.
    """
    if reason := wrong_fractions(settings, count):
        raise DataError(f"The splits cannot be made: {reason}.")
    order = torch.from_numpy(np.random.default_rng(settings.split_seed).permutation(count))
    ends = _ends(settings, count)
    return {split: order[start:end] for split, start, end in zip(SPLITS, (0, *ends), ends, strict=False)}


def wrong_fractions(settings: Any, count: int) -> str | None:
    """Returns why ``count`` graphs cannot be split by these fractions, as a clause, or None if they can."""
    ends = _ends(settings, count)
    if ends[-1] > count:
        return "the fractions of the splits sum to more than 1"
    for split, start, end in zip(SPLITS, (0, *ends), ends, strict=False):
        if start == end:
            return f"the {split} split of {count} graphs has none: raise {split}_fraction"
    return None


def _ends(settings: Any, count: int) -> list[int]:
    fractions = [getattr(settings, f"{split}_fraction") for split in SPLITS]
    return [int(total * count + 0.5) for total in np.cumsum(fractions).round(9).tolist()]
