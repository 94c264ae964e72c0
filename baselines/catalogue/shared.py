"""What the cards of several networks share: kinds of inputs, settings and their checks (no torch)."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.limits import undivided
from tasks.cards import Input, Output, TaskCard
from tasks.limits import COUNT, FLAG, Each, OneOf
from tasks.settings import setting

EUCLIDEAN_3D = frozenset({"O(3)", "SO(3)", "E(3)", "SE(3)"})
GRAPH: frozenset[Input] = frozenset({"node_scalars", "edges"})
SCALARS: frozenset[Output] = frozenset({"graph_scalars", "node_scalars", "edge_scalars"})
PAPER = "Kim et al. 2023, arXiv 2306.02866"


def width_setting(default: int, source: str = "") -> int:
    """A field for the number of channels."""
    return setting(default, COUNT, "Number of channels of every layer.", source)


def layers_setting(default: int, source: str = "") -> int:
    """A field for the number of layers."""
    return setting(default, COUNT, "Number of layers.", source)


def heads_setting(default: int, source: str = "") -> int:
    """A field for the number of attention heads."""
    return setting(default, COUNT, "Number of attention heads; it divides width.", source)


@dataclass(frozen=True, kw_only=True)
class LayeredSettings:
    """The size of a network of equal layers."""

    width: int = width_setting(64)
    layers: int = layers_setting(4)


@dataclass(frozen=True, kw_only=True)
class AttentionSettings(LayeredSettings):
    """The size of a network with multi-head attention."""

    heads: int = heads_setting(4)


@dataclass(frozen=True, kw_only=True)
class ActivationSettings:
    """The nonlinearity of a network, and where it is applied."""

    activation: str = setting("relu", OneOf("relu", "tanh", "silu", "gelu"), "Nonlinearity between layers.")
    final_activation: bool = setting(False, FLAG, "Whether the nonlinearity is also applied to the output.")


@dataclass(frozen=True, kw_only=True)
class GraphNetworkSettings(ActivationSettings, LayeredSettings):
    """What graph networks share: layers of one width and a perceptron that reads the output off them."""

    layers: int = layers_setting(3)
    head: tuple[int, ...] = setting((), Each(COUNT), "Widths of the hidden layers of the output perceptron.")


def heads_divide_width(settings: AttentionSettings, task: TaskCard) -> str | None:
    """What is wrong with a network of attention heads."""
    return undivided(settings.width, settings.heads)
