"""The shapes tasks: the same clouds in poses of their group, targets, labels of what is generated, bad parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from harness.errors import SymbenchError
from harness.registry import resolve, task
from tasks.catalogue.geometry import ShapesSettings
from tasks.shapes import ProperShapes, Shapes

SMALL = {"train": 28, "validation": 14, "test": 14, "points": 20}
KINDS = {"shapes_o3": Shapes, "shapes_se3": ProperShapes}

pytestmark = pytest.mark.usefixtures("generated_data")


def settings_of(name: str, **params: object) -> ShapesSettings:
    return ShapesSettings(**resolve(name, "mlp-ga", "quick", 0, task_params={**SMALL, **params}).task_params)


def built(name: str, **params: object) -> Shapes:
    return KINDS[name](settings_of(name, **params))


def points(problem: Shapes, split: str = "train") -> Tensor:
    return problem.data(split).inputs.points[..., 0].double()


@pytest.mark.parametrize("name", KINDS)
def test_random_poses_are_those_of_the_group(name: str) -> None:
    """The isometry between an aligned cloud and the posed one, by Procrustes."""
    aligned, posed = points(built(name, poses="aligned")), points(built(name))
    translation = posed.mean(1, keepdim=True)
    left, _, right = torch.linalg.svd(aligned.mT @ (posed - translation))
    matrix = left @ right
    torch.testing.assert_close(aligned @ matrix + translation, posed, atol=1e-6, rtol=0)
    determinant = torch.linalg.det(matrix)
    if name == "shapes_se3":
        assert (determinant > 0).all() and (translation.norm(dim=-1) > 0.1).all()
    else:
        assert 5 < (determinant > 0).sum() < 23 and translation.abs().max() < 1e-6
    assert (aligned.norm(dim=-1).amax(1) - 1).abs().max() < 1e-6


@pytest.mark.parametrize("name", KINDS)
def test_every_split_is_seen_by_chance_of_its_own(name: str) -> None:
    """The same surfaces in every split: noise, what is hidden, and poses differ all the same."""
    problem = built(name, noise=0.05)
    surfaces = problem._surfaces(settings_of(name))["test"]
    for poses in ("aligned", "random"):
        settings = ShapesSettings(points=12, noise=0.05, occlusion=0.3, poses=poses)
        clouds = [problem._observed(surfaces, settings, place).inputs.points for place in range(3)]
        again = problem._observed(surfaces, settings, 2).inputs.points
        assert torch.equal(clouds[2], again)
        settings_of_run = replace(settings, data="generated", **SMALL)
        whole = KINDS[name](settings_of_run)
        generated = whole._surfaces(settings_of_run)
        for place, split in enumerate(("train", "validation", "test")):
            assert torch.equal(
                whole._observed(generated[split], settings_of_run, place).inputs.points, whole.data(split).inputs.points
            )
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert not torch.isclose(clouds[one], clouds[other]).all((1, 2, 3)).any()


@pytest.mark.parametrize(("name", "classes"), [("shapes_o3", 12), ("shapes_se3", 14)])
def test_targets_are_balanced_and_scored_by_the_largest_logit(name: str, classes: int) -> None:
    problem = built(name)
    targets = problem.data("test").targets
    assert problem.signature.output_channels == classes and targets.shape == (14, classes)
    assert targets.sum(0).max() - targets.sum(0).min() <= 1
    assert problem.metrics(targets, targets) == {"accuracy": 1.0}
    assert problem.metrics(targets.roll(1, 1), targets) == {"accuracy": 0.0}
    uniform = problem.loss(torch.zeros_like(targets), targets)
    torch.testing.assert_close(uniform, torch.tensor(float(classes)).log())


def test_the_same_settings_give_the_same_clouds_and_splits_differ() -> None:
    first, second = built("shapes_o3"), built("shapes_o3")
    for split in ("train", "validation", "test"):
        assert torch.equal(points(first, split), points(second, split))
    assert not torch.isclose(points(first, "validation"), points(first, "test")).all((1, 2)).any()
    assert not torch.isclose(points(first), points(built("shapes_o3", data_seed=1))).all((1, 2)).any()


def test_generated_data_is_called_a_variant_with_its_sizes_written_out() -> None:
    params = resolve("shapes_o3", "mlp-ga", "quick", 0).task_params
    assert params["data"] == "generated" and params["train"] == 2400
    assert task("shapes_o3").variant_of(params) == "generated shapes"
    published = resolve("shapes_o3", "mlp-ga", "quick", 0, task_params={"data": "modelnet10"}).task_params
    assert task("shapes_o3").variant_of(published) is None and published["train"] is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"poses": "upright"}, "poses must be random or aligned, not upright"),
        ({"data": "shapenet"}, "data must be generated, modelnet10 or modelnet40, not shapenet"),
        ({"occlusion": 1.0}, r"occlusion in \[0, 1\)"),
        ({"train": 0}, "must be positive"),
        ({"noise": -0.1}, "must not be negative"),
    ],
)
def test_bad_parameters_are_named(wrong: dict[str, object], words: str) -> None:
    """Before anything starts, and by the task itself where a run came another way."""
    with pytest.raises(SymbenchError, match=next(iter(wrong))):
        built("shapes_o3", **{"data": "generated", **wrong})
    right = settings_of("shapes_o3", data="generated")
    with pytest.raises(ValueError, match=words):
        KINDS["shapes_o3"](replace(right, **wrong))
