"""Inputs of a task that a method may ignore: one that cannot read them does not get them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from harness import registry
from harness.errors import SettingsError
from harness.training.execute import execute, problem_of
from harness.training.from_spec import initialised
from harness.verification.verdicts import check, subject
from tasks.cards import TaskCard
from tasks.limits import COUNT
from tasks.protocol import Protocol
from tasks.settings import setting
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, Split, SupervisedTask


@dataclass(frozen=True, kw_only=True)
class MoleculeSettings:
    """Random molecules."""

    train: int = setting(8, COUNT, "Number of molecules.")


class Molecules(SupervisedTask):
    """Random graphs of atoms at random positions."""

    def __init__(self, settings: MoleculeSettings) -> None:
        self.size = settings.train
        self.signature = Signature.of(self.data("test").inputs, Representation.GRAPH_SCALARS, 1)

    def data(self, split: Split) -> Dataset:
        random = torch.Generator().manual_seed(len(split))
        kinds = torch.rand(self.size, 5, 2, generator=random)
        edges = torch.rand(self.size, 5, 5, 1, generator=random).round()
        edges = (edges + edges.transpose(1, 2)).clamp(max=1) * (1 - torch.eye(5))[..., None]
        points = torch.randn(self.size, 5, 3, 1, generator=random)
        mask = torch.ones(self.size, 5, dtype=torch.bool)
        return Dataset(Structure.build(mask, node_scalars=kinds, edge_scalars=edges, points=points), edges.sum((1, 2)))

    def loss(self, predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (predictions - targets).square().mean()

    def metrics(self, predictions: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        return {"mse": self.loss(predictions, targets).item()}


CARD = TaskCard(
    name="molecules",
    group=("S_n", "O(3)"),
    inputs=frozenset({"node_scalars", "edges", "points"}),
    optional=frozenset({"points"}),
    output="graph_scalars",
    metric="mse",
    direction="min",
    implementation=Molecules,
    settings=MoleculeSettings,
    protocols={"quick": Protocol(epochs=1, batch_size=4, curve_samples=(1, 2), curve_size=4, test_samples=2)},
    max_nodes=lambda settings: 5,
)
BLIND = ("gin", "gin_id-ga", "gin_id-fa", "gin_id-ps")
SEEING = ("mlp-ga", "mlp-ps")


@pytest.fixture(autouse=True)
def molecules() -> Iterator[None]:
    with registry.temporarily(CARD, origin="this test"):
        yield


def misfit(method: str, card: TaskCard) -> str | None:
    return registry.method(method).misfit(card, card.params)


def test_a_method_that_cannot_read_an_optional_input_fits() -> None:
    strict = replace(CARD, optional=frozenset())
    for name in BLIND:
        assert misfit(name, CARD) is None
        assert "cannot read the points of molecules" in str(misfit(name, strict))
    for name in SEEING:
        assert misfit(name, CARD) is misfit(name, strict) is None


def test_a_needed_input_may_be_optional_and_others_still_have_to_be_read() -> None:
    everything = replace(CARD, optional=CARD.inputs)
    assert misfit("gin", everything) is None
    only_points = replace(CARD, inputs=frozenset({"points"}))
    assert misfit("gin_id-ga", only_points) == "gin_id can read none of the inputs of molecules"


@pytest.mark.parametrize(("method", "group"), [("gin", ()), ("gin_id-ps", ("S_n",)), ("mlp-ps", ("S_n", "O(3)"))])
def test_what_acts_on_hidden_points_alone_is_respected(method: str, group: tuple[str, ...]) -> None:
    assert registry.method(method).symmetrized_group(CARD, CARD.params) == group


def predictions(method: str, moved: bool) -> torch.Tensor:
    spec = registry.resolve("molecules", method, "quick", 0)
    problem = problem_of(spec)
    model = initialised(spec, problem).eval()  # type: ignore[arg-type]
    x: Any = problem.data("test").inputs  # type: ignore[attr-defined]
    if moved:
        x = replace(x, points=torch.full_like(x.points, torch.nan))
    x = model.prepared(x)
    value = model(x, 3, torch.Generator().manual_seed(0)).value
    drawn = model.draws(x, 3, torch.Generator().manual_seed(0))
    return torch.cat([value.flatten(), drawn.flatten()])


@pytest.mark.parametrize("method", BLIND)
def test_hidden_inputs_change_nothing(method: str) -> None:
    found = predictions(method, moved=False)
    assert found.isfinite().all()
    assert torch.equal(found, predictions(method, moved=True))


@pytest.mark.parametrize("method", SEEING)
def test_inputs_that_can_be_read_are_seen(method: str) -> None:
    assert predictions(method, moved=True).isnan().any()


@pytest.mark.parametrize("method", ["gin", "gin_id-ps"])
def test_a_blind_method_has_the_symmetry_of_the_task(method: str) -> None:
    verdicts = check(subject(method, "molecules"), [1, 4])
    assert all(verdict.passed for verdict in verdicts), verdicts


@pytest.mark.parametrize("method", ["gin", "gin_id-ps"])
def test_a_blind_method_is_trained_and_scored(method: str) -> None:
    metrics = execute(registry.resolve("molecules", method, "quick", 0)).metrics
    assert metrics["mse"] > 0 and metrics["mse_transformed"] > 0


def test_a_group_of_space_has_nothing_to_act_on_where_points_are_hidden() -> None:
    with pytest.raises(SettingsError, match="there are none"):
        registry.resolve("molecules", "gin_id-ga", "quick", 0, sampler={"group": ["O(3)"]})


def test_nothing_of_a_built_in_task_is_hidden() -> None:
    for card in registry.tasks().values():
        if card is not CARD and card.name != "molecules":
            assert not card.optional
            assert all(method.view(card) is card for method in registry.methods().values())
