"""PATTERN as a task: what it reads, how it is scored (against slow loops), and what a run of it says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.registry import method, resolve, task
from harness.spec import Resources
from harness.training.context import RunContext
from harness.training.execute import execute
from tasks.catalogue.nodes import PatternSettings
from tasks.errors import DataError
from tasks.pattern import PatternTask
from tasks.sources import pattern
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation

SMALL = {"data": "generated", "nodes": 24, "train": 120, "validation": 40, "test": 40, "patterns": 10, "data_seed": 0}


@pytest.fixture(scope="module")
def problem() -> PatternTask:
    return PatternTask(PatternSettings(**SMALL))


def test_structures_are_symbols_edges_and_labels(problem: PatternTask) -> None:
    source = pattern.generated(24, {split: SMALL[split] for split in pattern.SPLITS}, 10, 0)["test"]
    data = problem.data("test")
    x, targets = data[:]
    assert (x.nodes, x.node_scalars.shape[-1], x.edge_scalars.shape[-1], len(data)) == (24, 3, 1, 40)
    assert torch.equal(x.node_counts, torch.from_numpy(source.graphs.node_counts))
    assert torch.equal(x.node_scalars.sum(-1), x.mask.float())
    assert torch.equal(x.node_scalars[x.mask].argmax(-1), torch.from_numpy(source.graphs.node_features[:, 0]).long())
    assert torch.equal(x.adjacency, x.adjacency.mT)
    assert x.adjacency.sum() == source.graphs.edge_offset[-1]
    assert torch.equal(targets[..., 0][x.mask], torch.from_numpy(source.label).float())
    assert (targets[..., 0][~x.mask] == -1).all()


def scores_and_labels(graphs: int, nodes: int = 12) -> tuple[Tensor, Tensor]:
    labels = torch.randint(0, 2, (graphs, nodes, 1)).float()
    labels[torch.arange(nodes) >= torch.randint(4, nodes + 1, (graphs, 1))] = -1
    return torch.randn(graphs, nodes, 2), labels


def slow_accuracy(predictions: Tensor, targets: Tensor) -> float:
    batches = []
    for start in range(0, len(targets), 128):
        hits, counts = [0, 0], [0, 0]
        for scores, labels in zip(predictions[start : start + 128], targets[start : start + 128], strict=True):
            for (no, yes), label in zip(scores.tolist(), labels[:, 0].tolist(), strict=True):
                if label >= 0:
                    counts[int(label)] += 1
                    hits[int(label)] += int(yes > no) == int(label)
        batches.append((hits[0] / counts[0] + hits[1] / counts[1]) / 2)
    return sum(batches) / len(batches)


@pytest.mark.parametrize("graphs", [5, 128, 300])
def test_accuracy_equals_a_slow_loop(problem: PatternTask, graphs: int) -> None:
    predictions, targets = scores_and_labels(graphs)
    assert problem.metrics(predictions, targets)["accuracy"] == pytest.approx(slow_accuracy(predictions, targets))


def test_accuracy_by_hand(problem: PatternTask) -> None:
    """A model that says "no" throughout gets a half, however few pattern nodes there are; a perfect one gets one."""
    targets = torch.tensor([[0, 0, 0, 1, -1], [0, 0, 0, 0, -1.0]])[..., None]
    never = torch.tensor([1.0, 0.0]).expand(2, 5, 2)
    assert problem.metrics(never, targets) == {"accuracy": 0.5}
    perfect = torch.cat([1 - targets, targets], -1)
    assert problem.metrics(perfect, targets) == {"accuracy": 1.0}
    assert problem.metrics(never[1:], targets[1:]) == {"accuracy": 1.0}  # a class that is not there is not counted
    assert problem.metrics(never[1:].flip(-1), targets[1:]) == {"accuracy": 0.0}  # unless it is predicted


def test_loss_equals_a_slow_loop(problem: PatternTask) -> None:
    predictions, targets = scores_and_labels(7)
    labels = targets[targets >= 0]
    weight = [(labels == 1).double().mean().item(), (labels == 0).double().mean().item()]
    total = mass = 0.0
    for scores, label in zip(predictions.flatten(0, 1).tolist(), targets.flatten().tolist(), strict=True):
        if label >= 0:
            other = scores[1 - int(label)] - scores[int(label)]
            total += weight[int(label)] * math.log1p(math.exp(other))
            mass += weight[int(label)]
    assert problem.loss(predictions, targets).item() == pytest.approx(total / mass, rel=1e-5)


def test_scores_do_not_look_at_nodes_that_do_not_exist(problem: PatternTask) -> None:
    predictions, targets = scores_and_labels(9)
    other = torch.where(targets >= 0, predictions, torch.randn_like(predictions) * 100)
    assert problem.metrics(other, targets) == problem.metrics(predictions, targets)
    assert torch.equal(problem.loss(other, targets), problem.loss(predictions, targets))


def test_scores_are_the_same_when_all_is_moved(problem: PatternTask) -> None:
    x, targets = problem.data("test")[:]
    predictions = torch.randn(*x.mask.shape, 2) * x.mask[..., None]
    g = group(("S_n",)).random(x, 1, torch.Generator().manual_seed(0))
    moved = [g.act(values[:, None], Representation.NODE_SCALARS)[:, 0] for values in (predictions, targets)]
    assert problem.metrics(*moved) == problem.metrics(predictions, targets)
    torch.testing.assert_close(problem.loss(*moved), problem.loss(predictions, targets))


def quick(name: str, **settings: Any) -> dict[str, float]:
    spec = resolve("pattern", name, "quick", 0, task_params=SMALL, settings={"epochs": 3, **settings})
    return dict(execute(spec, RunContext.of(spec, Resources(chunk=4))).metrics)


def test_runs_and_the_moved_score() -> None:
    """A symmetric network scores the same on the moved test set, one that reads identifiers does not."""
    symmetric = quick("gin")
    assert symmetric["accuracy_transformed"] == pytest.approx(symmetric["accuracy"], abs=1e-9)
    placed = quick("gin_id-none")
    assert abs(placed["accuracy_transformed"] - placed["accuracy"]) > 1e-4
    assert 0.3 < quick("mlp-ga")["accuracy"] < 0.8


def test_the_card_says_which_data_it_is(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    card = task("pattern")
    generated = card.resolve(PatternSettings())
    assert generated.data == "generated" and card.variant(generated) == "generated variant of PATTERN"
    (tmp_path / "PATTERN_v2.zip").touch()
    official = card.resolve(PatternSettings())
    assert official.data == "official" and card.variant(official) is None
    assert card.resolve(PatternSettings(nodes=24)).data == "generated"
    with pytest.raises(DataError, match=r"PATTERN_v2\.zip is damaged"):
        PatternTask(official)
    with pytest.raises(ValueError, match="must be official or generated, not 'oficial'"):
        PatternTask(PatternSettings(data="oficial"))


def test_published_protocol() -> None:
    settings = resolve("pattern", "mlp-ps", "paper", 0).settings
    assert (settings.max_steps, settings.warmup_steps, settings.batch_size) == (25_000, 5_000, 128)
    assert (settings.optimizer, settings.weight_decay, settings.schedule) == ("adamw", 0.01, "linear")
    assert (settings.test_repeats, settings.drop_last) == (6, True)
    assert (settings.curve_samples, settings.curve_size, settings.curve_repeats) == ((1, 10), 2_000, 6)
    assert task("pattern").protocols["paper"].lr == 1e-5


@pytest.mark.parametrize("protocol", ["paper", "standard"])
@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("vit-ps", (1, 10, 10)),
        ("vit-ga", (10, 10, 10)),
        ("vit-canonical", (1, 1, 1)),
        ("vit-fa", (1, 1, 1)),
    ],
)
def test_published_numbers_of_group_samples(name: str, samples: tuple[int, int, int], protocol: str) -> None:
    """In training, in validation and in the test."""
    settings = resolve("pattern", name, protocol, 0).settings
    assert (settings.train_samples, settings.valid_samples, settings.test_samples) == samples


def test_it_fits_the_methods_of_its_size() -> None:
    small = {**task("pattern").params, "nodes": 24}
    assert method("transformer-ps").misfit(task("pattern"), small) is None
