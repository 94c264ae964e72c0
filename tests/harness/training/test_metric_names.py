"""A plug-in's task that does not return the metric of its card says so before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from harness.registry import resolve
from harness.spec import RunSpec
from harness.training import paired, separation
from harness.training.context import RunContext
from harness.training.execute import execute, execute_stack, problem_of
from harness.training.from_spec import initialised
from harness.training.metric_names import check_metric_names
from harness.training.paired import PairedKind
from harness.training.results import NullHooks
from harness.training.separation import SeparationKind
from harness.training.supervised import probed_metric_names
from tasks.catalogue import BREC, GRAPH8C
from tasks.task import SupervisedTask
from tests.distributions import both, found_in, put

CARDS = """
from dataclasses import replace
from baselines.catalogue import METHODS
from tasks.catalogue import BREC, GRAPH8C, NBODY
TASK = replace(CARD, name="theirs", METRICS)
METHOD = replace(METHODS[0], base=replace(METHODS[0].base, name="other"))
"""
SMALL = {"nodes": 4, "train": 8, "validation": 6, "test": 4}
SETTINGS = {"epochs": 1, "batch_size": 4, "train_samples": 1, "test_samples": 1, "curve_samples": [1], "curve_size": 2}
With = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> With:
    @contextmanager
    def put_in(card: str, metrics: str) -> Iterator[None]:
        text = CARDS.replace("CARD", card).replace("METRICS", metrics)
        put(tmp_path, "other", both("other"), {"other_cards.py": text})
        with found_in(tmp_path, monkeypatch):
            yield

    return put_in


def spec_of() -> RunSpec:
    return resolve("theirs", "egnn", "quick", 0, task_params=SMALL, settings=SETTINGS)


class Refusing(NullHooks):
    def log(self, *_: object) -> None:
        pytest.fail("it was trained")


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ("metric='mes'", "the metric of the task theirs is 'mes', which the task does not return: did you mean 'mse'?"),
        ("control='mse_movd'", "the control of the task theirs is 'mse_movd', which the task does not return"),
    ],
)
def test_a_metric_that_is_not_returned_is_said_before_training(registered: With, metrics: str, sentence: str) -> None:
    with registered("NBODY", metrics):
        with pytest.raises(ValueError, match=sentence.replace("?", r"\?")):
            execute(spec_of(), RunContext.of(spec_of(), hooks=Refusing()))
        stack = [replace(spec_of(), seed=seed) for seed in (0, 1)]
        with pytest.raises(ValueError, match=sentence.replace("?", r"\?")):
            execute_stack(stack, [RunContext(hooks=Refusing()), RunContext(hooks=Refusing())])


def test_a_right_one_is_trained_and_looking_changes_nothing(registered: With) -> None:
    with registered("NBODY", "control='mse_transformed'"):
        spec = spec_of()
        theirs = execute(spec)
        assert theirs.metrics["mse"] > 0
    ours = execute(resolve("nbody", "egnn", "quick", 0, task_params=SMALL, settings=SETTINGS))
    assert ours.metrics == theirs.metrics


def test_metrics_that_need_more_examples_are_not_asked_for(registered: With, monkeypatch: pytest.MonkeyPatch) -> None:
    with registered("NBODY", "metric='mes'"):
        problem = problem_of(spec_of())
        assert isinstance(problem, SupervisedTask)
        model = initialised(spec_of(), problem)

        def fails(*_: object) -> dict[str, float]:
            raise ValueError("too few")

        monkeypatch.setattr(problem, "metrics", fails)
        check_metric_names(spec_of(), lambda: probed_metric_names(spec_of(), problem, model, RunContext()))
        assert model.training


@pytest.mark.parametrize(
    ("card", "known"), [("GRAPH8C", "unseparated, false"), ("BREC", "separated, unreliable, pairs, separated_regular")]
)
def test_tasks_without_metrics_of_their_own(registered: With, card: str, known: str) -> None:
    assert {GRAPH8C.metric, GRAPH8C.control} <= set(separation.METRICS)
    assert {BREC.metric, BREC.control} <= set(paired.METRICS)
    kind = {"GRAPH8C": SeparationKind(), "BREC": PairedKind()}[card]
    problem = Mock(categories=["regular"])
    refusal = pytest.raises(ValueError, match=f"is 'xyz', which the task does not return: known: {known}")
    with registered(card, "metric='xyz'"), refusal:
        check_metric_names(resolve("theirs", "gin", "quick", 0), lambda: kind.metric_names(problem))
