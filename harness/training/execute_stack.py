"""Runs that differ by their seed alone, from their descriptions to their outcomes, trained at once in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.spec import Resources, RunSpec
from harness.training.device import DTYPES, deterministic, device_for
from harness.training.device_errors import is_device_failure
from harness.training.execute import initialised, monitor_of, problem_of, trained_outcome
from harness.training.fit import FitState
from harness.training.results import Hooks, NotFinite, NotStacked, Outcome
from harness.training.scores import check_scores
from harness.training.stack_note import stack_note
from harness.training.stacked import StackedFit
from harness.utils.text import first_line
from tasks.task import PairedTask, SeparationTask


def execute_stack(
    specs: Sequence[RunSpec], *, resources: Resources, hooks: Sequence[Hooks]
) -> list[Outcome | Exception]:
    """Of each run its outcome, or what it raised; the numbers are those of ``execute``, to float tolerance.

    ``specs`` differ by their seed alone. ``resources.chunk`` holds for the evaluation alone. There are no checkpoints.
    Raises :class:`NotStacked` where nothing is trained, torch cannot compute the method in a stack, the stack does not
    fit in memory, or training raises anything else: it may be due to one run, and the others have to go on without it.
    """
    device, protocol = device_for(resources.gpus), specs[0].settings
    dtype = DTYPES[protocol.precision]
    with deterministic(device):
        problem = problem_of(specs[0])
        if isinstance(problem, SeparationTask):
            raise NotStacked(f"nothing is trained on {specs[0].task}")
        if isinstance(problem, PairedTask):
            raise NotStacked(f"every pair of {specs[0].task} has a model of its own")
        if protocol.analysis_epochs:
            raise NotStacked("analysis_epochs are measured of one network at a time")
        if protocol.compile:
            raise NotStacked("networks are compiled one at a time")
        models = [initialised(spec, problem).to(device, dtype) for spec in specs]
        seeds = [spec.seed for spec in specs]
        check_scores(specs[0], problem, device, models[0])
        fit = StackedFit(
            models, problem, protocol, seeds=seeds, device=device, dtype=dtype, hooks=hooks,
            monitor=monitor_of(specs[0]),
        )  # fmt: skip
        try:
            ends = fit.run()
        except Exception as error:
            if is_device_failure(error):
                raise
            # What is wrong with a run, not with the stack, comes up again when the run goes alone.
            raise NotStacked(first_line(error)) from error
        note = stack_note(len(specs))

        def result(place: int, end: FitState | NotFinite) -> Outcome | Exception:
            if isinstance(end, NotFinite):
                return end
            steps = fit.budget.steps_before(end.epoch)
            try:
                outcome = trained_outcome(specs[place], problem, models[place], end, steps, device, resources.chunk)
            except Exception as error:
                return error
            return replace(outcome, notes=(*outcome.notes, note))

        return [result(place, end) for place, end in enumerate(ends)]
