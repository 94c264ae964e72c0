"""The tasks on images: fractals are what their article says, digits are the real ones, and neither has a symmetry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from baselines.catalogue import METHODS
from harness.registry import resolve, task
from harness.training.execute import execute
from tasks.catalogue.images import DigitsSettings, FractalsSettings
from tasks.errors import SettingsError
from tasks.images import Digits, Fractals
from tasks.sources.fractals import CHAINS, CONTRACTION, FILLED, MAPS, STEPS, attractor, density, system

pytestmark = pytest.mark.usefixtures("generated_data")
SMALL = FractalsSettings(train=60, validation=20, test=40, classes=10, side=16)


@given(st.integers(0, 2**32))
def test_a_system_contracts_and_fills_its_image(seed: int) -> None:
    maps = system(np.random.default_rng(seed), 16)
    assert MAPS[0] <= len(maps) <= MAPS[1] and np.abs(maps).max() <= 1
    assert np.linalg.norm(maps[..., :2], 2, axis=(1, 2)).max() <= CONTRACTION
    noise = np.random.default_rng(0).random((1, CHAINS, STEPS))
    assert (density(attractor(maps[None], noise), 16) > 0).mean() > FILLED / 2


def test_an_attractor_is_the_union_of_its_images() -> None:
    """The triangle of Sierpinski: the middle is empty, and each map sends all points to a third of them."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    maps = np.concatenate([np.broadcast_to(np.eye(2) / 2, (3, 2, 2)), corners[:, :, None] / 2], 2)
    points = attractor(maps[None], np.random.default_rng(0).random((1, CHAINS, STEPS)))[0]
    middle = (points < 0.4999).all(1) & (points.sum(1) > 0.5001)
    assert not middle.any()
    thirds = [((points >= corner / 2) & (points <= corner / 2 + 0.5)).all(1).mean() for corner in corners]
    np.testing.assert_allclose(thirds, 1 / 3, atol=0.02)


def test_a_smaller_set_is_the_beginning_of_a_larger_one_and_splits_differ() -> None:
    whole, part = Fractals(SMALL), Fractals(replace(SMALL, train=20))
    first, second = whole.data("train"), part.data("train")
    assert torch.equal(first.inputs.edge_scalars[:20], second.inputs.edge_scalars)
    assert torch.equal(first.targets[:20], second.targets)
    images = torch.cat([whole.data(split).inputs.edge_scalars for split in ("train", "validation", "test")])
    assert len(images.flatten(1).unique(dim=0)) == 120
    assert torch.equal(first.targets.sum(0), torch.full((10,), 6.0))
    other = Fractals(replace(SMALL, data_seed=1)).data("train").inputs.edge_scalars
    assert not torch.equal(first.inputs.edge_scalars, other)


def nearest_mean(problem: Fractals | Digits) -> float:
    """The accuracy on the test set of the nearest mean image of a class."""
    train, test = problem.data("train"), problem.data("test")
    flat = train.inputs.edge_scalars.flatten(1)
    means = train.targets.T @ flat / train.targets.sum(0)[:, None]
    found = torch.cdist(test.inputs.edge_scalars.flatten(1), means).argmin(1)
    return (found == test.targets.argmax(1)).double().mean().item()


def test_classes_can_be_told_from_images_but_not_once_labels_are_shuffled() -> None:
    true, shuffled = Fractals(SMALL), Fractals(replace(SMALL, labels="shuffled"))
    assert nearest_mean(true) > 0.5 > 0.25 > nearest_mean(shuffled)
    for split in ("train", "validation", "test"):
        one, other = true.data(split), shuffled.data(split)
        assert torch.equal(one.inputs.edge_scalars, other.inputs.edge_scalars)
        assert torch.equal(one.targets.sum(0), other.targets.sum(0)) and not torch.equal(one.targets, other.targets)


def test_digits_are_the_images_of_scikit_learn_each_in_one_split() -> None:
    problem = Digits(DigitsSettings(side=8))
    found = {}
    for split in ("train", "validation", "test"):
        data = problem.data(split)
        for image, target in zip(data.inputs.edge_scalars, data.targets, strict=True):
            found.setdefault(bytes((16 * image).round().byte().numpy()), []).append(target.argmax().item())
    real = load_digits()
    expected: dict[bytes, list[int]] = {}
    for image, label in zip(real.images, real.target, strict=True):
        expected.setdefault(bytes(image.astype(np.uint8)), []).append(label)
    assert found == expected
    assert nearest_mean(problem) > 0.8


def test_an_enlarged_digit_has_the_mean_of_the_small_one() -> None:
    small, large = (Digits(DigitsSettings(side=side)).data("test").inputs.edge_scalars for side in (8, 32))
    torch.testing.assert_close(large.mean((1, 2)), small.mean((1, 2)), atol=0.02, rtol=0)


def test_more_digits_than_there_are_is_an_error_before_a_run() -> None:
    with pytest.raises(SettingsError, match="there are 1,797 digits"):
        resolve("digits", "vit-none", "quick", 0, task_params={"train": 2_000})


def test_methods_of_these_tasks_do_not_symmetrize() -> None:
    """Every network respects the trivial group, so that a sampler has nothing to do."""
    card = task("digits")
    fitting = {method.name for method in METHODS if method.misfit(card, card.params) is None}
    assert {"vit-none", "mlp-none"} <= fitting
    assert not {name for name in fitting if name.split("-")[-1] in ("ga", "fa", "mfa", "canonical", "ps")}


def test_a_small_network_learns_fractals() -> None:
    spec = resolve(
        "fractals",
        "mlp-none",
        "quick",
        0,
        settings={"curve_samples": [1], "curve_size": 4},
        task_params={"train": 200, "validation": 40, "test": 100, "classes": 5, "side": 16},
    )
    metrics = execute(spec).metrics
    assert metrics["accuracy"] > 0.6
    assert metrics.get("accuracy_transformed", metrics["accuracy"]) == metrics["accuracy"]
