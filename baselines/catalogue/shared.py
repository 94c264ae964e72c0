"""Inputs, settings and checks that the cards of several networks share (no torch)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from baselines.cards import BaseCard
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
    """The size of a network whose layers have the same width."""

    width: int = width_setting(64)
    layers: int = layers_setting(4)


@dataclass(frozen=True, kw_only=True)
class ParticleSettings(LayeredSettings):
    """The size of a network in the n-body experiment of Satorras et al. 2021."""

    width: int = width_setting(64, "Satorras et al. 2021, n-body")
    layers: int = layers_setting(4, "Satorras et al. 2021, n-body")


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
    """A graph network: layers of one width and a perceptron for the output."""

    layers: int = layers_setting(3)
    head: tuple[int, ...] = setting((), Each(COUNT), "Widths of the hidden layers of the output perceptron.")


def heads_divide_width(settings: AttentionSettings, task: TaskCard) -> str | None:
    """Why a network cannot have these attention heads; None if it can."""
    return undivided(settings.width, settings.heads)


def graph_network(
    name: str,
    title: str,
    source: str,
    implementation: str,
    *,
    version: str,
    settings: type[GraphNetworkSettings] = GraphNetworkSettings,
    respects: frozenset[str] = frozenset({"S_n"}),
    check: Callable[[Any, TaskCard], str | None] = lambda settings, task: None,
) -> BaseCard:
    """The card of a network that maps graphs to scalars of graphs, nodes or edges."""
    return BaseCard(
        name=name,
        title=title,
        needs=GRAPH,
        reads=GRAPH,
        writes=SCALARS,
        respects=respects,
        version=version,
        source=source,
        implementation=implementation,
        settings=settings,
        check=check,
    )
