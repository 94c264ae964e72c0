"""``paper`` is what is published; ``standard`` is that at a lower cost, and nothing else."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from harness import registry
from harness.training.monitor import Monitor
from tasks.cards import TaskCard

COST = {
    "epochs",
    "max_steps",
    "warmup_epochs",
    "warmup_steps",
    "patience",
    "validate_every",
    "initialisations",
    "train_samples",
    "valid_samples",
    "test_samples",
    "test_repeats",
    "train_size",
    "valid_size",
    "test_size",
}
AT_MOST = (
    "epochs",
    "warmup_epochs",
    "warmup_steps",
    "initialisations",
    "train_samples",
    "valid_samples",
    "test_samples",
    "test_repeats",
)
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


@pytest.mark.parametrize(
    ("task", "method", "passes", "validate_every"),
    [
        ("exp_classify", "mlp-ps", 2_001, 1),
        ("exp_classify", "gin_id-ga", 1_001, 1),
        ("nbody", "transformer-ps", 10_001, 1),
        ("nbody", "egnn", 10_000, 5),
    ],
)
def test_passes_over_the_data_are_those_of_the_official_loops(
    task: str, method: str, passes: int, validate_every: int
) -> None:
    settings = registry.resolve(task, method, "paper", 0).settings
    assert (settings.epochs, settings.validate_every) == (passes, validate_every)


@pytest.mark.parametrize("protocol", ["paper", "standard"])
@pytest.mark.parametrize(
    ("task", "monitor", "repeats"),
    [
        ("pattern", Monitor("loss", "min"), 6),
        ("peptides_func", Monitor("ap", "max"), 3),
        ("peptides_struct", Monitor("mae", "min"), 3),
        ("pcqm_contact", Monitor("loss", "min"), 1),
    ],
)
def test_what_the_vision_transformers_runs_keep_and_how_they_are_tested(
    task: str, monitor: Monitor, repeats: int, protocol: str
) -> None:
    settings = registry.resolve(task, "vit-ps", protocol, 0, base={"weights": "random"}).settings
    assert Monitor.of(registry.task(task), settings) == monitor
    assert (settings.test_repeats, settings.drop_last, settings.batch_size) == (repeats, True, 128)
