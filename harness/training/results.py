"""The outcome of a run, its errors and its hooks (no torch)."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Stage = Literal["initialised", "trained"]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The scores of predictions with k group samples for each example.

    Attributes:
        samples: The number k.
        value: The task's metric, the mean over independent repeats.
        value_error: Its standard error over the repeats.
        variance: The unbiased estimate of the variance of the prediction over group samples, the mean over examples and
            output channels; exactly zero if the prediction is deterministic.
        equivariance: |phi_k(g x) - g phi_k(x)| relative to |phi(x)|, root mean square over examples, each with a random
            g; NaN if it was not measured.
    """

    samples: int
    value: float
    value_error: float
    variance: float
    equivariance: float = math.nan


@dataclass(frozen=True, kw_only=True)
class VariancePoint:
    """The variance of repeated predictions with some group samples, as published (Kim et al. 2023, appendix).

    Attributes:
        stage: The weights: the initial ones of the seed, or the selected ones after training.
        samples: The number of group samples.
        repeats: The number of predictions for each example.
        output_variance: The square of the mean over examples of the standard deviation of the output over the repeats
            (not the mean of the variances).
        loss_mean: The mean loss over examples and repeats.
        loss_variance: As ``output_variance``, of the loss of an example.
    """

    stage: Stage
    samples: int
    repeats: int
    output_variance: float
    loss_mean: float
    loss_variance: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a run that succeeded.

    Attributes:
        metrics: The test metrics, among them that of the task's card.
        curve: Scores for several numbers of group samples.
        output_variance: Variances for several numbers of group samples.
        cost: ``parameters``, ``train_seconds``, ``train_examples_per_second``; ``seconds_per_example`` and
            ``flops_per_example`` (floating-point operations) of one prediction with ``test_samples``;
            ``peak_memory_bytes`` of the tensors alive at once in an evaluation batch, and ``train_peak_memory_bytes``
            of those in training on an accelerator, if the run was not in a stack.
        notes: Short texts for the reader.
        weights: The scored weights on the CPU by name, if the context asks for them and the run has one model.
    """

    metrics: Mapping[str, float]
    curve: tuple[CurvePoint, ...] = ()
    output_variance: tuple[VariancePoint, ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    weights: Mapping[str, Tensor] | None = field(default=None, compare=False, repr=False)


class NotStacked(RuntimeError):
    """Runs that cannot be trained in one stack, and the reason: they have to run one by one."""


class NotFinite(RuntimeError):
    """Losses or predictions of a run are not finite: the run has failed."""


class Hooks(typing.Protocol):
    """Receives the metrics of a run while it is computed. A hook must return quickly and must not raise."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Receives the metrics of a step (an epoch of training, an initialisation of a separation test)."""


class NullHooks(Hooks):
    """Hooks that ignore everything."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        return None
