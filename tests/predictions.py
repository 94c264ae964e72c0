"""What a network predicts by itself, whether it is symmetric by construction or a base model without symmetrization."""

from __future__ import annotations

from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.catalogue.samplers import GroupSettings
from baselines.model import Equivariant
from baselines.samplers.identity import IdentitySampler
from baselines.symmetrized import Symmetrized
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


def prediction(network: nn.Module, x: Structure, output: Representation) -> Tensor:
    if not isinstance(network, BaseModel):
        return Equivariant(network).eval()(x, 1).value
    sampler = IdentitySampler(group(("S_n",)), Signature.of(x, output, 1), GroupSettings())
    return Symmetrized(network, sampler, output).eval()(x, 1).value
