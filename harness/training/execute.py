"""One run from its description to its outcome, in this process."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from baselines.build import build, load
from baselines.model import Model
from harness.registry import method, task
from harness.spec import Resources, RunSpec
from harness.training.analysis import entropy_of_mean_permutation
from harness.training.device import DTYPES, deterministic, device_for
from harness.training.distributed import SINGLE_PROCESS, ProcessGroup
from harness.training.evaluate import cost, curve, draw, equivariance_errors, predict
from harness.training.examples import check_examples, prepared
from harness.training.finite import finite
from harness.training.fit import Fit, FitState
from harness.training.memory import device_peak, reset_device_peak
from harness.training.monitor import Monitor
from harness.training.output_variance import variance_points
from harness.training.paired import PairedComparisons
from harness.training.results import CurvePoint, Hooks, Outcome, Stage, VariancePoint
from harness.training.scores import check_scores
from harness.training.seeds import derive, generator
from harness.training.separation import Separation
from harness.verification.equivariance import cast
from tasks.symmetry.groups import Group, group
from tasks.symmetry.structure import Signature, Structures
from tasks.task import Dataset, PairedTask, Probabilistic, SeparationTask, SupervisedTask


def execute(
    spec: RunSpec,
    *,
    resources: Resources,
    hooks: Hooks,
    checkpoint: Path | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> Outcome:
    """Runs ``spec`` with ``resources``; goes on from ``checkpoint`` where that file holds the run's state.

    All ``processes`` train; the first one returns the outcome of the run, the others return none. Raises whatever the
    task, the method or the loop raises. The checkpoint stays: whoever keeps the outcome removes it.
    """
    device = device_for(resources.gpus)
    with deterministic(device):
        problem = problem_of(spec)
        if not processes.alone and isinstance(problem, PairedTask | SeparationTask):
            raise ValueError(f"Several workers cannot share a run on {spec.task}: set resources.workers to 1.")
        if not processes.alone and spec.settings.analysis_epochs:
            raise ValueError("Several workers cannot share a run with analysis_epochs: set resources.workers to 1.")
        if not isinstance(problem, SupervisedTask):
            check_scores(spec, problem, device)
        if isinstance(problem, PairedTask):
            return _compare(spec, problem, device, resources.chunk, hooks, checkpoint)
        if isinstance(problem, SeparationTask):
            return _separate(spec, problem, device, resources.chunk, hooks, checkpoint)
        return _train(spec, problem, device, resources.chunk, hooks, checkpoint, processes)


def problem_of(spec: RunSpec) -> SupervisedTask | SeparationTask | PairedTask:
    """The data of ``spec``, looked through."""
    card = task(spec.task)
    problem = load(card.implementation)(card.settings_from(spec.task_params))
    check_examples(problem)
    _check_analysis(spec, problem)
    return problem


def _check_analysis(spec: RunSpec, problem: SupervisedTask | SeparationTask | PairedTask) -> None:
    """Raises ``ValueError`` where the task cannot give what the settings want measured."""
    if spec.settings.variance_samples and not isinstance(problem, Probabilistic):
        raise ValueError(f"{spec.task} does not say what it puts out for an example: leave variance_samples empty.")
    if spec.settings.analysis_epochs and not isinstance(problem, SupervisedTask):
        raise ValueError(f"{spec.task} has no training whose gradient could be measured: leave analysis_epochs empty.")


def group_of(spec: RunSpec) -> Group:
    """The symmetry of the run's task."""
    return group(task(spec.task).group_of(spec.task_params))


def monitor_of(spec: RunSpec) -> Monitor:
    """What the run keeps weights by."""
    return Monitor.of(task(spec.task), spec.settings)


def new_model(spec: RunSpec, signature: Signature) -> Model:
    """The model of ``spec``, initialised from torch's global generator."""
    card = method(spec.method)
    symmetry = card.symmetrized_group(task(spec.task), spec.task_params)
    model = build(card, signature, symmetry, spec.base, spec.sampler)
    model.mixed_precision, model.compiles = spec.settings.precision == "bfloat16", spec.settings.compile
    return model


def _train(
    spec: RunSpec, problem: SupervisedTask, device: torch.device, chunk: int | None, hooks: Hooks, path: Path | None,
    processes: ProcessGroup,
) -> Outcome:  # fmt: skip
    fit = new_fit(spec, problem, device, chunk, hooks, path, processes)
    check_scores(spec, problem, device, fit.model)
    reset_device_peak(device)
    progress = fit.run()
    peak = device_peak(device)
    if processes.rank > 0:
        return Outcome(metrics={})
    outcome = trained_outcome(spec, problem, fit.model, progress, fit.trained_steps, device, chunk)
    return outcome if peak is None else replace(outcome, cost={**outcome.cost, "train_peak_memory_bytes": float(peak)})


def new_fit(
    spec: RunSpec, problem: SupervisedTask, device: torch.device, chunk: int | None, hooks: Hooks, path: Path | None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> Fit:  # fmt: skip
    """The training that ``spec`` asks for, before its first epoch."""
    dtype = DTYPES[spec.settings.precision]
    model = initialised(spec, problem).to(device, dtype)
    return Fit(
        model, problem, spec.settings, seed=spec.seed, device=device, dtype=dtype, hooks=hooks,
        monitor=monitor_of(spec), chunk=chunk, path=path, digest=spec.digest, processes=processes,
    )  # fmt: skip


def initialised(spec: RunSpec, problem: SupervisedTask) -> Model:
    """The model of ``spec`` with the weights that its seed starts from, on the CPU."""
    torch.manual_seed(derive(spec.seed, "initialisation"))
    return new_model(spec, problem.signature)


def trained_outcome(
    spec: RunSpec, problem: SupervisedTask, model: Model, progress: FitState, steps: int, device: torch.device,
    chunk: int | None,
) -> Outcome:  # fmt: skip
    """What a model is worth that was trained for ``steps``.

    Raises :class:`~harness.training.results.NotFinite` where it predicts what is not finite.
    """
    protocol = spec.settings
    test = prepared(problem, "test", protocol.test_size, model, device, DTYPES[protocol.precision])
    trained = steps * protocol.batch_size
    batch = test.inputs[: protocol.batch_size].unprepared()  # what a prediction costs for structures that are new
    points, entropies = _variance(spec, problem, model, steps, device, chunk)
    weights = f"the weights of epoch {progress.best_epoch}" if steps else "untrained weights"
    metrics = _test_metrics(spec, problem, model, test, chunk, weights) | {"best_epoch": float(progress.best_epoch)}
    return Outcome(
        metrics=metrics | entropies,
        curve=_test_curve(spec, problem, model, test.first(protocol.curve_size), chunk),
        output_variance=points,
        cost={
            **cost(model, batch, protocol.test_samples, generator(device, spec.seed, "cost"), chunk),
            "train_seconds": progress.train_seconds,
            "train_examples_per_second": trained / progress.train_seconds if progress.train_seconds else 0.0,
        },
        notes=model.chunks.notes(chunk),
    )


def _variance(
    spec: RunSpec, problem: SupervisedTask, trained: Model, steps: int, device: torch.device, chunk: int | None
) -> tuple[tuple[VariancePoint, ...], dict[str, float]]:
    """What ``variance_samples`` ask for on the validation set: variances, and the entropies of mean permutations.

    Of the weights that the seed starts from and, after some ``steps``, of those ``trained``, with the same chance.
    """
    protocol, dtype = spec.settings, DTYPES[spec.settings.precision]
    points: list[VariancePoint] = []
    entropies: dict[str, float] = {}
    if not (protocol.variance_samples and isinstance(problem, Probabilistic)):
        return (), entropies
    untrained = initialised(spec, problem).to(device, dtype)
    untrained.chunks = trained.chunks
    data = prepared(problem, "validation", protocol.valid_size, untrained, device, dtype)
    stages: dict[Stage, Model] = {"initialised": untrained}
    if steps:
        stages["trained"] = trained
    for stage, model in stages.items():
        noise = generator(device, spec.seed, "variance")
        points += variance_points(stage, model, problem, data, protocol, noise, chunk)
        noise = generator(device, spec.seed, "permutations")
        entropy = entropy_of_mean_permutation(model, data.inputs, protocol.batch_size, noise, chunk)
        if entropy is not None:
            entropies[f"permutation_entropy_{stage}"] = entropy
    return tuple(points), entropies


def _test_metrics(
    spec: RunSpec, problem: SupervisedTask, model: Model, test: Dataset, chunk: int | None, weights: str
) -> dict[str, float]:
    """The mean of every metric over ``test_repeats`` evaluations with fresh group samples, and their deviation.

    ``*_std`` is the standard deviation of the repeats at hand (of the population, as published).

    ``*_transformed`` is the same metric on the test set transformed by random group elements: a symmetric method scores
    the same, one that has learned the order or the pose of its data does not.
    """
    protocol = spec.settings
    plain = test.inputs, test.targets[:]
    moved = _moved(spec, problem, test)
    rounds: list[dict[str, float]] = []
    for repeat in range(protocol.test_repeats):
        noise = generator(test.targets.device, spec.seed, "test", repeat)
        rounds.append({})
        for suffix, (inputs, targets) in (("", plain), ("_transformed", moved)):
            predictions = predict(model, inputs, protocol.test_samples, protocol.batch_size, noise, chunk)
            what = f"predictions of the {'moved ' if suffix else ''}test set by {weights}"
            found = problem.metrics(finite(predictions, what), targets)
            rounds[-1] |= {f"{name}{suffix}": value for name, value in found.items()}
    values = {name: torch.tensor([one[name] for one in rounds], dtype=torch.float64) for name in rounds[0]}
    means = {name: value.mean().item() for name, value in values.items()}
    if protocol.test_repeats == 1:
        return means
    return means | {f"{name}_std": value.std(correction=0).item() for name, value in values.items()}


def _moved(spec: RunSpec, problem: SupervisedTask, test: Dataset) -> tuple[Structures, Tensor]:
    """Every test example and its target moved by a random element of the task's group."""
    noise = generator(test.targets.device, spec.seed, "moved")
    elements = group_of(spec).random(test.inputs.outline, 1, noise)
    return test.inputs.acted(elements), elements.act(test.targets[:][:, None], problem.signature.output)[:, 0]


def _test_curve(
    spec: RunSpec, problem: SupervisedTask, model: Model, part: Dataset, chunk: int | None
) -> tuple[CurvePoint, ...]:
    protocol, name, device = spec.settings, task(spec.task).metric, part.targets.device
    samples, flat = protocol.curve_samples, model.fixed_samples is not None
    repeats = 1 if model.deterministic else protocol.curve_repeats

    def metric(predictions: Tensor, truth: Tensor) -> float:
        return problem.metrics(predictions, truth)[name]

    def pool(inputs: Structures, purpose: str) -> Tensor:
        """Enough draws ``[M, K, ...]`` for as many estimates at the largest number of samples."""
        noise = generator(device, spec.seed, purpose)
        if flat:
            drawn = torch.cat([draw(model, inputs, 1, protocol.batch_size, noise) for _ in range(repeats)], 1)
        else:
            drawn = draw(model, inputs, repeats * max(samples), protocol.batch_size, noise, chunk)
        return finite(drawn, "predictions for the curve over group samples")

    elements = group_of(spec).random(part.inputs.outline, 1, generator(device, spec.seed, "curve", "elements"))
    draws, moved = pool(part.inputs, "curve"), pool(part.inputs.acted(elements), "curve, moved")
    expected = cast(elements, draws.dtype).act(draws, problem.signature.output)
    errors = equivariance_errors(expected, moved, samples, flat=flat)
    points = curve(draws, part.targets[:], metric, samples, flat=flat)
    return tuple(replace(point, equivariance=error) for point, error in zip(points, errors, strict=True))


def _separate(
    spec: RunSpec, problem: SeparationTask, device: torch.device, chunk: int | None, hooks: Hooks, path: Path | None
) -> Outcome:
    protocol, dtype = spec.settings, DTYPES[spec.settings.precision]
    separation = Separation(
        lambda: new_model(spec, problem.signature), problem, group_of(spec), protocol, seed=spec.seed, device=device,
        dtype=dtype, hooks=hooks, chunk=chunk,
    )  # fmt: skip
    start = time.perf_counter()
    metrics = separation.metrics()
    seconds = time.perf_counter() - start
    model = next(iter(separation.models()))[1]
    batch = separation.structures[: protocol.batch_size].unprepared()
    structures = min(protocol.curve_size, len(separation.structures))
    return Outcome(
        metrics=metrics,
        curve=separation.curve(),
        cost={
            **cost(model, batch, protocol.test_samples, generator(device, spec.seed, "cost"), chunk),
            "train_seconds": 0.0,
            "embed_seconds": seconds,
            "train_examples_per_second": separation.embedded / seconds,
        },
        notes=(
            f"The curve over group samples counts pairs among the first {structures} structures only.",
            *separation.chunks.notes(chunk),
        ),
    )


def _compare(
    spec: RunSpec, problem: PairedTask, device: torch.device, chunk: int | None, hooks: Hooks, path: Path | None
) -> Outcome:
    protocol, dtype = spec.settings, DTYPES[spec.settings.precision]
    comparisons = PairedComparisons(
        lambda signature: new_model(spec, signature), problem, group_of(spec), protocol, seed=spec.seed,
        device=device, dtype=dtype, hooks=hooks, chunk=chunk, path=path, digest=spec.digest,
    )  # fmt: skip
    metrics = comparisons.metrics()
    trained = 2 * problem.relabellings * protocol.epochs * len(comparisons.categories)
    pair = problem.pair(0).to(device, dtype)
    model = new_model(spec, problem.signature_of(pair)).to(device, dtype)
    model.chunks = comparisons.chunks
    return Outcome(
        metrics=metrics,
        cost={
            **cost(model, pair, protocol.test_samples, generator(device, spec.seed, "cost"), chunk),
            "train_seconds": comparisons.train_seconds,
            "train_examples_per_second": trained / comparisons.train_seconds if trained else 0.0,
        },
        notes=(
            f"{len(comparisons.categories)} of {len(problem.categories)} pairs; cost is that of the first.",
            *(() if protocol.epochs else ("Nothing was trained: weights are random.",)),
            *comparisons.chunks.notes(chunk),
        ),
    )
