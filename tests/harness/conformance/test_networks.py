"""The conformance suite passes built-in networks and finds what is wrong with broken ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.cards import BaseCard
from baselines.catalogue import EGNN, GIN, GIN_ID, MLP
from harness.conformance.suite import check_base, check_equivariant, checks_of
from harness.errors import ConformanceError
from tasks.settings import NoSettings
from tasks.symmetry.structure import Signature, Structure

SMALL: Mapping[str, Any] = {"width": 8, "layers": 1}
BUILT_IN = [check for card in (GIN, EGNN, GIN_ID) for check in checks_of(card, settings=SMALL)]


@pytest.mark.parametrize("check", BUILT_IN, ids=str)
def test_built_in_networks_conform(check: Callable[[], None]) -> None:
    check()


def test_on_a_given_task() -> None:
    check_base(MLP, task="shapes_o3", task_params={"points": 6}, settings={"widths": [8]})
    check_equivariant(EGNN, task="nbody", settings=SMALL)


class Sound(nn.Module):
    """A network that conforms: messages and a sum over existing nodes."""

    def __init__(self, signature: Signature, settings: NoSettings) -> None:
        super().__init__()
        self.embed = nn.Linear(signature.node_scalars, 4)
        self.head = nn.Linear(4, signature.output_channels)

    def features(self, x: Structure) -> Tensor:
        h = self.embed(x.node_scalars).relu()
        return (h + x.adjacency @ h) * x.mask[..., None]

    def forward(self, x: Structure) -> Tensor:
        return self.head(self.features(x).sum(1))


class ReadsPadding(Sound):
    def forward(self, x: Structure) -> Tensor:
        return self.head(self.features(x).mean(1))


class ReadsOrder(Sound):
    def forward(self, x: Structure) -> Tensor:
        return self.head(self.features(x)[:, 0])


class ReadsTheBatch(Sound):
    def forward(self, x: Structure) -> Tensor:
        h = self.features(x).sum(1)
        return self.head(h - h.mean(0))


class OnlySingle(Sound):
    def forward(self, x: Structure) -> Tensor:
        return self.head((self.features(x).mT @ torch.ones(x.nodes, 1))[..., 0])


class Rounds(Sound):
    def forward(self, x: Structure) -> Tensor:
        return super().forward(x).float()


class WrongShape(Sound):
    def forward(self, x: Structure) -> Tensor:
        return self.head(self.features(x))


class Detached(Sound):
    def forward(self, x: Structure) -> Tensor:
        return super().forward(x).detach()


class ChangesItsInput(Sound):
    def forward(self, x: Structure) -> Tensor:
        y = super().forward(x)
        x.node_scalars.mul_(2)
        return y


class Unsaved(Sound):
    def __init__(self, signature: Signature, settings: NoSettings) -> None:
        super().__init__(signature, settings)
        self.scale = torch.rand(()).item()

    def forward(self, x: Structure) -> Tensor:
        return self.scale * super().forward(x)


class Unused(Sound):
    def __init__(self, signature: Signature, settings: NoSettings) -> None:
        super().__init__(signature, settings)
        self.spare = nn.Linear(4, 4)


class Sized(Sound):
    def __init__(self, signature: Signature, settings: NoSettings) -> None:
        super().__init__(signature, settings)
        self.place = nn.Parameter(torch.zeros(signature.nodes))


class Raises(Sound):
    def forward(self, x: Structure) -> Tensor:
        raise IndexError("no such node")


SOUND = BaseCard(
    name="mine",
    title="Mine",
    needs=frozenset({"node_scalars", "edges"}),
    reads=frozenset({"node_scalars", "edges"}),
    writes=frozenset({"graph_scalars"}),
    respects=frozenset({"S_n"}),
    version="1",
    source="",
    implementation=Sound,
)
BROKEN: list[tuple[type[nn.Module], str, str]] = [
    (ReadsPadding, "padding", "absent nodes change the output"),
    (ReadsOrder, "equivariance", "does not respect S_n, which its card names"),
    (ReadsTheBatch, "batch", "depends on the other structures of its batch"),
    (OnlySingle, "float64", "raises RuntimeError"),
    (Rounds, "float64", "should have that dtype, not torch.float32"),
    (WrongShape, "shapes", r"should have the shape \[8, 1\] \(\[B, C\]\), not \[8, 5, 1\]"),
    (Detached, "training step", "no gradient reaches any weight"),
    (ChangesItsInput, "determinism", "changes its input"),
    (Unsaved, "saved weights", "a model with loaded weights predicts something else"),
    (Unused, "weights are used", "of the weights, among them network.spare.weight"),
    (Sized, "padding", "the size of network.place depends on the number of nodes"),
    (Raises, "tiny run", "raises IndexError: no such node"),
]


def failing(card: BaseCard, name: str) -> str:
    """The sentence of the one check of this name."""
    check = next(check for check in checks_of(card) if check.name.startswith(name))
    with pytest.raises(ConformanceError) as found:
        check()
    return str(found.value)


@pytest.mark.parametrize("check", checks_of(SOUND), ids=str)
def test_a_sound_network_of_a_plug_in_conforms(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(("kind", "name", "sentence"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_network_is_found_out(kind: type[nn.Module], name: str, sentence: str) -> None:
    with pytest.raises(ConformanceError, match=sentence):
        raise ConformanceError(failing(replace(SOUND, implementation=kind), name))


class Base(BaseModel):
    """A base model that conforms."""

    def __init__(self, signature: Signature, settings: NoSettings) -> None:
        super().__init__()
        channels = signature.nodes * (signature.node_scalars + signature.nodes)
        self.layers = nn.Sequential(nn.Linear(channels, 4), nn.ReLU(), nn.Linear(4, signature.output_channels))

    def forward(self, x: Structure) -> Tensor:
        return self.layers(torch.cat([x.node_scalars.flatten(1), x.adjacency.flatten(1)], 1))


class HiddenChance(Base):
    def forward(self, x: Structure) -> Tensor:
        return super().forward(x) + 0.1 * torch.rand(())


class MixesUpElements(Base):
    def pullback(self, x: Structure, element: Any) -> Structure:
        return super().pullback(x, element.part(0, 1)).repeated(element.samples)


BASE = replace(SOUND, respects=frozenset(), implementation=Base)


def test_a_sound_base_model_of_a_plug_in_conforms() -> None:
    check_base(BASE)


def test_a_base_model_with_hidden_chance_is_found_out() -> None:
    assert "it draws random numbers" in failing(replace(BASE, implementation=HiddenChance), "determinism")


def test_a_base_model_that_ignores_elements_is_found_out() -> None:
    sentence = failing(replace(BASE, implementation=MixesUpElements), "symmetrization")
    assert "mine-ga is not equivariant under S_n" in sentence


def test_what_is_wrong_with_a_card_is_said() -> None:
    assert "the 'version' of its base model card should be a text" in failing(replace(SOUND, version=""), "card")
    assert "register it as a base model" in failing(replace(SOUND, respects=frozenset()), "card")
    everything = replace(BASE, respects=frozenset({"S_n"}))
    assert "register it under the entry point group symbench.equivariant" in failing(everything, "card")


def test_only_cards_can_be_checked() -> None:
    with pytest.raises(ConformanceError, match="not a type"):
        checks_of(Sound)  # type: ignore[arg-type]
