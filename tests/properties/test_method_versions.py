"""What a version of a network or of a sampler stands for: values, penalties and gradients, by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.build import build_network
from baselines.cards import BaseCard
from baselines.catalogue import BASES, EQUIVARIANT, SAMPLERS
from baselines.samplers.coverage import uncovered, uncovered_by_frames, uncovered_by_haar, uncovered_by_minimal_frames
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.pins import Made, assert_pinned
from tests.properties.test_samplers_on_groups import structures_for, symmetrized
from tests.structures import random_graphs, random_particles, with_several

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"widths": [16, 8]},
    "transformer": {"layers": 2, "width": 16},
    "vit": {"grid": 3, "width": 16, "layers": 2, "heads": 2, "weights": "random"},
    "set_transformer": {"layers": 2, "width": 16},
    "gat": {"width": 16},
    "tensor_field": {"width": 8, "layers": 2},
}
SYMMETRIES = [
    ("S_n",),
    ("C_n",),
    ("D_n",),
    ("SO(3)",),
    ("SE(2)",),
    ("U(2)",),
    ("SU(2)",),
    ("C_5",),
    ("D_4",),
    ("B_3",),
    ("SO+(1,3)",),
    ("S_n", "E(3)"),
    ("C_n", "Sim(3)"),
    ("D_n", "Aff(2)"),
]
UNCOVERED = {"ga": uncovered_by_haar, "fa": uncovered_by_frames, "mfa": uncovered_by_minimal_frames}
OF_Q: dict[str, dict[str, Any]] = {
    "deepsets": {"q": "deepsets"},
    "transformer": {"q": "transformer", "width": 24},
    "as published": {"input_linear": False, "norm_padding": True, "dropout": 0.1},
    "normal noise": {"noise": "normal", "noise_scale": 0.3},
    "structured noise": {"noise": "structured"},
    "fixed noise": {"fixed_noise": True},
}
IN_SPACE: dict[str, dict[str, Any]] = {
    "dropped coordinates": {"dropout_unit": "coordinate", "dropout": 0.2},
    "open axes": {"axis_floor": 0.5},
    "fixed noise": {"fixed_noise": True, "noise_scale": 0.3},
}


def reached(module: nn.Module, values: Tensor, penalty: Tensor | None = None) -> Iterator[Tensor]:
    """Values of training, and the gradient of every parameter."""
    wave = torch.arange(1, values.numel() + 1, dtype=values.dtype).cos().view_as(values)
    module.zero_grad()
    ((wave * values).sum() + (0.0 if penalty is None else penalty)).backward()
    yield values
    yield from () if penalty is None else (penalty,)
    yield from (parameter.grad for parameter in module.parameters() if parameter.grad is not None)


def of_network(card: BaseCard, output: str) -> Iterator[Tensor]:
    geometric = bool(card.needs & {"points", "vectors"}) or output == "node_points"
    x = with_several(random_particles(3, 5), 6) if geometric else random_graphs(3, 6)
    x = x if geometric or "edges" in card.reads else Structure.build(x.mask, node_scalars=x.node_scalars)
    torch.manual_seed(0)
    signature = Signature.of(x, Representation(output), 1 if output == "node_points" else 2)
    network = build_network(card, signature, SMALL.get(card.name, {})).double()
    element = group(("S_n",)).random(x, 2, torch.Generator().manual_seed(1))

    def values() -> Tensor:
        torch.manual_seed(2)
        if not isinstance(network, BaseModel):
            found: Tensor = network(x)
            return found
        y = network(network.pullback(x, element)).unflatten(0, (len(x), 2))
        return network.pushforward(y, element, signature.output)

    yield network.eval()(x) if not isinstance(network, BaseModel) else values()
    yield from reached(network.train(), values())


def of_sampler(kind: str, names: tuple[str, ...], params: dict[str, Any]) -> Iterator[Tensor]:
    symmetry = group(names)
    x = structures_for(symmetry)
    x = with_several(x, 7) if x.points.shape[-1] else x
    model = symmetrized(kind, symmetry, x, **params)
    yield model(x, 3, torch.Generator().manual_seed(1)).value
    torch.manual_seed(2)
    prediction = model.train()(x, 3, torch.Generator().manual_seed(1))
    yield from reached(model, prediction.value, prediction.penalty)
    yield from prediction.statistics.values()


def made() -> Iterator[tuple[str, Any]]:
    for card in (*BASES, *EQUIVARIANT):
        for output in sorted(card.writes):
            yield f"{card.name} {card.version}, {output}", partial(of_network, card, output)
    for sampler in SAMPLERS:
        for names in SYMMETRIES:
            inputs = frozenset(
                {"edges"} if names[0] in ("S_n", "C_n", "D_n") and len(names) == 1 else {"edges", "points", "vectors"}
            )
            if uncovered(names, inputs) or UNCOVERED.get(sampler.name, uncovered)(names, inputs):  # type: ignore[arg-type]
                continue
            exact = {"exact": True} if "exact" in sampler.params else {}
            yield (
                f"{sampler.name} {sampler.version}, {' x '.join(names)}",
                partial(of_sampler, sampler.name, names, exact),
            )
    learned = next(card for card in SAMPLERS if card.name == "ps")
    for names, settings in ((("S_n",), OF_Q), (("S_n", "SO(3)"), IN_SPACE)):
        for name, params in settings.items():
            title = f"ps {learned.version}, {' x '.join(names)}, {name}"
            yield title, partial(of_sampler, "ps", names, params)


MADE: Made = dict(made())


@pytest.mark.parametrize("name", MADE)
def test_a_version_always_computes_the_same(name: str) -> None:
    assert_pinned(MADE, name)
