"""What a run puts out is finite, or the run has failed: comparisons with not-a-number would pass for scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from harness.training.results import NotFinite

REMEDY = "try a lower lr, a clip_norm or precision float64"


def finite(values: Tensor, what: str, remedy: str = REMEDY) -> Tensor:
    """``values`` ``[M, ...]`` as they are; ``what`` says what they are.

    Raises :class:`NotFinite` that names the first of the M examples whose values are not all finite.
    """
    fine = values.isfinite().reshape(len(values), -1).all(1)
    if not fine.all():
        count, first = int((~fine).sum()), int(fine.int().argmin())
        raise NotFinite(
            f"{what[:1].upper()}{what[1:]} are not finite for {count} of {len(values)} examples, the first of them "
            f"example {first}: {remedy}."
        )
    return values


def training_fault(loss: float, epoch: int) -> NotFinite | None:
    """What is wrong with a mean training ``loss`` of an epoch that is not finite."""
    return None if math.isfinite(loss) else NotFinite(f"The training loss is {loss} in epoch {epoch}: {REMEDY}.")


def validation_fault(history: Sequence[tuple[int, Mapping[str, float]]], monitored: str) -> NotFinite | None:
    """What is wrong where the validation loss, or what is ``monitored``, was looked at and never finite."""
    for name in ("loss", monitored):
        seen = [(epoch, values[key]) for epoch, values in history if (key := f"validation/{name}") in values]
        if seen and not any(math.isfinite(value) for _, value in seen):
            return NotFinite(f"No validation {name} is finite, from epoch {seen[0][0]} to {seen[-1][0]}: {REMEDY}.")
    return None
