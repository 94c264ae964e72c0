"""Splits are disjoint, cover what they should, and are the same whenever they are drawn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataError, SettingsError
from tasks.pyg.splits import drawn, settings_class, wrong_fractions
from tasks.pyg.splits import given as as_given
from tasks.sources.splits import SPLITS

PARTS = {"train": 0.8, "validation": 0.1, "test": 0.1}


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1), st.integers(20, 60), st.integers(0, 9))
def test_drawn_splits_are_disjoint_and_repeat(train: int, valid: int, unused: int, count: int, seed: int) -> None:
    twentieths = (train, valid, 20 - train - valid - unused)
    fractions = {split: part / 20 for split, part in zip(SPLITS, twentieths, strict=True)}
    settings = settings_class(fractions)(split_seed=seed)
    first, again = drawn(settings, count), drawn(settings, count)
    together = torch.cat(list(first.values()))
    assert len(together.unique()) == len(together) <= count
    assert together.min() >= 0 and together.max() < count
    assert all(torch.equal(first[split], again[split]) for split in SPLITS)
    assert all(abs(len(first[split]) - fractions[split] * count) <= 1 for split in SPLITS)
    assert sum(twentieths) < 20 or len(together) == count


def test_another_seed_draws_other_splits() -> None:
    kind = settings_class(PARTS)
    first, other = (drawn(kind(split_seed=seed), 100)["test"] for seed in (0, 1))
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_fraction": 0.95}, "the fractions of the splits sum to more than 1"),
        ({"test_fraction": 0.001}, "the test split of 20 graphs has none: raise test_fraction"),
    ],
)
def test_fractions_that_do_not_work_are_told(changes: dict[str, float], says: str) -> None:
    settings = settings_class(PARTS)(**changes)
    assert wrong_fractions(settings, 20) == says
    with pytest.raises(DataError, match=says):
        drawn(settings, 20)


def test_a_fraction_is_at_most_one() -> None:
    with pytest.raises(SettingsError, match=r"fraction of the test split should be .* not 1\.5"):
        settings_class(PARTS | {"test": 1.5})


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"test": []}, DataError, "The test split has no graphs"),
        ({"test": [9]}, DataError, "The test split has the index 9, and there are 5 graphs"),
        ({"test": [-1]}, DataError, "has the index -1"),
        ({"test": [0]}, DataError, "Graph 0 is in the splits train and test"),
        ({"test": [4, 4]}, DataError, "Graph 4 is in the splits test and test"),
        ({"test": ["a"]}, SettingsError, "three fractions, three lists of indices, or three data sets"),
    ],
)
def test_wrong_lists_are_told(changes: Any, error: type[Exception], says: str) -> None:
    splits = {"train": [0, 1], "validation": [2], "test": [3]}
    assert as_given(splits, 5)["train"].tolist() == [0, 1]
    with pytest.raises(error, match=says):
        as_given(splits | changes, 5)
