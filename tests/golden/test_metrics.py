"""Losses and scores of whole splits against those of the authors' evaluators (metrics.npz)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from tasks.pattern import PatternTask
from tasks.pcqm_contact import PCQMContact, contact_ranks
from tasks.peptides import PeptidesFunc, PeptidesStruct
from tasks.ragged import ABSENT, UNLABELLED

FOUND = np.load(Path(__file__).with_name("metrics.npz"))
PATTERN, FUNC, STRUCT, CONTACT = (
    kind.__new__(kind) for kind in (PatternTask, PeptidesFunc, PeptidesStruct, PCQMContact)
)
SINGLE = 1e-7  # the official scores are of single precision inside
CASES = {  # labels and predicted classes of one graph
    "one_class": ([0, 0, 0], [[1, 0], [0, 1], [1, 0]]),
    "one_class_unseen": ([0, 0, 0], [[1, 0], [1, 0], [1, 0]]),
    "tied_logits": ([0, 1, 0, 1], [[1, 1], [0, 0], [2, 1], [0, 1]]),
}


def array(name: str) -> Tensor:
    return torch.from_numpy(FOUND[name])


def pattern_targets() -> Tensor:
    labels, counts = array("pattern.labels").double(), array("pattern.node_counts")
    return torch.where(torch.arange(labels.shape[1]) < counts[:, None], labels, UNLABELLED)[..., None]


def test_pattern_scores_batches_of_128_alike() -> None:
    logits, targets = array("pattern.logits"), pattern_targets()
    by_batch = [
        100 * PATTERN.metrics(*both)["accuracy"] for both in zip(logits.split(128), targets.split(128), strict=True)
    ]
    np.testing.assert_allclose(by_batch, FOUND["pattern.accuracy_percent.by_batch"], rtol=0, atol=100 * SINGLE)
    whole = 100 * PATTERN.metrics(logits, targets)["accuracy"]
    assert whole == pytest.approx(FOUND["pattern.accuracy_percent"], abs=100 * SINGLE)
    assert abs(whole - FOUND["pattern.accuracy_percent.all_at_once"]) > 1


def test_pattern_loss() -> None:
    both = zip(array("pattern.logits").split(128), pattern_targets().split(128), strict=True)
    losses = [PATTERN.loss(*batch).item() for batch in both]
    np.testing.assert_allclose(losses, FOUND["pattern.loss.by_batch"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(losses, FOUND["pattern.loss.by_batch.float32"], rtol=0, atol=SINGLE)


@pytest.mark.parametrize("case", CASES)
def test_pattern_where_a_class_is_missing_or_logits_tie(case: str) -> None:
    labels, logits = CASES[case]
    found = PATTERN.metrics(torch.tensor([logits], dtype=torch.float64), torch.tensor(labels).double()[None, :, None])
    assert 100 * found["accuracy"] == pytest.approx(FOUND[f"pattern.{case}.accuracy_percent"], abs=100 * SINGLE)


@pytest.mark.parametrize("case", ["", "tied.", "saturated."])
def test_average_precision(case: str) -> None:
    """How many saturated scores tie depends on how a processor rounds ``exp``: the authors' was one with AVX512."""
    found = FUNC.metrics(array(f"func.{case}logits"), array("func.labels"))
    alike = case != "saturated." or torch.backends.cpu.get_cpu_capability() == "AVX512"
    assert found["ap"] == pytest.approx(FOUND[f"func.{case}ap"], abs=SINGLE if alike else 2e-5)


@pytest.mark.parametrize("case", ["", "tied.", "saturated."])
def test_average_precision_is_that_of_probabilities_in_single_precision(case: str) -> None:
    """On any processor. Without the sigmoid, saturated scores give 0.017 more."""
    logits, labels = array(f"func.{case}logits"), array("func.labels")
    scores = logits.float().sigmoid().numpy()
    assert FUNC.metrics(logits, labels)["ap"] == pytest.approx(
        average_precision_score(labels.numpy(), scores, average="macro"), abs=SINGLE
    )


def test_a_label_without_a_positive_counts_0() -> None:
    labels = array("func.labels").clone()
    labels[:, 3] = 0
    found = FUNC.metrics(array("func.logits"), labels)
    assert found["ap"] == pytest.approx(FOUND["func.no_positive.ap"], abs=SINGLE)


def test_labels_that_are_not_known_are_left_out() -> None:
    """The official evaluator has no value here: ours is that of the others."""
    logits, labels = array("func.logits"), array("func.labels")
    missing = array("func.missing.labels.is_nan")
    assert FUNC.loss(logits, labels).item() == pytest.approx(FOUND["func.loss"], abs=1e-12)
    some = labels.masked_fill(missing, torch.nan)
    assert FUNC.loss(logits, some).item() == pytest.approx(FOUND["func.missing.loss"], abs=1e-12)
    guessed = torch.where(missing, torch.randn_like(logits), logits)
    assert FUNC.metrics(guessed, some) == FUNC.metrics(logits, some)


def test_errors_of_numbers() -> None:
    predictions, targets = array("struct.predictions"), array("struct.targets")
    assert STRUCT.loss(predictions, targets).item() == pytest.approx(FOUND["struct.loss"], abs=1e-12)
    found = STRUCT.metrics(predictions, targets)
    assert found["mae"] == pytest.approx(FOUND["struct.mae"], abs=1e-12)
    assert found["r2"] == pytest.approx(FOUND["struct.r2"], abs=1e-12)


def contacts() -> Tensor:
    """Labels ``[12, 53, 53, 1]``, with a mark of the pairs that exist and have none."""
    labels, counts = array("contact.labels").double(), array("contact.node_counts")
    exist = torch.arange(labels.shape[1]) < counts[:, None]
    pairs = exist[:, :, None] & exist[:, None]
    return torch.where(labels >= 0, labels, torch.where(pairs, UNLABELLED, ABSENT))[..., None]


def test_contacts_without_ties() -> None:
    scores = array("contact.scores")[..., None]
    assert CONTACT.loss(scores, contacts()).item() == pytest.approx(FOUND["contact.loss"], abs=1e-12)
    for name, value in CONTACT.metrics(scores, contacts()).items():
        assert value == pytest.approx(FOUND[f"contact.{name}"], abs=1e-8)


def test_contacts_ranked_without_the_other_contacts() -> None:
    """The filtered scores, which are no metrics of ours, follow from our ranks."""
    scores, labels = array("contact.scores"), contacts()[..., 0]
    places = (labels == 1).nonzero()
    own = torch.arange(len(places))
    exist = (labels > ABSENT)[places[:, 0]] & (labels != 1)[places[:, 0]]
    alone = torch.cat([own[:, None], places[:, 1:]], 1)
    for name, kept in (("mrr_filtered", exist), ("mrr_filtered_noself", exist & ~torch.eye(53, dtype=torch.bool))):
        ranks = contact_ranks(scores[places[:, 0]], kept, alone)
        by_molecule = [(1 / ranks[places[:, 0] == molecule]).mean().item() for molecule in places[:, 0].unique()]
        assert np.mean(by_molecule) == pytest.approx(FOUND[f"contact.{name}"], abs=1e-8)


def test_of_ties_ours_is_the_mean_rank_and_the_official_one_a_better_one() -> None:
    """The official rank is where a sort puts the contact, which stands first: nearly always before its equals."""
    scores, labels = array("contact.tied.scores"), contacts()
    assert CONTACT.loss(scores[..., None], labels).item() == pytest.approx(FOUND["contact.tied.loss"], abs=1e-12)
    ours, best = CONTACT.metrics(scores[..., None], labels), best_ranks(scores, labels[..., 0])
    for name in ("mrr", "hits1", "hits3", "hits10"):
        assert ours[name] + 0.01 < FOUND[f"contact.tied.{name}"] < best[name] + SINGLE


def best_ranks(scores: Tensor, labels: Tensor) -> dict[str, float]:
    """Scores with every tie in favour of the contact, by a slow loop."""
    of_molecules: list[dict[str, float]] = []
    for score, label in zip(scores, labels, strict=True):
        above = [int((score[i][label[i] > ABSENT] > score[i, j]).sum()) for i, j in (label == 1).nonzero().tolist()]
        ranks = 1 + torch.tensor(above).double()
        hits = {f"hits{k}": (ranks <= k).double().mean().item() for k in (1, 3, 10)}
        of_molecules.append({"mrr": (1 / ranks).mean().item(), **hits})
    return {name: float(np.mean([one[name] for one in of_molecules])) for name in of_molecules[0]}
