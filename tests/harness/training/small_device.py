"""A device that is out of memory above some group samples at a time in evaluation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.symmetrized import Symmetrized
from tasks.symmetry.element import Element
from tasks.symmetry.structure import Structure


def with_room_for(most: int, patch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of samples that are tried at a time from now on."""
    tried: list[int] = []
    values = Symmetrized._values

    def fills(model: Symmetrized, x: Structure, element: Element) -> Tensor:
        if not model.training:
            tried.append(element.samples)
            if element.samples > most:
                raise torch.OutOfMemoryError("out of memory")
        return values(model, x, element)

    patch.setattr(Symmetrized, "_values", fills)
    return tried
