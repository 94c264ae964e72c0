"""The variance of outputs and losses over repeated predictions (Kim et al. 2023, appendix).

As the paper plots it: the square of the mean over examples of the standard deviation over repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from baselines.model import Model
from harness.training.evaluate import batches
from harness.training.finite import check_finite
from harness.training.results import Stage, VariancePoint
from tasks.protocol import Protocol
from tasks.symmetry.structure import Structure
from tasks.task import Dataset, Probabilistic


def spread(values: Tensor) -> Tensor:
    """Returns ``[M]``: standard deviations (divisor R - 1) over the repeats of ``[R, M]``; zero for a single one."""
    return values.std(0) if len(values) > 1 else torch.zeros_like(values[0])


def variance_point(stage: Stage, samples: int, outputs: Tensor, losses: Tensor) -> VariancePoint:
    """Returns the point of outputs and losses ``[R, M]`` of R predictions for each of M examples."""
    return VariancePoint(
        stage=stage,
        samples=samples,
        repeats=len(outputs),
        output_variance=spread(outputs).mean().square().item(),
        loss_mean=losses.mean().item(),
        loss_variance=spread(losses).mean().square().item(),
    )


def variance_points(
    stage: Stage,
    model: Model,
    task: Probabilistic,
    data: Dataset,
    protocol: Protocol,
    generator: torch.Generator,
    chunk: int | None = None,
) -> tuple[VariancePoint, ...]:
    """Returns one point for each of the protocol's ``variance_samples``, in evaluation mode and double precision.

    Only one output and loss for each example and repeat are kept, so memory does not grow with the number of samples.

    Raises:
        NotFinite: An output or a loss is not finite.
    """
    counts = protocol.variance_samples
    repeats = 1 if model.deterministic else protocol.variance_repeats
    parts = []
    for part in batches(len(data), protocol.batch_size):
        x, targets = data[part]
        found = [
            torch.stack([task.outputs(predictions), task.losses(predictions, targets.double())])
            for predictions in repeated(model, x, counts, repeats, generator, chunk)
        ]
        parts.append(torch.stack(found, 2))
    whole = torch.cat(parts, -1)
    check_finite(whole.movedim(-1, 0), f"outputs or losses of the model as {stage} on the validation set")
    outputs, losses = whole  # [S, R, M] each
    return tuple(variance_point(stage, *point) for point in zip(counts, outputs, losses, strict=True))


@torch.no_grad()
def repeated(
    model: Model, x: Structure, counts: Sequence[int], repeats: int, generator: torch.Generator, chunk: int | None
) -> Iterator[Tensor]:
    """Yields ``repeats`` times the predictions ``[len(counts), B, ...]`` with each number of samples.

    Every repeat draws the largest number of samples, and smaller numbers use the first of these draws, so that the
    repeats are independent for each number. A method with a fixed number of samples has one prediction for all numbers.
    """
    model.eval()
    for _ in range(repeats):
        draws = model.draws(x, max(counts), generator, chunk).double()
        yield torch.stack([draws[:, :count].mean(1) for count in counts])
