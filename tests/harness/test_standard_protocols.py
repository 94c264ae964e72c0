"""``standard`` is the published protocol at a lower cost, and nothing else."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from harness import registry
from tasks.cards import TaskCard

COST = {
    "epochs", "max_steps", "warmup_epochs", "warmup_steps", "patience", "validate_every", "initialisations",
    "train_samples", "valid_samples", "test_samples", "test_repeats", "train_size", "valid_size", "test_size",
}  # fmt: skip
AT_MOST = ("epochs", "warmup_epochs", "warmup_steps", "initialisations", "train_samples", "valid_samples",
           "test_samples", "test_repeats")  # fmt: skip
CUT = [card for card in registry.tasks().values() if {"paper", "standard"} <= card.protocols.keys()]


def test_the_tasks_of_the_paper_that_train_or_draw_many_networks_have_one() -> None:
    names = {"graph8c", "exp", "exp_classify", "nbody", "pattern", "peptides_func", "peptides_struct", "pcqm_contact"}
    assert names <= {card.name for card in CUT}


@pytest.mark.parametrize("task", CUT, ids=lambda card: card.name)
def test_it_is_the_published_one_for_less(task: TaskCard) -> None:
    for method in registry.methods().values():
        if method.misfit(task, task.params):
            continue
        paper, standard = (registry.resolve(task.name, method.name, name, 0) for name in ("paper", "standard"))
        assert (standard.base, standard.sampler) == (paper.base, paper.sampler)
        published, cut = asdict(paper.settings), asdict(standard.settings)
        changed = {name for name in cut if cut[name] != published[name]}
        assert changed and changed <= COST, method.name
        assert all(cut[name] <= published[name] for name in AT_MOST), method.name
        assert cut["validate_every"] >= published["validate_every"]
