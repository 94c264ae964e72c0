"""A package with a task, a base model, a sampler and an equivariant network of its own, as the README says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.execution.run_job import run_job
from harness.records.store import Store
from harness.suites import plan
from harness.suites.loading import load
from harness.verification.verdicts import check, subject
from tests.distributions import found_in, put
from tests.harness.cli.conftest import Call

CARDS = """
from dataclasses import dataclass

from baselines.cards import BaseCard, SamplerCard
from tasks.cards import TaskCard
from tasks.limits import COUNT
from tasks.protocol import Protocol
from tasks.settings import setting


@dataclass(frozen=True, kw_only=True)
class WidthSettings:
    width: int = setting(8, COUNT, "Number of channels.")


@dataclass(frozen=True, kw_only=True)
class SpreadSettings:
    train: int = setting(8, COUNT, "Number of training examples.")


NET = BaseCard(
    name="mynet",
    reads=frozenset({"points"}),
    writes=frozenset({"graph_scalars"}),
    implementation="mypackage.code:MyNet",
    settings=WidthSettings,
)
SAMPLER = SamplerCard(
    name="mysampler", implementation="mypackage.code:MySampler", guarantee="in expectation"
)
ALONE = BaseCard(
    name="myinvariant",
    needs=frozenset({"points"}),
    writes=frozenset({"graph_scalars"}),
    respects=frozenset({"S_n", "O(2)"}),
    implementation="mypackage.code:MyInvariant",
)
TASK = TaskCard(
    name="myspread",
    group=("S_n", "O(2)"),
    inputs=frozenset({"points"}),
    output="graph_scalars",
    metric="mse",
    direction="min",
    implementation="mypackage.code:MySpread",
    settings=SpreadSettings,
    protocols={"quick": Protocol(epochs=1, batch_size=4, curve_samples=(1, 2), curve_size=4, test_samples=2)},
    max_nodes=lambda settings: 4,
)
"""
CODE = """
import torch
from torch import nn

from baselines.bases.base_model import BaseModel
from baselines.samplers.sampler import Sample, Sampler
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, SupervisedTask


class MyNet(BaseModel):
    def __init__(self, signature, settings):
        super().__init__()
        size = signature.nodes * signature.dimension
        self.layers = nn.Sequential(nn.Linear(size, settings.width), nn.Tanh(), nn.Linear(settings.width, 1))

    def forward(self, x):
        return self.layers(x.points.flatten(1))


class MySampler(Sampler):
    def __init__(self, group, signature, settings):
        super().__init__(group, signature)

    def noise(self, x, samples, generator):
        return self.group.noise(x, samples, generator)

    def forward(self, x, noise):
        return Sample(self.group.uniform(x, noise))


class MyInvariant(nn.Module):
    def __init__(self, signature, settings):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * x.points.square().sum((1, 2, 3))[:, None]


class MySpread(SupervisedTask):
    def __init__(self, settings):
        self.size = settings.train
        self.signature = Signature.of(self.data("test").inputs, Representation.GRAPH_SCALARS, 1)

    def data(self, split):
        points = torch.randn(self.size, 4, 2, 1, generator=torch.Generator().manual_seed(len(split)))
        x = Structure.build(torch.ones(self.size, 4, dtype=torch.bool), points=points)
        return Dataset(x, points.square().sum((1, 2, 3))[:, None])

    def loss(self, predictions, targets):
        return (predictions - targets).square().mean()

    def metrics(self, predictions, targets):
        return {"mse": self.loss(predictions, targets).item()}
"""
GROUPS = {"tasks": "TASK", "bases": "NET", "samplers": "SAMPLER", "equivariant": "ALONE"}
METHODS = ["myinvariant", "mynet-mysampler", "mlp-mysampler", "mynet-ga"]


def points(groups: dict[str, str]) -> str:
    return "\n".join(f"[symbench.{group}]\n{name.lower()} = mypackage.cards:{name}" for group, name in groups.items())


def install(folder: Path, entry_points: str) -> None:
    sources = {"mypackage/__init__.py": "", "mypackage/cards.py": CARDS, "mypackage/code.py": CODE}
    put(folder, "mypackage", entry_points, sources)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    install(tmp_path, points(GROUPS))
    suite = tmp_path / "mine.yaml"
    suite.write_text(f"protocol: quick\nexperiments: [{{tasks: [myspread], methods: [{', '.join(METHODS)}]}}]\n")
    with found_in(tmp_path, monkeypatch):
        yield suite


def test_its_methods_are_planned_run_and_noted_in_records(package: Path, tmp_path: Path) -> None:
    planned = plan.plan(load(package), None)
    assert [job.spec.method for job in planned.jobs] == METHODS and not planned.misfits
    store = Store(tmp_path / "store")
    for job in planned.jobs:
        record = run_job(job, store, None)
        assert record.failure is None, record.failure
        assert record.description.control == "mse_transformed"
        assert {"mse", "mse_transformed"} <= record.metrics.keys()
        assert record.provenance["plugins"]["mypackage"]["used"] is True
        assert record.provenance["plugins"]["mypackage"]["version"] == "1.0"
    assert len(plan.plan(load(package), store).done) == len(METHODS)


@pytest.mark.parametrize("method", ["myinvariant", "mynet-mysampler"])
def test_its_methods_are_as_symmetric_as_they_claim(package: Path, method: str) -> None:
    verdicts = check(subject(method, "myspread"), [1, 4, 16])
    assert all(verdict.passed for verdict in verdicts), verdicts


def test_a_built_in_task_takes_its_parts(package: Path) -> None:
    assert registry.method("mlp-mysampler").misfit(registry.task("nbody"), registry.task("nbody").params) is None
    used = registry.plugins_of([registry.resolve("nbody", "mlp-mysampler", "quick", 0)])
    assert [plugin.name for plugin in used] == ["mysampler"]


def test_lists_say_where_a_card_comes_from(package: Path, call: Call) -> None:
    for command, own in (("tasks", {"myspread"}), ("methods", set(METHODS))):
        rows = {row["name"]: row["plugin"] for row in json.loads(call(command, "--json")[1])}
        assert {name for name, plugin in rows.items() if plugin == ["mypackage 1.0"]} >= own
        assert rows[next(iter(rows))] == []
        table = call(command)[1].splitlines()
        assert "plugin" in table[0]
        assert all("mypackage 1.0" in line for line in table if line.split(" ")[0] in own)


def test_the_group_of_methods_takes_parts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "[symbench.methods]\nnet = mypackage.cards:NET\nsampler = mypackage.cards:SAMPLER\n"
    install(tmp_path, lines)
    with found_in(tmp_path, monkeypatch):
        assert {"mynet-ps", "mlp-mysampler", "mynet-mysampler"} <= registry.methods().keys()
