"""Plans: what has a record, what failed, what is left, and what --only lets through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from harness import registry
from harness.errors import SymbenchError
from harness.records.cost_estimates import Estimate
from harness.records.record import Description, Failure, Record
from harness.records.store import Store
from harness.spec import Job
from harness.suites.loading import load
from harness.suites.model import Suite
from harness.suites.plan import Plan, estimates, longest_first, plan

SUITE = """\
protocol: quick
seeds: 2
experiments:
  - {tasks: [nbody, graph8c], methods: [gin, egnn, "mlp-*"]}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "mine.yaml"
    path.write_text(SUITE)
    return load(path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def record(job: Job, status: Literal["succeeded", "failed"]) -> Record:
    card, method = registry.task(job.spec.task), registry.method(job.spec.method)
    now = datetime.now(UTC).isoformat()
    return Record(
        spec=job.spec,
        suite=job.suite,
        status=status,
        description=Description(
            group=card.group_name(job.spec.task_params),
            metric=card.metric,
            direction=card.direction,
            kind=method.kind,
            base_model=method.base.name,
            sampler=method.sampler.name if method.sampler else None,
        ),
        started=now,
        finished=now,
        metrics={card.metric: 1.0} if status == "succeeded" else {},
        failure=None if status == "succeeded" else Failure(sentence="It broke."),
    )


def test_without_a_store_everything_is_to_do(suite: Suite) -> None:
    found = plan(suite, None)
    expansion = suite.expand()
    assert found.jobs == found.todo == expansion.jobs
    assert found.done == found.failed == []
    assert found.misfits == expansion.misfits
    assert {(pair.task, pair.method) for pair in found.misfits} == {("nbody", "gin"), ("graph8c", "egnn")}


def test_records_decide_what_is_left(suite: Suite, store: Store) -> None:
    jobs = suite.expand().jobs
    for job in jobs[:3]:
        store.write(record(job, "succeeded"), [])
    for job in jobs[3:5]:
        store.write(record(job, "failed"), [])
    found = plan(suite, store)
    assert found.done == jobs[:3]
    assert found.failed == jobs[3:5]
    assert found.todo == jobs[3:]


def test_a_failed_run_that_then_succeeds_is_done(suite: Suite, store: Store) -> None:
    job = suite.expand().jobs[0]
    store.write(record(job, "failed"), [])
    assert plan(suite, store).failed == [job]
    store.write(record(job, "succeeded"), [])
    assert plan(suite, store).done == [job]
    assert plan(suite, store).failed == []


def test_records_of_other_runs_do_not_count(suite: Suite, store: Store, tmp_path: Path) -> None:
    other = load(tmp_path / "mine.yaml", ["settings.batch_size=7"])
    for job in other.expand().jobs:
        store.write(record(job, "succeeded"), [])
    assert plan(suite, store).done == []


def test_runs_are_estimated_by_their_settings_then_by_their_pair_and_the_longest_go_first(
    suite: Suite, store: Store, tmp_path: Path
) -> None:
    def took(job: Job, seconds: float, training: float) -> Record:
        cost = {"train_seconds": training}
        return replace(record(job, "succeeded"), cost=cost, provenance={"wall_seconds": seconds})

    egnn = [job for job in suite.expand().jobs if job.spec.method == "egnn"]
    longer = load(tmp_path / "mine.yaml", [f"settings.epochs={3 * egnn[0].spec.settings.epochs}"]).expand().jobs
    store.write(took(egnn[0], 10.0, 8.0), [])
    store.write(took(next(job for job in longer if job.spec.method == "mlp-ga"), 300.0, 270.0), [])
    mlp = [job for job in suite.expand().jobs if job.spec.method == "mlp-ga" and job.spec.task == "nbody"]
    others = [job for job in suite.expand().jobs if job.spec.method == "mlp-fa"]
    seconds = estimates([egnn[1], *mlp, *others], store)
    assert seconds[egnn[1].spec.digest] == Estimate(10.0, "settings")
    assert all(seconds[job.spec.digest] == Estimate(30.0 + 90.0, "pair") for job in mlp)
    assert all(seconds[job.spec.digest] is None for job in others)
    assert longest_first([egnn[1], *mlp, *others], seconds) == [*others, *mlp, egnn[1]]
    assert set(estimates(others, None).values()) == {None}


@pytest.mark.parametrize(
    ("changed", "times"),
    [
        (["settings.train_samples=40"], 4.0),
        (["settings.max_steps=50", "settings.train_samples=40"], 2.0),
        (["settings.max_steps=1000000"], 1.0),
        (["settings.train_size=100"], 0.1),
        (["experiments.0.task_params.train=500"], 0.5),
        (["settings.test_samples=400", "experiments.0.task_params.test=1500"], 1.0),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_only_training_takes_longer_where_there_is_more_of_it(
    tmp_path: Path, store: Store, changed: list[str], times: float
) -> None:
    """10 epochs of 1,000 trajectories with batches of 100 and 10 samples: 100 steps."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "protocol: quick\nexperiments: [{tasks: [nbody], methods: [mlp-ga], task_params: {train: 1000}}]\n"
        "settings: {epochs: 10, batch_size: 100, train_samples: 10, train_size: null}\n"
    )
    known = record(load(path).expand().jobs[0], "succeeded")
    store.write(replace(known, cost={"train_seconds": 60.0}, provenance={"wall_seconds": 100.0}), [])
    _, job, *_ = load(path, ["seeds=2", *changed]).expand().jobs
    found = estimates([job], store)[job.spec.digest]
    assert found is not None
    assert found.seconds == pytest.approx(40.0 + 60.0 * times)


def test_a_task_that_does_not_train_takes_as_long_as_its_embeddings(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "protocol: quick\nexperiments: [{tasks: [graph8c], methods: [mlp-ga]}]\nsettings: {initialisations: 20}\n"
    )
    known = record(load(path).expand().jobs[0], "succeeded")
    cost = {"train_seconds": 0.0, "embed_seconds": 16.0}
    store.write(replace(known, cost=cost, provenance={"wall_seconds": 20.0}), [])
    job = load(path, ["settings.initialisations=100"]).expand().jobs[0]
    assert estimates([job], store)[job.spec.digest] == Estimate(4.0 + 5 * 16.0, "pair")


def pairs(found: Plan) -> set[tuple[str, str]]:
    return {(job.spec.task, job.spec.method) for job in found.jobs}


@pytest.mark.parametrize(
    ("only", "passes"),
    [
        (["task=nbody"], lambda task, method: task == "nbody"),
        (["method=mlp-*"], lambda task, method: method.startswith("mlp-")),
        (["task=nbody,method=mlp-*"], lambda task, method: task == "nbody" and method.startswith("mlp-")),
        (["method=gin,method=egnn"], lambda task, method: method in ("gin", "egnn")),
        (["method=gin", "task=nbody"], lambda task, method: method == "gin" or task == "nbody"),
        ([" task = n* "], lambda task, method: task == "nbody"),
    ],
)
def test_only_lets_through_what_matches(suite: Suite, only: Sequence[str], passes: Callable[[str, str], bool]) -> None:
    everything, found = plan(suite, None), plan(suite, None, only)
    assert pairs(found) == {pair for pair in pairs(everything) if passes(*pair)}
    assert found.jobs == [job for job in everything.jobs if passes(job.spec.task, job.spec.method)]
    assert found.misfits == [pair for pair in everything.misfits if passes(pair.task, pair.method)]


@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        ("task=nbdy", "the suite 'mine' has no task 'nbdy': did you mean 'nbody'?"),
        ("task=exp_classify", "the suite 'mine' has no task 'exp_classify': "),
        ("method=mlp-har", "the suite 'mine' has no method 'mlp-har': did you mean 'mlp-ga'?"),
        ("method=gnn-*", "the suite 'mine' has no method 'gnn-*': "),
        ("methd=gin", "write task=NAME, method=NAME or both: did you mean 'method'?"),
        ("nbody", "write task=NAME, method=NAME or both, for example"),
        ("", "write task=NAME, method=NAME or both"),
    ],
)
def test_a_filter_that_matches_nothing_is_a_mistake(suite: Suite, only: str, sentence: str) -> None:
    with pytest.raises(SymbenchError) as error:
        plan(suite, None, [only])
    assert str(error.value).startswith(f"--only {only}: {sentence}")


def test_names_that_no_experiment_pairs_are_a_mistake() -> None:
    with pytest.raises(SymbenchError, match=r"--only task=graph8c,method=egnn: the suite 'quick' has no such pair\."):
        plan(load("quick"), None, ["task=graph8c,method=egnn"])
