"""The kinds of tasks: how a run is checked, computed and scored is decided by the kind that its task names.

A task class names its kind by the attribute ``kind``: one of :data:`BUILT_IN`, or ``module:Class`` of a
:class:`TaskKind`, with which another package brings a kind of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from baselines.build import load
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.results import NotStacked, Outcome
from tasks.symmetry.structure import Structures
from tasks.task import Task

T = TypeVar("T", bound=Task)

BUILT_IN: Mapping[str, str] = {
    "supervised": "harness.training.supervised:SupervisedKind",
    "probabilistic": "harness.training.probabilistic:ProbabilisticKind",
    "separation": "harness.training.separation:SeparationKind",
    "paired": "harness.training.paired:PairedKind",
}


class TaskKind(ABC, Generic[T]):
    """How runs on one kind of task are checked, computed and scored.

    Attributes:
        data_parallel: Whether several processes can train one run together.
        has_gradient: Whether ``analysis_epochs`` can be measured.
        has_output: Whether ``variance_samples`` can be measured.
        has_weights: Whether a run ends with one model, whose weights can be kept.
    """

    data_parallel: ClassVar[bool] = False
    has_gradient: ClassVar[bool] = False
    has_output: ClassVar[bool] = False
    has_weights: ClassVar[bool] = False

    @abstractmethod
    def run(self, spec: RunSpec, problem: T, context: RunContext) -> Outcome:
        """Computes one run and returns its outcome; processes of another rank than 0 return an empty one."""

    @abstractmethod
    def inputs(self, problem: T) -> Structures:
        """Returns structures on which the symmetry of a method can be tested."""

    def run_stack(
        self, specs: Sequence[RunSpec], problem: T, contexts: Sequence[RunContext]
    ) -> list[Outcome | Exception]:
        """Trains runs that differ only by their seed in one stack.

        Returns:
            The outcome of each run, or the exception that ended it.

        Raises:
            NotStacked: They have to run one by one.
        """
        raise NotStacked(f"runs on {specs[0].task} cannot be trained in a stack")

    def metric_names(self, problem: T) -> Iterable[str]:
        """Returns the names of the metrics of an outcome, as far as they are known before the run."""
        return ()

    def check_examples(self, problem: T) -> None:
        """Raises :class:`~tasks.errors.DataError` if the data of ``problem`` cannot be used."""
        return None

    def check_settings(self, spec: RunSpec, context: RunContext) -> None:
        """Raises ``ValueError`` if ``spec`` or ``context`` asks for something that this kind does not have."""
        settings, workers = spec.settings, "set resources.workers to 1"
        if settings.variance_samples and not self.has_output:
            raise ValueError(f"{spec.task} does not define its output for an example: leave variance_samples empty.")
        if settings.analysis_epochs and not self.has_gradient:
            raise ValueError(
                f"{spec.task} has no training whose gradient could be measured: leave analysis_epochs empty."
            )
        if context.processes.single:
            return
        if not self.data_parallel:
            raise ValueError(f"Several workers cannot share a run on {spec.task}: {workers}.")
        if settings.analysis_epochs:
            raise ValueError(f"Several workers cannot share a run with analysis_epochs: {workers}.")


def kind_of(task: Task | type[Task]) -> TaskKind[Any]:
    """Returns the kind of a task."""
    kind: TaskKind[Any] = load(BUILT_IN.get(task.kind, task.kind))()
    return kind
