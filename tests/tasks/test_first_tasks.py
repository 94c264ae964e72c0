"""The first tasks: sizes, splits, features and scores as published."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from harness.registry import resolve, task
from tasks.catalogue.geometry import NBodySettings
from tasks.catalogue.graphs import ExpSettings
from tasks.errors import DataError
from tasks.exp import ExpClassify
from tasks.graph8c import Graph8c
from tasks.nbody import NBody
from tasks.settings import NoSettings
from tasks.symmetry.structure import Structure

OFFICIAL = Path(os.environ.get("SYMBENCH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "exp.npz"
needs_official = pytest.mark.skipif(not OFFICIAL.exists(), reason=f"the official EXP set is not at {OFFICIAL}")


def assert_padding_is_zero(x: Structure) -> None:
    assert not x.node_scalars[~x.mask].any()
    assert not x.edge_scalars[~x.mask].any() and not x.edge_scalars.mT[~x.mask].any()
    assert x.mask.int().diff(dim=1).max() <= 0  # nodes that exist come first


@pytest.mark.usefixtures("generated_data")
def test_graph8c_has_every_graph_with_constant_and_degree() -> None:
    x = Graph8c(NoSettings()).structures()
    assert len(x) == 11_117 and x.nodes == 8 and x.mask.all()
    assert torch.equal(x.adjacency, x.adjacency.mT) and not x.adjacency.diagonal(dim1=1, dim2=2).any()
    assert (x.node_scalars[..., 0] == 1).all()
    assert torch.equal(x.node_scalars[..., 1], x.adjacency.sum(-1))


def check_exp(problem: ExpClassify) -> None:
    sizes = {split: len(problem.data(split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 800, "validation": 200, "test": 200}
    for split in ("train", "validation", "test"):
        data = problem.data(split)
        assert_padding_is_zero(data.inputs)
        assert data.targets.mean() == 0.5  # pairs never straddle splits
        assert torch.equal(data.targets[::2], torch.ones_like(data.targets[::2]))
        pairs = data.inputs.node_counts.unflatten(0, (-1, 2))
        assert torch.equal(pairs[:, 0], pairs[:, 1])
        assert set(data.inputs.node_scalars[..., 0].unique().tolist()) == {0.0, 1.0}
        assert torch.equal(data.inputs.node_scalars[..., 1], data.inputs.adjacency.sum(-1))


@pytest.mark.usefixtures("generated_data")
def test_the_generated_variant_of_exp() -> None:
    card = task("exp_classify")
    settings = card.resolve(ExpSettings())
    assert settings.data == "generated"
    assert card.variant(settings) == "generated variant of EXP"
    check_exp(ExpClassify(settings))


@needs_official
def test_the_official_exp_set_is_used_where_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generated = resolve("exp_classify", "gin", "quick", 0, task_params={"data": "generated"})
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
    shutil.copy(OFFICIAL, tmp_path / "exp.npz")
    spec = resolve("exp_classify", "gin", "quick", 0)
    assert spec.task_params["data"] == "official"
    assert task("exp_classify").variant_of(spec.task_params) is None
    assert spec.digest != generated.digest
    check_exp(ExpClassify(ExpSettings(**spec.task_params)))


def test_an_official_set_that_is_asked_for_and_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"exp\.npz"):
        ExpClassify(ExpSettings(data="official"))


def test_exp_scores() -> None:
    problem = ExpClassify.__new__(ExpClassify)
    logits, labels = torch.tensor([[2.0], [-1.0], [0.5], [-3.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    assert problem.metrics(logits, labels) == {"accuracy": 0.75}
    expected = -torch.log(torch.sigmoid(torch.tensor([2.0, 1.0, -0.5, 3.0]))).mean()
    torch.testing.assert_close(problem.loss(logits, labels), expected)


@pytest.mark.usefixtures("generated_data")
def test_nbody_edges_carry_charges_and_squared_distances() -> None:
    problem = NBody(NBodySettings(train=8, validation=4, test=4))
    data = problem.data("train")
    x = data.inputs
    assert data.targets.shape == (8, 5, 3, 1)
    assert set(x.edge_scalars[..., 0].unique().tolist()) == {-1.0, 0.0, 1.0}
    assert not x.edge_scalars.diagonal(dim1=1, dim2=2).any()
    distance = torch.cdist(x.points[..., 0], x.points[..., 0]).square()
    torch.testing.assert_close(x.edge_scalars[..., 1], distance, atol=1e-3, rtol=1e-4)
    still, drift = x.points, x.points + x.vectors  # 1,000 steps of 0.001: velocity times one unit of time
    assert problem.metrics(drift, data.targets)["mse"] < problem.metrics(still, data.targets)["mse"]
