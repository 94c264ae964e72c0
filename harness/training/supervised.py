"""Supervised tasks: training, validation and a test set."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from baselines.model import Model
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.device_errors import is_device_failure
from harness.training.evaluate import cost, predict
from harness.training.examples import check_examples, prepared
from harness.training.fit import Fit, FitState
from harness.training.from_spec import initialised, monitor_of
from harness.training.kinds import TaskKind
from harness.training.memory import device_peak, reset_device_peak
from harness.training.metric_names import check_metric_names
from harness.training.results import NotFinite, NotStacked, Outcome, VariancePoint
from harness.training.scoring import curve_on_test_set, metrics_on_test_set
from harness.training.seeds import generator
from harness.training.stack_note import stack_note
from harness.training.stacked import StackedFit
from harness.training.weights import weights_of
from harness.utils.text import first_line
from tasks.symmetry.structure import Structures
from tasks.task import SupervisedTask

PROBED_EXAMPLES = 2


class SupervisedKind(TaskKind[SupervisedTask]):
    """A model is trained, its weights are selected on the validation set and scored on the test set."""

    data_parallel = has_gradient = has_weights = True

    def run(self, spec: RunSpec, problem: SupervisedTask, context: RunContext) -> Outcome:
        fit = new_fit(spec, problem, context)
        check_metric_names(spec, lambda: probed_metric_names(spec, problem, fit.model, context))
        reset_device_peak(context.device)
        state = fit.run()
        peak = device_peak(context.device)
        if context.processes.rank > 0:
            return Outcome(metrics={})
        outcome = self.outcome(spec, problem, fit.model, state, fit.trained_steps, context)
        if peak is None:
            return outcome
        return replace(outcome, cost={**outcome.cost, "train_peak_memory_bytes": float(peak)})

    def run_stack(
        self, specs: Sequence[RunSpec], problem: SupervisedTask, contexts: Sequence[RunContext]
    ) -> list[Outcome | Exception]:
        protocol, context = specs[0].settings, contexts[0]
        if protocol.analysis_epochs:
            raise NotStacked("analysis_epochs are measured of one network at a time")
        if protocol.compile:
            raise NotStacked("networks are compiled one at a time")
        models = [initialised(spec, problem).to(context.device, context.dtype) for spec in specs]
        check_metric_names(specs[0], lambda: probed_metric_names(specs[0], problem, models[0], context))
        fit = StackedFit(
            models,
            problem,
            protocol,
            contexts,
            seeds=[spec.seed for spec in specs],
            monitor=monitor_of(specs[0]),
        )
        try:
            results = fit.run()
        except Exception as error:
            if is_device_failure(error):
                raise
            # If the error is due to one run and not to the stack, it occurs again when the run is computed alone.
            raise NotStacked(first_line(error)) from error

        def outcome(place: int, result: FitState | NotFinite) -> Outcome | Exception:
            if isinstance(result, NotFinite):
                return result
            steps = fit.budget.steps_before(result.epoch)
            try:
                found = self.outcome(specs[place], problem, models[place], result, steps, contexts[place])
            except Exception as error:
                return error
            return replace(found, notes=(*found.notes, stack_note(len(specs))))

        return [outcome(place, result) for place, result in enumerate(results)]

    def inputs(self, problem: SupervisedTask) -> Structures:
        return problem.data("test").inputs

    def check_examples(self, problem: SupervisedTask) -> None:
        check_examples(problem)

    def outcome(
        self,
        spec: RunSpec,
        problem: SupervisedTask,
        model: Model,
        state: FitState,
        steps: int,
        context: RunContext,
    ) -> Outcome:
        """Returns the outcome of a ``model`` that was trained for ``steps``.

        Raises:
            NotFinite: A prediction is not finite.
        """
        protocol, chunk = spec.settings, context.chunk
        test = prepared(problem, "test", protocol.test_size, model, context)
        trained_examples = steps * protocol.batch_size
        batch = test.inputs[: protocol.batch_size].unprepared()  # the cost is that of new structures
        points, entropies = self.variance(spec, problem, model, steps, context)
        weights = f"the weights of epoch {state.best_epoch}" if steps else "untrained weights"
        metrics = metrics_on_test_set(spec, problem, model, test, chunk, weights)
        return Outcome(
            metrics=metrics | {"best_epoch": float(state.best_epoch)} | entropies,
            curve=curve_on_test_set(spec, problem, model, test.first(protocol.curve_size), chunk),
            output_variance=points,
            cost={
                **cost(model, batch, protocol.test_samples, generator(context.device, spec.seed, "cost"), chunk),
                "train_seconds": state.train_seconds,
                "train_examples_per_second": trained_examples / state.train_seconds if state.train_seconds else 0.0,
            },
            notes=model.chunks.notes(chunk),
            weights=weights_of(model) if context.keep_weights else None,
        )

    def variance(
        self, spec: RunSpec, problem: SupervisedTask, model: Model, steps: int, context: RunContext
    ) -> tuple[tuple[VariancePoint, ...], dict[str, float]]:
        """Returns the variances for ``variance_samples`` and the entropies of mean permutations: none here."""
        return (), {}


def new_fit(spec: RunSpec, problem: SupervisedTask, context: RunContext) -> Fit:
    """Returns the training of ``spec``, before its first epoch."""
    model = initialised(spec, problem).to(context.device, context.dtype)
    return Fit(model, problem, spec.settings, context, seed=spec.seed, monitor=monitor_of(spec))


def probed_metric_names(spec: RunSpec, problem: SupervisedTask, model: Model, context: RunContext) -> Iterable[str]:
    """Returns the names of the metrics of what an untrained ``model`` predicts for some validation examples.

    There are none if the task has no metrics of so few examples.
    """
    part = problem.examples("validation").first(PROBED_EXAMPLES).to(context.device, context.dtype)
    noise = generator(context.device, spec.seed, "scores")
    training = model.training
    try:
        with contextlib.suppress(Exception), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return list(problem.metrics(predict(model, part.inputs, 1, PROBED_EXAMPLES, noise), part.targets[:]))
    finally:
        model.train(training)
    return []
