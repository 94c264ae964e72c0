"""One run, or a stack of runs, from its spec to its outcome in this process."""

from __future__ import annotations

from collections.abc import Sequence

from baselines.build import load
from harness.registry import task
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.device import deterministic
from harness.training.kinds import kind_of
from harness.training.metric_names import check_metric_names
from harness.training.results import Outcome
from tasks.extras import named_extras
from tasks.task import Task


def execute(spec: RunSpec, context: RunContext | None = None) -> Outcome:
    """Computes ``spec`` and returns its outcome; processes of another rank than 0 return an empty one.

    The run resumes from ``context.checkpoint`` if the file has its state. The file is not removed: the caller does so
    once the outcome is stored. Without a ``context`` the run is computed on the CPU. Raises whatever the task, the
    method or the training raises.
    """
    context = context or RunContext.of(spec)
    with deterministic(context.device):
        problem = problem_of(spec)
        kind = kind_of(problem)
        kind.check_settings(spec, context)
        check_metric_names(spec, lambda: kind.metric_names(problem))
        return kind.run(spec, problem, context)


def execute_stack(specs: Sequence[RunSpec], contexts: Sequence[RunContext]) -> list[Outcome | Exception]:
    """Computes runs that differ only by their seed in one stack; the numbers are those of :func:`execute`.

    Args:
        specs: The runs.
        contexts: One for each run, with one device and dtype. There are no checkpoints, and ``chunk`` is for evaluation
            only.

    Returns:
        The outcome of each run, or the exception that ended it.

    Raises:
        NotStacked: The runs have to be computed one by one.
    """
    with deterministic(contexts[0].device):
        problem = problem_of(specs[0])
        kind = kind_of(problem)
        kind.check_settings(specs[0], contexts[0])
        return kind.run_stack(specs, problem, contexts)


@named_extras()
def problem_of(spec: RunSpec) -> Task:
    """Returns the task of ``spec`` with its data.

    Raises:
        DataError: The data cannot be used.
        MissingExtra: A package that makes or reads the data is not installed.
        ValueError: The card says another kind than the task's class.
    """
    card = task(spec.task)
    problem: Task = load(card.implementation)(card.settings_from(spec.task_params))
    if card.form not in (None, problem.kind):
        kinds = f"the form '{card.form}', and its class has the kind '{problem.kind}'"
        raise ValueError(f"the card of {card.name} has {kinds}")
    kind_of(problem).check_examples(problem)
    return problem
