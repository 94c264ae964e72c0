"""Every experiment of protocol ``paper`` fits a device of 80 GB, and docs/gpu.md says what it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from baselines.build import load
from harness.registry import resolve, task
from harness.suites.loading import load as load_suite
from tests.memory_budget import (
    CPU,
    LISTS_OF_EDGES,
    META,
    Batch,
    Experiment,
    Need,
    experiments,
    jobs,
    measured,
    most_samples,
    signature,
    structures,
    table,
)

GIB = 1 << 30
MOST = 70 * GIB  # of 80 GB; the rest is for libraries, and for what lies unused between tensors
MOST_INDEX = GIB
FOLLOW_DATA = (
    "baselines.bases.gin_id",
    "baselines.layers.batch_norm",
    "baselines.layers.sparse_linear",
    "baselines.layers.vector_neurons",
    "baselines.q_networks.gin",
    "tasks.symmetry.dynamic_shapes",
    "tasks.symmetry.straight_through",
)
DOCS = Path(__file__).parents[3] / "docs" / "gpu.md"


@pytest.fixture(scope="module")
def found() -> list[Experiment]:
    return experiments()


def test_every_experiment_fits(found: list[Experiment]) -> None:
    needs = {
        (one.job.spec.task, one.job.spec.method, when): need
        for one in found
        for when, need in (("training", one.step), ("evaluation", one.evaluation))
        if need
    }
    assert not {name: need.memory / GIB for name, need in needs.items() if need.memory > MOST}
    assert not {name: need.index / GIB for name, need in needs.items() if need.index > MOST_INDEX}


def test_every_experiment_is_there(found: list[Experiment]) -> None:
    expected = {(job.spec.task, job.spec.method) for job in load_suite("paper").expand().jobs}
    there = {(one.job.spec.task, one.job.spec.method) for one in found}
    assert expected <= there and {one.job.spec.task for one in found} == {task for task, _ in there}
    assert all(one.step for one in found if one.job.spec.settings.epochs)


def test_without_its_chunk_evaluation_on_peptides_would_not_fit() -> None:
    job = jobs()["paper", "peptides_func", "vit-ga"]
    assert job.resources.chunk == 10
    whole = measured(replace(job, resources=replace(job.resources, chunk=None)))
    assert whole.evaluation.memory > MOST


def test_the_vision_transformer_of_suite_standard_takes_what_that_of_paper_does() -> None:
    """On PATTERN, where both train and evaluate as many samples in batches of one size."""

    def sizes(suite: str) -> dict[str, tuple[int | None, ...]]:
        found = [job for job in load_suite(suite).expand().jobs if job.spec.task == "pattern"]
        large = {job.spec.method: job for job in found if job.spec.method.startswith("vit-")}
        return {
            name: (
                job.resources.chunk,
                job.spec.settings.batch_size,
                job.spec.settings.train_samples,
                most_samples(job.spec),
            )
            for name, job in large.items()
        }

    assert sizes("standard") == sizes("paper")


def test_the_documented_table_is_what_is_counted(found: list[Experiment]) -> None:
    """Names and numbers of samples exactly, memory to a tenth or a quarter of a GiB."""
    documented = {_names(line): _numbers(line) for line in DOCS.read_text().splitlines() if _is_row(line)}
    counted = {_names(line): _numbers(line) for line in table(found)}
    assert documented.keys() == counted.keys()
    for names, numbers in counted.items():
        assert documented[names] == pytest.approx(numbers, rel=0.1, abs=0.25), names


def _is_row(line: str) -> bool:
    return line.startswith("| ") and line.count("|") == 10 and "---" not in line and "largest index" not in line


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _names(line: str) -> tuple[str, ...]:
    """Task, network, batch, both numbers of samples, and the chunk."""
    return tuple(_cells(line)[place] for place in (0, 1, 2, 3, 5, 7))


def _numbers(line: str) -> list[float]:
    """Of training and evaluation, in GiB, and of the index, in hundreds of MiB."""
    step, evaluation, index = (_cells(line)[place] for place in (4, 6, 8))
    return [0.0 if step == "-" else float(step), float(evaluation), float(index) / 100]


@pytest.mark.parametrize("name", ["gcn", "mlp-ga", "gin_id-ps"])
def test_what_is_counted_without_numbers_is_what_a_real_batch_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the shapes of an accelerator, which do not follow the data."""
    for module in FOLLOW_DATA:
        monkeypatch.setattr(f"{module}.may_follow_data", lambda values: False)
    spec = resolve("exp_classify", name, "paper", 0, base={"widths": [64, 10]} if name == "mlp-ga" else {})
    spec = replace(spec, settings=replace(spec.settings, train_samples=2, test_samples=2, curve_samples=(1,)))
    for need in (Batch.step, Batch.evaluation):
        counted, taken = (need(Batch(spec, None, 10, device)) for device in (META, CPU))
        assert counted.memory == pytest.approx(taken.memory, rel=0.01)
        assert counted.index == taken.index


@pytest.mark.parametrize("name", LISTS_OF_EDGES)
def test_lists_of_edges_take_as_much_for_each_structure(name: str) -> None:
    spec = resolve("pattern", name, "paper", 0)
    for need in (Batch.step, Batch.evaluation):
        one, two, several = (need(Batch(spec, None, count, CPU)) for count in (1, 2, 3))
        found = Need.of_many(one, two, 3)
        assert (found.memory, found.index) == pytest.approx((several.memory, several.index), rel=0.02)


def test_a_sum_over_an_index_counts_as_one_to_sort() -> None:
    index = torch.zeros(10, 1, dtype=torch.long).expand(-1, 100)
    assert Need.of(lambda: torch.zeros(5, 100).scatter_add(0, index, torch.ones(10, 100))).index == 8 * 1000


@pytest.mark.parametrize("name", ["pattern", "nbody", "peptides_func", "peptides_struct", "pcqm_contact"])
@pytest.mark.usefixtures("small_molecules")
def test_shapes_are_those_of_the_tasks(name: str) -> None:
    card = task(name)
    sizes = dict.fromkeys({"train", "validation", "test"} & set(card.params), 4)
    problem = load(card.implementation)(card.resolve(card.settings_from(sizes)))
    assert replace(problem.signature, padded=signature(name).padded) == signature(name)
    x = problem.data("train").inputs[:2]
    y = structures(name, 2, CPU)
    assert [values.shape for values in vars(x).values()] == [values.shape for values in vars(y).values()]
