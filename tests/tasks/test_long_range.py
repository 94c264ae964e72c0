"""Peptides and PCQM-Contact as tasks, on small files in the published format: inputs, scores against slow loops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.build import load
from harness.registry import resolve, task
from harness.training.execute import execute
from tasks import peptides
from tasks.catalogue.long_range import PCQMContactSettings, PeptidesSettings
from tasks.errors import DataError
from tasks.pcqm_contact import PCQMContact
from tasks.peptides import PeptidesFunc, PeptidesStruct
from tasks.sources import lrgb
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.task import SupervisedTask
from tests.published_files import ATOMS, small_long_range

SIZES = {"train.pt": range(3, 13), "val.pt": (5, 8, 12, 7), "test.pt": (6, 12, 4, 9, 10, 2)}
NODES = {"nodes": 12}
PEPTIDES, CONTACTS = PeptidesSettings(nodes=12), PCQMContactSettings(nodes=12)


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Small archives in the place of the published ones, and the molecules in them."""
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
    return small_long_range(tmp_path, monkeypatch, SIZES)


def built(name: str, params: Mapping[str, Any]) -> SupervisedTask:
    card = task(name)
    problem: SupervisedTask = load(card.implementation)(card.settings_from(params))
    return problem


@pytest.mark.parametrize("name", ["peptides_func", "peptides_struct", "pcqm_contact"])
def test_structures_are_one_hot_atoms_and_bonds(name: str, published: dict[str, Any]) -> None:
    problem = built(name, NODES)
    classes = peptides.ATOM_CLASSES if name != "pcqm_contact" else (35, 3, 7, 7, 2, 4, 6, 2, 2)
    first = np.cumsum([0, *classes])
    x, _ = problem.data("test")[:]
    assert (problem.signature.node_scalars, problem.signature.padded) == (sum(classes), True)
    for g, (atoms, bonds, edges, *_) in enumerate(published[type(problem).__name__]["test.pt"]):
        nodes = torch.zeros(12, sum(classes))
        for i, features in enumerate(atoms.tolist()):
            for column, value in enumerate(features):
                nodes[i, first[column] + value] = 1
        assert torch.equal(x.node_scalars[g], nodes)
        assert x.mask[g].sum() == len(atoms)
        pairs = torch.zeros(12, 12, x.edge_scalars.shape[-1])
        for (i, j), (kind, _, conjugated) in zip(edges.T.tolist(), bonds.tolist(), strict=True):
            for channel in (0, 1 + kind, 5, 6 + conjugated):  # 1, type, stereo, conjugated
                pairs[i, j, channel] = 1
        assert torch.equal(x.edge_scalars[g], pairs)


@pytest.mark.parametrize("name", ["peptides_func", "pcqm_contact"])
def test_a_molecule_above_the_padding_is_named(name: str) -> None:
    with pytest.raises(DataError, match="has 12 nodes and the task pads to 11"):
        built(name, {"nodes": 11})


def test_a_class_that_no_peptide_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peptides, "ATOM_CLASSES", (9, *ATOMS[1:]))
    with pytest.raises(DataError, match=r"Feature 0 of the data has a class \d+, but 9 classes are known"):
        PeptidesFunc(PEPTIDES)


def test_a_target_that_is_not_finite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lrgb.peptides(PeptidesStruct.archive)
    found["validation"].target[0, 0] = np.nan
    monkeypatch.setattr(lrgb, "peptides", lambda archive: found)
    with pytest.raises(DataError, match=r"A validation target of Peptides-struct is not finite: replace .*\.zip"):
        PeptidesStruct(PEPTIDES)


# Peptides-func


def slow_average_precision(scores: list[float], labels: list[float]) -> float:
    """The sum over thresholds of precision times the gain in recall."""
    positives, total, before = sum(labels), 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        recall = sum(chosen) / positives
        total += sum(chosen) / len(chosen) * (recall - before)
        before = recall
    return total


def labels_with_gaps(count: int) -> Tensor:
    labels = torch.randint(0, 2, (count, 10)).float()
    labels[torch.rand(count, 10) < 0.2] = torch.nan
    labels[:, 3] = 1.0  # no negative: 1 whatever the scores
    labels[:, 4] = torch.nan  # not known: not scored
    labels[:, 5] = 0.0  # no positive: 0
    return labels


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_equals_a_slow_loop(ties: bool) -> None:
    problem = PeptidesFunc(PEPTIDES)
    targets = labels_with_gaps(40)
    predictions = torch.randn(40, 10)
    if ties:
        predictions = predictions.round()
    found = []
    for column in range(10):
        pairs = zip(predictions[:, column].tolist(), targets[:, column].tolist(), strict=True)
        known = [(score, label) for score, label in pairs if not math.isnan(label)]
        if any(label for _, label in known):
            found.append(slow_average_precision([score for score, _ in known], [label for _, label in known]))
        elif known:
            found.append(0.0)
    assert (len(found), found[3], found[4]) == (9, 1.0, 0.0)
    assert problem.metrics(predictions, targets)["ap"] == pytest.approx(sum(found) / len(found), rel=1e-5)


def test_average_precision_is_of_single_precision_probabilities() -> None:
    """As in the benchmark: two logits whose sigmoid rounds to one are a tie, whichever is larger."""
    problem = PeptidesFunc(PEPTIDES)
    targets = torch.tensor([[1.0], [0.0]]).expand(2, 10)
    for logits in ([40.0, 30.0], [30.0, 40.0]):
        assert problem.metrics(torch.tensor(logits)[:, None].expand(2, 10), targets)["ap"] == pytest.approx(0.5)
    assert problem.metrics(torch.tensor([[4.0], [3.0]]).expand(2, 10), targets)["ap"] == pytest.approx(1)


def test_multi_label_loss_equals_a_slow_loop() -> None:
    problem = PeptidesFunc(PEPTIDES)
    targets, predictions = labels_with_gaps(12), torch.randn(12, 10)
    each = [
        math.log1p(math.exp(-s if y else s))
        for s, y in zip(predictions.flatten().tolist(), targets.flatten().tolist(), strict=True)
        if not math.isnan(y)
    ]
    assert problem.loss(predictions, targets).item() == pytest.approx(sum(each) / len(each), rel=1e-5)
    gradient = torch.autograd.grad(problem.loss(predictions.requires_grad_(), targets), predictions)[0]
    assert torch.equal(gradient == 0, targets.isnan())


# Peptides-struct


def test_absolute_error_and_explained_variance_equal_slow_loops() -> None:
    problem = PeptidesStruct(PEPTIDES)
    predictions, targets = torch.randn(20, 11), torch.randn(20, 11)
    error = sum(abs(p - y) for p, y in zip(predictions.flatten().tolist(), targets.flatten().tolist(), strict=True))
    found = problem.metrics(predictions, targets)
    assert found["mae"] == pytest.approx(error / 220, rel=1e-5)
    assert problem.loss(predictions, targets).item() == pytest.approx(error / 220, rel=1e-5)
    residual = ((predictions - targets) ** 2).sum(0) / ((targets - targets.mean(0)) ** 2).sum(0)
    assert found["r2"] == pytest.approx((1 - residual).mean().item(), rel=1e-4)


# PCQM-Contact


def test_labels_of_pairs(published: dict[str, Any]) -> None:
    targets = PCQMContact(CONTACTS).data("test").targets[:]
    for g, (atoms, _, _, index, label) in enumerate(published["PCQMContact"]["test.pt"]):
        expected = torch.full((12, 12), -2.0)
        expected[: len(atoms), : len(atoms)] = -1
        for (i, j), kind in zip(index.T.tolist(), label.tolist(), strict=True):
            expected[i, j] = kind
        assert torch.equal(targets[g, ..., 0], expected)


def slow_ranking(predictions: Tensor, targets: Tensor) -> dict[str, float]:
    totals = {"mrr": 0.0, "hits1": 0.0, "hits3": 0.0, "hits10": 0.0}
    for scores, labels in zip(predictions[..., 0].tolist(), targets[..., 0].tolist(), strict=True):
        ranks = []
        for i, row in enumerate(labels):
            for j, label in enumerate(row):
                if label == 1:
                    others = [scores[i][k] for k in range(len(row)) if row[k] > -2 and k != j]
                    above = sum(score > scores[i][j] for score in others)
                    ranks.append(1 + above + sum(score == scores[i][j] for score in others) / 2)
        for name, scored in (("mrr", lambda r: 1 / r), *((f"hits{k}", lambda r, k=k: r <= k) for k in (1, 3, 10))):
            totals[name] += sum(map(scored, ranks)) / len(ranks) if ranks else 0.0
    return {name: total / len(targets) for name, total in totals.items()}


@pytest.mark.parametrize("ties", [False, True])
def test_ranking_equals_a_slow_loop(ties: bool) -> None:
    problem = PCQMContact(CONTACTS)
    targets = problem.data("train").targets[:]
    targets[1][targets[1] == 1] = 0  # a molecule without contacts counts as 0
    predictions = torch.randn(targets.shape)
    if ties:
        predictions = predictions.round()
    found, expected = problem.metrics(predictions, targets), slow_ranking(predictions, targets)
    assert found == pytest.approx(expected, rel=1e-9)
    assert len(set(found.values())) > 2


def test_ranking_by_hand() -> None:
    """Raw ranks: another contact of the same atom, and the atom itself, stand before the contact if they score more."""
    problem = PCQMContact(CONTACTS)
    targets = torch.full((1, 5, 5, 1), -1.0)
    targets[:, 4] = targets[:, :, 4] = -2
    targets[0, 0, 1] = targets[0, 0, 2] = 1
    scores = torch.zeros(1, 5, 5, 1)
    scores[0, 0, :, 0] = torch.tensor([3.0, 4.0, 2.0, 1.0, 9.0])  # ranks of 1 and 2: 1 and 3; atom 4 is not there
    assert problem.metrics(scores, targets) == {"mrr": (1 + 1 / 3) / 2, "hits1": 0.5, "hits3": 1.0, "hits10": 1.0}


def test_no_contacts_at_all() -> None:
    problem = PCQMContact(CONTACTS)
    nothing = torch.full((2, 4, 4, 1), -1.0)
    assert set(problem.metrics(torch.randn(2, 4, 4, 1), nothing).values()) == {0.0}


def test_pair_loss_equals_a_slow_loop() -> None:
    problem = PCQMContact(CONTACTS)
    targets = problem.data("train").targets[:]
    predictions = torch.randn(targets.shape)
    each = [
        math.log1p(math.exp(-s if y else s))
        for s, y in zip(predictions.flatten().tolist(), targets.flatten().tolist(), strict=True)
        if y >= 0
    ]
    assert problem.loss(predictions, targets).item() == pytest.approx(sum(each) / len(each), rel=1e-5)


def test_pair_scores_are_the_same_when_all_is_moved() -> None:
    problem = PCQMContact(CONTACTS)
    x, targets = problem.data("test")[:]
    predictions = torch.randn(targets.shape)
    g = group(("S_n",)).random(x, 1, torch.Generator().manual_seed(0))
    moved = [g.act(values[:, None], Representation.EDGE_SCALARS)[:, 0] for values in (predictions, targets)]
    assert problem.metrics(*moved) == pytest.approx(problem.metrics(predictions, targets), rel=1e-9)
    torch.testing.assert_close(problem.loss(*moved), problem.loss(predictions, targets))


@pytest.mark.parametrize(
    ("task", "metric"), [("peptides_func", "ap"), ("peptides_struct", "mae"), ("pcqm_contact", "mrr")]
)
def test_a_run_of_a_symmetric_network_scores_the_same_on_the_moved_test_set(task: str, metric: str) -> None:
    few = {"epochs": 2, "curve_size": 4, "batch_size": 4}
    spec = resolve(task, "gin", "quick", 0, task_params=NODES, settings=few)
    found = execute(spec).metrics
    assert math.isfinite(found[metric])
    assert found[f"{metric}_transformed"] == pytest.approx(found[metric], rel=1e-4)


@pytest.mark.parametrize("task", ["peptides_func", "peptides_struct", "pcqm_contact"])
def test_the_published_method_runs(task: str) -> None:
    spec = resolve(task, "vit-ps", "quick", 0, task_params=NODES, settings={"epochs": 1, "batch_size": 8})
    assert spec.base["patch_dropout"] == (0.0 if task == "pcqm_contact" else 0.5)
    outcome = execute(spec)
    assert all(math.isfinite(value) for name, value in outcome.metrics.items())
