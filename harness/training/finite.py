"""Checks that the numbers of a run are finite: comparisons with not-a-number would otherwise pass for scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from harness.training.results import NotFinite

REMEDY = "try a lower lr, a clip_norm or precision float64"


def check_finite(values: Tensor, what: str, remedy: str = REMEDY) -> Tensor:
    """Returns ``values`` unchanged.

    Args:
        values: ``[M, ...]``, of M examples.
        what: The name of the values in the message.
        remedy: The advice in the message.

    Raises:
        NotFinite: Some are not finite; the message names the first such example.
    """
    is_finite = values.isfinite().reshape(len(values), -1).all(1)
    if not is_finite.all():
        count, first = int((~is_finite).sum()), int(is_finite.int().argmin())
        raise NotFinite(
            f"{what[:1].upper()}{what[1:]} are not finite for {count} of {len(values)} examples, the first of them "
            f"example {first}: {remedy}."
        )
    return values


def training_error(loss: float, epoch: int) -> NotFinite | None:
    """Returns an error if the mean training ``loss`` of an epoch is not finite, else None."""
    return None if math.isfinite(loss) else NotFinite(f"The training loss is {loss} in epoch {epoch}: {REMEDY}.")


def validation_error(history: Sequence[tuple[int, Mapping[str, float]]], monitored: str) -> NotFinite | None:
    """Returns an error if the validation loss, or the metric ``monitored``, was measured and never finite, else None.

    Args:
        history: Each epoch with its values by name.
        monitored: The name of the monitored metric, without ``validation/``.
    """
    for name in ("loss", monitored):
        seen = [(epoch, values[key]) for epoch, values in history if (key := f"validation/{name}") in values]
        if seen and not any(math.isfinite(value) for _, value in seen):
            return NotFinite(f"No validation {name} is finite, from epoch {seen[0][0]} to {seen[-1][0]}: {REMEDY}.")
    return None
