"""GIN with identifiers shares features and edges among samples: the same as GIN on every copy with one-hot rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from baselines.bases.gin_id import GINID
from baselines.catalogue.shared import GraphNetworkSettings
from tasks.symmetry.element import Permutation
from tasks.symmetry.groups import SymmetricGroup
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs

SAMPLES = 3
OUTPUTS = [Representation.GRAPH_SCALARS, Representation.NODE_SCALARS, Representation.EDGE_SCALARS]


def plainly(base: GINID, x: Structure, element: Permutation) -> Tensor:
    """GIN on B * K structures, each with its identifiers as one-hot rows."""
    places = torch.eye(x.nodes, dtype=x.node_scalars.dtype) * x.mask[..., None]
    identifiers = element.act(places[:, None], Representation.NODE_SCALARS).flatten(0, 1)
    copies = x.repeated(element.samples)
    return base.gin(replace(copies, node_scalars=torch.cat([copies.node_scalars, identifiers], -1)))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("follows", [True, False])
def test_values_and_gradients_are_those_of_gin_on_every_copy(
    output: Representation, directed: bool, follows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baselines.bases.gin_id.may_follow_data", lambda _: follows)
    x = random_graphs(4, 6)
    if directed:
        x = replace(x, edge_scalars=x.edge_scalars * torch.rand(6, 6, 1, dtype=torch.float64))
    base = GINID(
        Signature.of(x, output, 2),
        GraphNetworkSettings(width=7, layers=3, head=(5,)),
    ).double()
    scores = torch.randn(4, SAMPLES, 6, dtype=torch.float64, requires_grad=True)
    found: list[list[Tensor]] = []
    for way in (lambda g: base(base.pullback(x, g)), lambda g: plainly(base, x, g)):
        out = way(SymmetricGroup().relaxed_head(x, scores, 0.3, 20))
        weights = torch.randn(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        found.append([out, *torch.autograd.grad((out * weights).sum(), [scores, *base.parameters()])])
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=1e-10)
