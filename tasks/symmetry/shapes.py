"""Whether a shape may depend on what is in a tensor."""

from __future__ import annotations

import torch
from torch import Tensor


def may_follow_data(values: Tensor) -> bool:
    """Whether code may look at ``values`` to leave out what does not exist: in eager mode on the CPU.

    An accelerator would have to be waited for, and neither ``torch.compile`` nor ``torch.func.vmap`` allows it: there
    the same numbers are computed in shapes that are known beforehand.
    """
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(values)
