"""GIN that also reads each node's place in the input: not invariant, and more expressive for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from baselines.equivariant.gin import GIN
from tasks.symmetry.structure import Signature, Structure


class GINID(nn.Module):
    """GIN on node scalars beside a one-hot of the node's place (Murphy et al. 2019; Kim et al. 2023)."""

    def __init__(self, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.gin = GIN(replace(signature, node_scalars=signature.node_scalars + signature.nodes), params)

    def forward(self, x: Structure) -> Tensor:
        places = torch.eye(x.nodes, dtype=x.node_scalars.dtype, device=x.node_scalars.device) * x.mask[..., None]
        return self.gin(replace(x, node_scalars=torch.cat([x.node_scalars, places], -1)))
