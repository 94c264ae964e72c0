"""Predictions over a split, the sample-complexity curve, and what a prediction costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from baselines.model import Model
from harness.training.device import synchronize
from harness.training.distributed import SINGLE_PROCESS, ProcessGroup
from harness.training.flops import flops
from harness.training.memory import peak_memory
from harness.training.results import CurvePoint
from tasks.symmetry.structure import Structure, Structures

Metric = Callable[[Tensor, Tensor], float]
TIMED_PREDICTIONS = 3


def batches(size: int, batch_size: int) -> list[slice]:
    """Returns the slices of ``size`` examples in batches, of which the last may be smaller."""
    return [slice(start, start + batch_size) for start in range(0, size, batch_size)]


@torch.no_grad()
def predict(
    model: Model,
    inputs: Structures,
    samples: int,
    batch_size: int,
    generator: torch.Generator,
    chunk: int | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> Tensor:
    """Returns predictions ``[M, ...]`` in evaluation mode, computed by all ``processes``."""
    model.eval()
    own = []
    for place, part in enumerate(batches(len(inputs), batch_size)):
        x = inputs[part]
        noise = model.noise(x, samples, generator)
        if place % processes.size == processes.rank:
            own.append(model.from_noise(x, noise, samples, chunk).value)
    return torch.cat(processes.gather_batches(own, generator.device))


@torch.no_grad()
def draw(
    model: Model,
    inputs: Structures,
    samples: int,
    batch_size: int,
    generator: torch.Generator,
    chunk: int | None = None,
) -> Tensor:
    """Returns single-sample predictions ``[M, K, ...]`` in evaluation mode."""
    model.eval()
    return torch.cat(
        [model.draws(inputs[p], samples, generator, chunk) for p in batches(len(inputs), batch_size)]
    ).float()


def estimates(draws: Tensor, samples: int) -> Tensor:
    """Returns ``[R, M, ...]``: means over disjoint groups of ``samples`` draws of ``[M, K, ...]``, R = K // samples."""
    repeats = draws.shape[1] // samples
    groups = draws[:, : repeats * samples].unflatten(1, (repeats, samples))
    return groups.mean(2).movedim(1, 0)


def curve(
    draws: Tensor, targets: Tensor, metric: Metric, samples: Sequence[int], *, flat: bool = False
) -> tuple[CurvePoint, ...]:
    """Returns the metric and the variance of the estimator for each number of ``samples``.

    Args:
        draws: ``[M, K, ...]``, with K at least twice the largest number, so that every variance has two independent
            estimates.
        targets: ``[M, ...]``.
        metric: Computes the metric of predictions ``[M, ...]``.
        samples: The numbers of group samples.
        flat: Whether every draw is an estimate for each number, since the method has a fixed number of samples.
    """
    return tuple(_point(count, estimates(draws, 1 if flat else count), targets, metric) for count in samples)


def equivariance_errors(
    expected: Tensor, transformed: Tensor, samples: Sequence[int], *, flat: bool = False
) -> list[float]:
    """Returns |phi_k(g x) - g phi_k(x)| over |phi(x)| for each number of ``samples``.

    Args:
        expected: ``[M, K, ...]``, g times draws for x.
        transformed: ``[M, K, ...]``, independent draws for g x.
        samples: The numbers k of group samples.
        flat: As in :func:`curve`.

    Returns:
        Root mean squares over examples and repeats.
    """
    differences = (transformed - expected).double()
    size = expected.double().mean(1).square().mean().sqrt()
    errors = [estimates(differences, 1 if flat else count).square().mean().sqrt() for count in samples]
    return (torch.stack(errors) / size).tolist()


def _point(samples: int, estimated: Tensor, targets: Tensor, metric: Metric) -> CurvePoint:
    values = torch.tensor([metric(estimate, targets) for estimate in estimated], dtype=torch.float64)
    repeats = len(estimated)
    single = repeats == 1
    return CurvePoint(
        samples=samples,
        value=values.mean().item(),
        value_error=0.0 if single else (values.std() / repeats**0.5).item(),
        variance=0.0 if single else estimated.double().var(0).mean().item(),
    )


def cost(
    model: Model, batch: Structure, samples: int, generator: torch.Generator, chunk: int | None
) -> Mapping[str, float]:
    """Returns the number of parameters, and operations, seconds and peak memory of predictions for ``batch``.

    Operations and seconds are for one example, the memory for the batch.
    """

    def once() -> None:
        predict(model, batch, samples, len(batch), generator, chunk)

    once()  # the first prediction is the slowest and is not timed
    return {
        "parameters": float(sum(parameter.numel() for parameter in model.parameters())),
        "flops_per_example": _operations(model, batch, samples, chunk, once) / len(batch),
        "seconds_per_example": _best_seconds(once, batch.mask.device) / len(batch),
        "peak_memory_bytes": float(peak_memory(once, batch.mask.device)),
    }


def _operations(model: Model, batch: Structure, samples: int, chunk: int | None, once: Callable[[], None]) -> int:
    """The operations of one batch of predictions, counted on the device ``meta``.

    On the CPU some computations depend on the padding, so that the count would depend on the device. Networks whose
    computation depends on values cannot run on ``meta``; their operations are the same on every device.
    """
    meta = torch.device("meta")
    copied, structures = deepcopy(model).to(meta).eval(), batch.to(meta)
    try:
        with torch.no_grad():
            return flops(lambda: copied(structures, samples, None, chunk))
    except (RuntimeError, NotImplementedError):
        return flops(once)


def _best_seconds(action: Callable[[], None], device: torch.device) -> float:
    """The shortest of a few runs, which is the least disturbed by other processes."""
    seconds = []
    for _ in range(TIMED_PREDICTIONS):
        start = time.perf_counter()
        action()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
