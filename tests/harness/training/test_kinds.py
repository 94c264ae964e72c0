"""The kind of a task decides how its runs are computed, and a plug-in's task can bring a kind of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from baselines.build import load
from harness.collate.collating import collate
from harness.errors import SymbenchError
from harness.execution.run_job import run_job, run_stack
from harness.records.store import Store
from harness.registry import resolve, tasks
from harness.search.trial_training import trained_task
from harness.spec import Job, RunSpec
from harness.training.context import RunContext
from harness.training.distributed import ProcessGroup
from harness.training.execute import execute, problem_of
from harness.training.kinds import BUILT_IN, kind_of
from harness.training.results import NotStacked
from harness.verification.verdicts import subject
from tests.distributions import both, found_in, put

CARDS = """
from dataclasses import replace
from baselines.cards import MethodCard
from baselines.catalogue import GIN
from tasks.catalogue import GRAPH8C
TASK = replace(
    GRAPH8C, name="ranking", metric="order", control=None, direction="min", form=FORM,
    implementation="ranked_task:Ranking", recipes=(),
)
METHOD = MethodCard(base=replace(GIN, name="ranked_gin"))
"""
TASK = """
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tasks.task import Task
from tests.structures import random_graphs

class Ranking(Task):
    kind = "ranked_kind:RankingKind"

    def __init__(self, params):
        self.graphs = random_graphs(6, 5)
        self.signature = Signature.of(self.graphs, Representation.GRAPH_SCALARS, 1)
"""
KIND = """
from harness.training.from_spec import initialised
from harness.training.kinds import TaskKind
from harness.training.results import Outcome

class RankingKind(TaskKind):
    def run(self, spec, problem, context):
        graphs = problem.graphs.to(context.device, context.dtype)
        scores = initialised(spec, problem).to(context.device, context.dtype).eval()(graphs, 1).value
        context.hooks.log(0, {"spread": scores.std().item()})
        return Outcome(metrics={NAME: float(scores.argmax())}, cost={"parameters": 1.0, "train_seconds": 0.0})

    def inputs(self, problem):
        return problem.graphs

    def metric_names(self, problem):
        return [NAME]
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    form, name = getattr(request, "param", ("None", "order"))
    sources = {
        "ranked_cards.py": CARDS.replace("FORM", form),
        "ranked_task.py": TASK,
        "ranked_kind.py": KIND.replace("NAME", repr(name)),
    }
    put(tmp_path / "packages", "ranked", both("ranked"), sources)
    with found_in(tmp_path / "packages", monkeypatch):
        yield


def ranking(seed: int = 0, **settings: object) -> RunSpec:
    return resolve("ranking", "gin", "quick", seed, settings=settings)


def test_every_card_says_the_kind_of_its_task() -> None:
    for name, card in tasks().items():
        assert load(card.implementation).kind == card.form, name
        assert type(kind_of(load(card.implementation))) is load(BUILT_IN[card.form or ""])


def test_a_run_on_a_kind_of_a_plug_in_is_computed_recorded_and_collated(plugin: None, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for seed in range(3):
        record = run_job(Job(spec=ranking(seed), suite="tests"), store, None)
        assert record.failure is None and record.metrics["order"] in range(6)
        assert store.history(record.digest)["name"].to_list() == ["spread"]
    runs = collate(store).runs
    assert runs.filter(runs["task"] == "ranking").height == 3


def test_the_symmetry_of_a_method_is_checked_on_its_inputs(plugin: None) -> None:
    found = subject("gin", "ranking")
    assert found.inputs.key.tolist() == problem_of(ranking()).graphs.key.tolist()  # type: ignore[attr-defined]


def test_what_a_kind_does_not_have_is_refused(plugin: None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave analysis_epochs empty"):
        execute(ranking(analysis_epochs=[1]))
    with pytest.raises(ValueError, match="leave variance_samples empty"):
        execute(ranking(variance_samples=[1]))
    with pytest.raises(ValueError, match=r"cannot share a run on ranking: set resources\.workers to 1"):
        execute(ranking(), RunContext(processes=ProcessGroup(0, 2)))
    with pytest.raises(NotStacked, match="ranking cannot be trained in a stack"):
        jobs = [Job(spec=ranking(seed), suite="tests") for seed in range(2)]
        run_stack(jobs, Store(tmp_path / "store"), lambda job: None)
    with pytest.raises(SymbenchError, match="has no validation set"):
        trained_task(ranking())


@pytest.mark.parametrize("plugin", [("None", "place")], indirect=True)
def test_a_kind_that_does_not_return_the_metric_of_the_card_is_refused(plugin: None) -> None:
    with pytest.raises(ValueError, match="the metric of the task ranking is 'order', which the task does not return"):
        execute(ranking())


@pytest.mark.parametrize("plugin", [("'separation'", "order")], indirect=True)
def test_a_card_that_says_another_kind_than_its_task_is_refused(plugin: None) -> None:
    with pytest.raises(ValueError, match="the form 'separation', and its class has the kind 'ranked_kind:RankingKind'"):
        execute(ranking())
