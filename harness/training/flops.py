"""Counts the floating-point operations of a computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from harness.training.attention import without_fast_attention

Shape = torch.Size


def flops(action: Callable[[], object]) -> int:
    """Returns the operations of the matrix products, convolutions and attention of ``action``.

    A multiplication and an addition are two operations. As usual, element-wise operations, gathers, scatters, sorts and
    decompositions are not counted (:class:`torch.utils.flop_counter.FlopCounterMode`).
    """
    with without_fast_attention(), FlopCounterMode(display=False, custom_mapping=_ON_CPU) as counter:
        action()
    return int(counter.get_total_flops())


def _attention_on_cpu(query: Shape, key: Shape, value: Shape, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


_ON_CPU = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_on_cpu}
"""The one fused attention that torch's counter does not know."""
