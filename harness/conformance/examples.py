"""Small random examples of any kind, on which a card is checked if no task is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from tasks.cards import Input, Output, TaskCard
from tasks.limits import Groups, OneOf, SomeOf
from tasks.protocol import Protocol
from tasks.settings import setting
from tasks.symmetry.names import space_of
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, Split, SupervisedTask

NODES = 5
EXAMPLES = 8
"""The number of examples of each split."""

FAR = 2.0
"""The mean of all coordinates: points are not centred."""


@dataclass(frozen=True, kw_only=True)
class ExampleSettings:
    """The kind of the examples."""

    inputs: tuple[str, ...] = setting(("node_scalars", "edges"), SomeOf(*get_args(Input)), "Inputs.")
    output: str = setting("graph_scalars", OneOf(*get_args(Output)), "Output.")
    group: tuple[str, ...] = setting(("S_n",), Groups(), "Factors of the symmetry group.")

    @property
    def dimension(self) -> int:
        """The dimension of space."""
        return max(map(space_of, self.group)) or 3

    @property
    def padded(self) -> bool:
        """Whether there are structures with absent nodes. Predicted points have no value that absent nodes keep."""
        return self.output != "node_points"


class Examples(SupervisedTask):
    """Random structures of three to five nodes.

    Targets are 1, or the centroid if the output is points; those of absent nodes and pairs are unknown.
    """

    targets_may_be_unknown = True

    def __init__(self, settings: ExampleSettings) -> None:
        self._settings = settings
        self.signature = Signature.of(self.data("train").inputs[:], Representation(settings.output), 1)

    def data(self, split: Split) -> Dataset:
        x = random_structures(self._settings, seed=get_args(Split).index(split))
        return Dataset(x, targets_of(x, Representation(self._settings.output)))

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return _errors(predictions, targets).square().sum() / targets.isfinite().sum()

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {"mse": self.loss(predictions.double(), targets.double()).item()}


def _errors(predictions: Tensor, targets: Tensor) -> Tensor:
    return torch.where(targets.isfinite(), predictions - targets.nan_to_num(), 0.0)


def random_structures(settings: ExampleSettings, seed: int) -> Structure:
    """Random structures in single precision, of which the first has all nodes."""
    noise = torch.Generator().manual_seed(seed)
    least = NODES - 2 if settings.padded else NODES
    counts = torch.randint(least, NODES + 1, (EXAMPLES,), generator=noise).index_fill(0, torch.zeros(1).long(), NODES)
    mask = torch.arange(NODES) < counts[:, None]
    pairs = mask[:, :, None] & mask[:, None]
    types = torch.nn.functional.one_hot(torch.randint(2, mask.shape, generator=noise), 2).float()
    edges = (torch.rand(EXAMPLES, NODES, NODES, generator=noise) < 0.5).float().triu(1)
    shape = (*mask.shape, settings.dimension, 1)
    points, vectors = (torch.randn(shape, generator=noise) for _ in range(2))
    if any(name.startswith("SO+") for name in settings.group):  # momenta of particles of mass 1
        vectors[:, :, :1] = (1 + vectors[:, :, 1:].square().sum(2, keepdim=True)).sqrt()
    fields = {
        "node_scalars": types * mask[..., None],
        "edge_scalars": ((edges + edges.mT) * pairs)[..., None],
        "points": (points + FAR) * mask[..., None, None],
        "vectors": vectors * mask[..., None, None],
    }
    wanted = {"edge_scalars" if name == "edges" else name for name in settings.inputs}
    return Structure.build(mask, **{name: value for name, value in fields.items() if name in wanted})


def targets_of(x: Structure, output: Representation) -> Tensor:
    """The targets of structures ``[B, ...]``, which are NaN for absent nodes and pairs."""
    match output:
        case Representation.NODE_POINTS:
            return x.centroid[:, None, :, None].expand(-1, x.nodes, -1, -1).clone()
        case Representation.NODE_SCALARS:
            exists = x.mask[..., None]
        case Representation.EDGE_SCALARS:
            exists = x.pair_mask[..., None]
        case _:
            exists = x.mask.any(1)[:, None]
    return torch.where(exists, 1.0, torch.nan)


CARD = TaskCard(
    name="conformance_examples",
    title="Random examples of the conformance suite",
    group=lambda settings: settings.group,
    inputs=frozenset({"node_scalars", "edges"}),
    output="graph_scalars",
    metric="mse",
    direction="min",
    version="1",
    source="this project",
    implementation="harness.conformance.examples:Examples",
    settings=ExampleSettings,
    max_nodes=lambda settings: NODES,
    examples=lambda settings: dict.fromkeys(get_args(Split), EXAMPLES),
    form="supervised",
    protocols={"quick": Protocol(epochs=1)},
)
"""The card of the examples; each problem replaces its inputs and its output."""
