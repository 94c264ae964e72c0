"""A data set becomes a task with one call: its identity, its runs, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.datasets import FakeDataset

from harness import registry
from harness.plugins.card_checks import task_fault
from harness.plugins.card_functions import guarded
from harness.spec import RunSpec
from harness.training.execute import execute, problem_of
from tasks.cards import TaskCard
from tasks.errors import DataError, SettingsError
from tasks.pyg.card import from_pyg
from tests.tasks.pyg.test_reading import random_graph

TINY = {"epochs": 1, "batch_size": 4, "test_samples": 2, "test_repeats": 1, "curve_samples": (1, 2), "curve_size": 2}
LISTS = {"train": list(range(8)), "validation": [8, 9], "test": [10, 11]}


def graphs(target: Callable[[Data, int], Any], count: int = 12) -> list[Data]:
    """Graphs of 2 to 4 nodes with a target."""
    found = [random_graph(2 + place % 3, place) for place in range(count)]
    for place, graph in enumerate(found):
        graph.y = target(graph, place)
    return found


def moved_points(graph: Data, place: int) -> torch.Tensor:
    moved: torch.Tensor = graph.pos + 0.5 * graph.velocity
    return moved


def sizes(graph: Data, place: int) -> torch.Tensor:
    return torch.tensor([float(len(graph.x))])


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[TaskCard], None]]:
    """Registers a card as a plug-in does."""

    def register(card: TaskCard) -> None:
        assert task_fault(guarded(card, "own"), list(registry.methods().values())) is None
        known = {**registry.tasks(), card.name: guarded(card, "own")}
        monkeypatch.setattr(registry, "tasks", lambda: known)

    yield register


def resolved(method: str = "mlp-ga", **task_params: Any) -> RunSpec:
    return registry.resolve("own", method, "quick", 0, task_params=task_params, settings=TINY)


LEVELS: list[tuple[str, Callable[[Data, int], Any], dict[str, Any]]] = [
    ("numbers of graphs", sizes, {"metric": "mae", "standardize": True}),
    ("classes of graphs", lambda graph, place: len(graph.x) - 2, {"metric": "accuracy"}),
    (
        "labels of graphs",
        lambda graph, place: torch.tensor([[place % 2, torch.nan if place == 3 else 1 - place % 2]]),
        {"metric": "roc_auc"},
    ),
    ("numbers of nodes", lambda graph, place: graph.x, {"metric": "rmse", "standardize": True}),
    ("classes of nodes", lambda graph, place: (graph.x[:, 0] > 0).long(), {"metric": "accuracy"}),
    ("a loss of one's own", lambda graph, place: graph.x, {"loss": torch.nn.functional.huber_loss, "metric": "mse"}),
    (
        "a metric of one's own",
        sizes,
        {"metric": ("bias", "min", lambda found, wanted: (found - wanted).mean().abs())},
    ),
]


@pytest.mark.parametrize(("target", "options"), [case[1:] for case in LEVELS], ids=[case[0] for case in LEVELS])
def test_each_level_runs(target: Callable[[Data, int], Any], options: dict[str, Any], registered: Any) -> None:
    card = from_pyg(graphs(target), name="own", splits=LISTS, inputs={"node_scalars", "edges"}, **options)
    registered(card)
    found = execute(resolved("mlp-fa")).metrics  # frames need ranks, which are computed from what is stored
    assert {card.metric, f"{card.metric}_transformed"} <= found.keys()
    assert all(torch.tensor(value).isfinite() for value in found.values())


def test_points_are_predicted_alike_in_every_pose(registered: Any) -> None:
    """The error of an equivariant network is that on transformed inputs: targets turn with the inputs."""
    options: dict[str, Any] = {"group": "S_n x E(3)", "metric": "mse", "output": "node_points"}
    registered(from_pyg(graphs(moved_points), name="own", splits=LISTS, vectors="velocity", **options))
    found = execute(replace(resolved("egnn"), settings=replace(resolved().settings, precision="float64"))).metrics
    assert found["mse"] == pytest.approx(found["mse_transformed"], rel=1e-9)


def test_vectors_have_the_errors_of_the_points_that_they_lead_to(registered: Any) -> None:
    options: dict[str, Any] = {"group": "E(3)", "metric": "mse", "splits": LISTS, "vectors": "velocity"}
    points = from_pyg(graphs(moved_points), name="own", output="node_points", **options)
    data = graphs(lambda graph, place: 0.5 * graph.velocity)
    vectors = from_pyg(data, name="own", output="node_vectors", **options)
    errors = []
    for card in (points, vectors):
        registered(card)
        problem = problem_of(resolved("mlp-fa"))
        x, wanted = problem.data("test")[:]
        errors.append(problem.metrics(x.points.clone(), wanted))
    assert errors[0] == pytest.approx(errors[1])
    expected = torch.cat([graph.velocity.flatten() / 2 for graph in data[10:]]).square().mean()
    assert errors[1]["mse"] == pytest.approx(expected.item())


def test_metrics_keep_the_units_of_standardized_targets() -> None:
    data = graphs(lambda graph, place: torch.tensor([100.0 + place, 5.0]))
    card = from_pyg(data, name="own", splits=LISTS, standardize=True)
    problem = card.implementation(card.settings())  # type: ignore[operator]
    train = problem.data("train").targets
    assert train.mean(0).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert train[:, 0].std(correction=0).item() == pytest.approx(1)
    assert problem.metrics(train.flip(0), train)["mae"] == pytest.approx(2)  # the mean of 7, 5, 3, 1, ... and 0


def test_the_identity_of_a_run_depends_on_the_data(registered: Any) -> None:
    changes: list[Callable[[Data], Any]] = [
        lambda graph: None,
        lambda graph: graph.x.add_(1),
        lambda graph: graph.pos.add_(1),
        lambda graph: graph.edge_attr.add_(1),
        lambda graph: graph.y.add_(1),
        lambda graph: graph.edge_index.copy_(graph.edge_index.flip(0)),
    ]
    digests = []
    for change in [*changes, changes[0]]:
        data = graphs(sizes)
        change(data[5])
        registered(from_pyg(data, name="own"))
        digests.append(resolved().digest)
    for options in ({"metric": "mse"}, {"splits": LISTS}, {"inputs": {"points"}}, {"standardize": True}):
        registered(from_pyg(graphs(sizes), name="own", **options))
        digests.append(resolved().digest)
    assert digests[0] == digests[len(changes)]
    assert len(set(digests)) == len(digests) - 1
    registered(from_pyg(graphs(sizes), name="own"))
    assert resolved(split_seed=1).digest != resolved().digest
    assert resolved().task_params["train_fraction"] == 0.8


def test_a_run_is_not_computed_with_other_data(registered: Any) -> None:
    registered(from_pyg(graphs(sizes), name="own"))
    old = resolved()
    data = graphs(sizes)
    data[0].x.add_(1)
    registered(from_pyg(data, name="own"))
    with pytest.raises(SettingsError, match=r"not work: the data have the digest .* have changed since"):
        resolved(**old.task_params)
    with pytest.raises(DataError, match="they have changed since"):
        problem_of(old)


def test_data_are_read_once_and_only_when_needed(registered: Any) -> None:
    reads: list[int] = []

    def dataset() -> list[Data]:
        reads.append(1)
        return graphs(sizes)

    card = from_pyg(dataset, name="own", inputs={"node_scalars"}, output="graph_scalars")
    registered(card)
    assert not reads
    assert card.max_nodes_of({}) == 4
    problem_of(resolved())
    assert len(reads) == 1
    assert from_pyg(dataset, name="own").inputs == {"node_scalars", "edges", "points"}


def test_a_data_set_of_pyg_is_read_like_a_list() -> None:
    torch.manual_seed(0)
    dataset = FakeDataset(num_graphs=20, avg_num_nodes=5, avg_degree=3, num_channels=3, edge_dim=2, task="graph")
    cards = [from_pyg(one, name="own", metric="accuracy") for one in (dataset, list(dataset), dataset[torch.arange(9)])]
    whole, listed, part = (card.resolve(card.settings()).data for card in cards)
    assert whole == listed != part
    problem = cards[0].implementation(cards[0].settings())  # type: ignore[operator]
    x, _ = problem.data("train")[:]
    assert (len(x), x.node_scalars.shape[-1], x.edge_scalars.shape[-1]) == (16, 3, 3)
    assert problem.signature.output_channels == 1 + max(int(graph.y) for graph in dataset)


def test_three_data_sets_are_three_splits() -> None:
    data = graphs(sizes)
    splits = {split: [data[place] for place in places] for split, places in LISTS.items()}
    apart = from_pyg(None, name="own", splits=splits)
    together = from_pyg(data, name="own", splits=LISTS)
    problems = [card.implementation(card.settings()) for card in (together, apart)]  # type: ignore[operator]
    for split in LISTS:
        (x, y), (other, wanted) = (problem.data(split)[:] for problem in problems)
        assert torch.equal(x.points, other.points) and torch.equal(y, wanted)
    assert apart.examples(apart.settings()) == {"train": 8, "validation": 2, "test": 2}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"group": "S_n x O3"}, "There is no group 'O3': write for example"),
    ({"group": "O(3) x E(3)"}, "O(3) and E(3) both act on space"),
    ({"group": ""}, "There is no group ''"),
    ({"group": "O(3)", "inputs": {"edges"}}, "O(3) acts on points and vectors, and 'own' has none"),
    ({"metric": "mape"}, "There is no metric 'mape' of any kind: write mae, mse, rmse, accuracy, roc_auc"),
    ({"metric": "mae", "kind": "labels"}, "There is no metric 'mae' of labels: write accuracy, roc_auc, average"),
    ({"metric": ("own", "up", max)}, "is a tuple of its name, 'min' or 'max', and a function"),
    ({"kind": "numbers"}, "There is no kind 'numbers'"),
    ({"output": "graph"}, "There is no output 'graph'"),
    ({"inputs": {"features"}}, "should be some of node_scalars, edges, points, vectors"),
    ({"inputs": {"vectors"}}, "Name the attribute that has the input vectors"),
    ({"output": "node_points", "inputs": {"edges"}}, "The output node_points needs points"),
    ({"output": "node_points", "standardize": True}, "Points and vectors cannot be standardized"),
    ({"metric": "accuracy", "standardize": True}, "only numbers are points or standardized"),
    ({"splits": {"train": 0.5, "test": 0.5}}, "The splits are train, test: give train, validation, test"),
    ({"splits": {"train": 1.5, "validation": 0, "test": 0}}, "The fraction of the train split should be"),
    ({"target": "z"}, "Graph 0 has no z: name the attribute with target=."),
]


@pytest.mark.parametrize(("options", "says"), REFUSED)
def test_arguments_that_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises((SettingsError, DataError)) as error:
        from_pyg(graphs(sizes), **{"name": "own", **options})
    assert says in str(error.value)


def test_what_only_the_data_show_is_told_when_a_run_is_resolved(registered: Any) -> None:
    registered(from_pyg(graphs(sizes), name="own", group="S_n x O(2)"))
    with pytest.raises(SettingsError, match=r"acts on R\^2, and points and vectors are in R\^3"):
        resolved()
    registered(from_pyg(graphs(sizes, count=4), name="own"))
    with pytest.raises(SettingsError, match="the test split of 4 graphs has none: raise test_fraction"):
        resolved()
