"""What a run gives back, and what the loop tells those who watch it (no torch)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Stage = Literal["initialised", "trained"]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Quality with ``samples`` group elements per example at evaluation.

    ``value`` is the task's metric, the mean over independent repeats; ``value_error`` its standard error over them.
    ``variance`` is the unbiased estimate of the variance of the k-sample prediction over group samples (mean over
    examples and output channels); exactly zero where the prediction does not depend on chance. ``equivariance`` is
    |phi_k(g x) - g phi_k(x)| relative to |phi(x)|, root mean square over examples, each with a random g; NaN where it
    was not measured.
    """

    samples: int
    value: float
    value_error: float
    variance: float
    equivariance: float = math.nan


@dataclass(frozen=True, kw_only=True)
class VariancePoint:
    """How far repeated predictions with ``samples`` group elements differ, as published (Kim et al. 2023, appendix).

    ``output_variance`` is the square of the mean over examples of the standard deviation of the output over
    ``repeats`` (not the mean of the variances), ``loss_variance`` the same of the loss of an example, and ``loss_mean``
    the mean loss over examples and repeats. ``stage`` says which weights predict: those that the seed starts from, or
    those of the lowest validation loss.
    """

    stage: Stage
    samples: int
    repeats: int
    output_variance: float
    loss_mean: float
    loss_variance: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a run that ended well.

    ``metrics`` holds the test metrics, among them the task's own; ``cost`` holds ``parameters``, ``train_seconds``,
    ``train_examples_per_second``, ``seconds_per_example`` and ``flops_per_example`` (floating-point operations), both
    of one prediction at ``test_samples``, ``peak_memory_bytes`` (of tensors alive at once in an evaluation batch) and,
    of a run that was trained alone on an accelerator, ``train_peak_memory_bytes`` (the same in training).
    ``notes`` are short texts for the reader.
    """

    metrics: Mapping[str, float]
    curve: tuple[CurvePoint, ...] = ()
    output_variance: tuple[VariancePoint, ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class NotStacked(RuntimeError):
    """Runs that cannot be trained at once, and why: each has to go alone."""


class NotFinite(RuntimeError):
    """A run has left the finite numbers: it has failed, whatever its scores would say."""


class Hooks(Protocol):
    """What the upper floors are told while a run goes on. A hook must return at once and must not raise."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics at a step (an epoch of training, an initialisation of a separation test)."""


class NullHooks:
    """Hooks for a run that nobody watches."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        return None
