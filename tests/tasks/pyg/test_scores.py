"""Metrics against scikit-learn, and losses that do not look at what is unknown."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from torch import Tensor

from tasks.pyg.scores import LOSSES, SCORES, Kind, rows

NAN = float("nan")
REFERENCES = {
    "mae": sklearn.mean_absolute_error,
    "mse": sklearn.mean_squared_error,
    "rmse": sklearn.root_mean_squared_error,
    "roc_auc": sklearn.roc_auc_score,
    "average_precision": sklearn.average_precision_score,
}


def random(*shape: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def with_unknown(values: Tensor, seed: int) -> Tensor:
    """A third of the values NaN, but none in the first two rows."""
    unknown = torch.from_numpy(np.random.default_rng([seed, 1]).random(values.shape) < 0.3)
    unknown[:2] = False
    return values.masked_fill(unknown, torch.nan)


@pytest.mark.parametrize("name", ["mae", "mse", "rmse"])
@given(st.integers(2, 20), st.integers(0, 99))
def test_errors_are_those_of_scikit_learn(name: str, count: int, seed: int) -> None:
    found, wanted = random(count, 3, seed=seed), with_unknown(random(count, 3, seed=seed + 1), seed)
    known = ~wanted.isnan()
    expected = REFERENCES[name](wanted[known].numpy(), found[known].numpy())
    assert SCORES[name, "regression"].measure(found, wanted) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
@given(st.integers(2, 20), st.integers(0, 99))
def test_ranks_are_those_of_scikit_learn_for_each_known_label(name: str, count: int, seed: int) -> None:
    found, labels = random(count, 3, seed=seed).round(decimals=1), (random(count, 3, seed=seed + 1) > 0).double()
    labels[0], labels[1] = 0, 1
    labels = with_unknown(labels, seed)
    known = [~column.isnan() for column in labels.T]
    each = [REFERENCES[name](labels[k, c].numpy(), found[k, c].numpy()) for c, k in enumerate(known)]
    assert SCORES[name, "labels"].measure(found, labels) == pytest.approx(np.mean(each), abs=1e-6)


def test_a_label_that_all_or_none_have_is_not_ranked() -> None:
    found, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, NAN]])
    assert SCORES["roc_auc", "labels"].measure(found, labels) == 1
    assert math.isnan(SCORES["roc_auc", "labels"].measure(found, torch.ones(2, 2)))


@given(st.integers(1, 20), st.integers(0, 99))
def test_accuracy_is_that_of_scikit_learn(count: int, seed: int) -> None:
    logits, classes = random(count, 4, seed=seed), torch.from_numpy(np.random.default_rng(seed).integers(0, 4, count))
    expected = sklearn.accuracy_score(classes, logits.argmax(-1))
    with_more = torch.cat([classes, torch.full((2,), -1)])  # two unknown ones
    more = torch.cat([logits, torch.zeros(2, 4)])
    assert SCORES["accuracy", "classes"].measure(more, with_more) == pytest.approx(expected)
    labels = (random(count, 3, seed=seed + 1) > 0).double()
    expected = sklearn.accuracy_score(labels.flatten(), (logits[:, :3] > 0).flatten())
    assert SCORES["accuracy", "labels"].measure(logits[:, :3], labels) == pytest.approx(expected)


LOSS_CASES: list[tuple[Kind, Tensor, Tensor, Callable[..., Tensor]]] = [
    ("regression", torch.tensor([[1.0], [5.0]]), torch.tensor([[3.0], [NAN]]), torch.nn.functional.mse_loss),
    (
        "labels",
        torch.tensor([[1.0], [5.0]]),
        torch.tensor([[1.0], [NAN]]),
        torch.nn.functional.binary_cross_entropy_with_logits,
    ),
    (
        "classes",
        torch.tensor([[1.0, 0.0], [5.0, 1.0]]),
        torch.tensor([[1.0], [-1.0]]),
        lambda found, wanted: torch.nn.functional.cross_entropy(found, wanted[:, 0].long()),
    ),
]


@pytest.mark.parametrize(("kind", "found", "wanted", "reference"), LOSS_CASES)
def test_a_loss_is_the_mean_over_what_is_known(
    kind: Kind, found: Tensor, wanted: Tensor, reference: Callable[..., Tensor]
) -> None:
    found = found.requires_grad_()
    loss = LOSSES[kind](found, wanted)
    loss.backward()
    assert loss.item() == pytest.approx(reference(found[:1], wanted[:1]).item())
    assert found.grad is not None and found.grad[0].any() and not found.grad[1].any()
    assert LOSSES[kind](found[1:], wanted[1:]).item() == 0


def test_functions_of_ones_own_get_what_exists() -> None:
    wanted = torch.tensor([[[1.0], [NAN]], [[2.0], [3.0]]])
    found, targets = rows(wanted * 2, wanted, "regression", of_nodes=True)
    assert targets.tolist() == [[1], [2], [3]] and found.tolist() == [[2], [4], [6]]
    found, classes = rows(torch.zeros(2, 2, 3), torch.tensor([[[1.0], [-1.0]], [[2.0], [0.0]]]), "classes", True)
    assert classes.tolist() == [1, 2, 0] and found.shape == (3, 3)
    assert rows(torch.zeros(2, 3), torch.tensor([[1.0], [0.0]]), "classes", False)[1].tolist() == [1, 0]
