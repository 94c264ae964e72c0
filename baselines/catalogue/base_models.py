"""Base models for symmetrization, each with its settings (no torch)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from baselines.bases.vit_weights import CHECKPOINTS, SIZES, first_available, label
from baselines.cards import BaseCard
from baselines.catalogue.shared import (
    GRAPH,
    PAPER,
    SCALARS,
    ActivationSettings,
    AttentionSettings,
    LayeredSettings,
    ParticleSettings,
    graph_network,
    heads_divide_width,
    heads_setting,
    layers_setting,
    width_setting,
)
from baselines.samplers.coverage import GEOMETRY
from tasks.cards import TaskCard
from tasks.limits import COUNT, FLAG, PART, Each, OneOf, SomeOf
from tasks.settings import setting


@dataclass(frozen=True, kw_only=True)
class MLPSettings(ActivationSettings):
    """A multilayer perceptron on flattened structures."""

    widths: tuple[int, ...] = setting((256, 256), Each(COUNT), "Widths of the hidden layers.")
    reads: tuple[str, ...] | None = setting(
        None,
        SomeOf("node_scalars", "geometry", "edges"),
        "Fields of a structure that are read; null reads every field that the task has.",
    )


def _fields(task: TaskCard) -> frozenset[str]:
    """The fields of structures of ``task`` that an MLP can read."""
    has = {"geometry"} if task.inputs & GEOMETRY else set()
    return frozenset(has | (task.inputs & {"node_scalars", "edges"}))


def _what_is_read(settings: MLPSettings, task: TaskCard) -> tuple[str, ...]:
    """The fields that ``reads`` names and the task has."""
    named = _fields(task) if settings.reads is None else _fields(task) & set(settings.reads)
    return tuple(sorted(named, reverse=True))


def _something_is_read(settings: MLPSettings, task: TaskCard) -> str | None:
    """Why ``reads`` is wrong on this task; None if it is right."""
    if not _what_is_read(settings, task):
        return f"reads should name some of {', '.join(sorted(_fields(task)))}, which {task.name} has"
    return None


MLP = BaseCard(
    name="mlp",
    title="MLP",
    needs=frozenset(),
    reads=GRAPH | GEOMETRY,
    writes=SCALARS | {"node_points"},
    respects=frozenset(),
    version="2",
    source=f"{PAPER}, section 4.1",
    implementation="baselines.bases.mlp:MLP",
    settings=MLPSettings,
    check=_something_is_read,
    meanings={"reads": _what_is_read},
)
GIN_ID = graph_network(
    "gin_id",
    "GIN with identifiers",
    f"{PAPER}, section 4.1; Murphy et al. 2019",
    "baselines.bases.gin_id:GINID",
    version="2",
    respects=frozenset(),
)


@dataclass(frozen=True, kw_only=True)
class GNNSettings(LayeredSettings):
    """A message-passing network."""

    width: int = width_setting(60, f"{PAPER}, n-body")
    layers: int = layers_setting(4, f"{PAPER}, n-body")


GNN = BaseCard(
    name="gnn",
    title="Message-passing GNN",
    needs=frozenset({"points", "vectors", "edges"}),
    reads=GRAPH | GEOMETRY,
    writes=frozenset({"node_points"}),
    respects=frozenset({"S_n"}),
    version="2",
    source=f"Gilmer et al. 2017; {PAPER}, section 4.2",
    implementation="baselines.bases.gnn:GNN",
    settings=GNNSettings,
)


@dataclass(frozen=True, kw_only=True)
class MPNNSettings(ParticleSettings):
    """A message-passing network on raw positions."""

    edge_channels: int | None = setting(
        None, COUNT, "Number of scalars of an edge that are read, the first ones; null reads all of them."
    )


def _edge_scalars_read(settings: MPNNSettings, task: TaskCard) -> int | None:
    """The number of edge scalars that are read; None for all if their number is not known."""
    most, asked = task.edge_scalars, settings.edge_channels
    return asked if most is None or asked is None else None if asked >= most else asked


MPNN = BaseCard(
    name="mpnn",
    title="Message-passing network on raw positions",
    needs=frozenset({"points", "vectors", "edges"}),
    reads=GRAPH | GEOMETRY,
    writes=frozenset({"node_points"}),
    respects=frozenset({"S_n"}),
    version="1",
    source="Gilmer et al. 2017; as in the n-body table of Satorras et al. 2021, arXiv 2102.09844",
    implementation="baselines.bases.mpnn:MPNN",
    settings=MPNNSettings,
    meanings={"edge_channels": _edge_scalars_read},
)


@dataclass(frozen=True, kw_only=True)
class TransformerSettings(AttentionSettings):
    """A transformer on pairs of nodes."""

    width: int = width_setting(64, f"{PAPER}, n-body")
    layers: int = layers_setting(8, f"{PAPER}, n-body")
    heads: int = heads_setting(4, f"{PAPER}, n-body")
    equal_layers: bool = setting(False, FLAG, "Whether all layers start from the same weights.")


TRANSFORMER = BaseCard(
    name="transformer",
    title="Transformer",
    needs=frozenset({"edges"}),
    reads=GRAPH | GEOMETRY,
    writes=SCALARS | {"node_points"},
    respects=frozenset(),
    version="2",
    source=f"Vaswani et al. 2017; {PAPER}, section 4.2",
    implementation="baselines.bases.transformer:PairTransformer",
    settings=TransformerSettings,
    max_tokens=1024,
    check=heads_divide_width,
)


VIT_B = "Dosovitskiy et al. 2021, ViT-B/16"


@dataclass(frozen=True, kw_only=True)
class ViTSettings(AttentionSettings):
    """A vision transformer on the image of a graph."""

    grid: int = setting(SIZES["grid"], COUNT, "Number of patches along each side of the image.", VIT_B)
    width: int = width_setting(SIZES["width"], VIT_B)
    layers: int = layers_setting(SIZES["layers"], VIT_B)
    heads: int = heads_setting(SIZES["heads"], VIT_B)
    weights: str = setting(
        "auto",
        OneOf("auto", *CHECKPOINTS, "random"),
        "Initial weights: a pretrained checkpoint or random; auto takes the first checkpoint that is available.",
        "Steiner et al. 2022 (augreg_in21k); Dosovitskiy et al. 2021 (in21k)",
    )
    node_features: str = setting(
        "diagonal",
        OneOf("diagonal", "sequence"),
        "Where node scalars enter: on the diagonal of the image, or as a separate sequence.",
        PAPER,
    )
    padding: str = setting(
        "zeros", OneOf("zeros", "reflect", "circular"), "How the image and the sequence are padded to whole patches."
    )
    centred: bool = setting(False, FLAG, "Whether padding is added on both sides instead of at the end.")
    patch_dropout: float = setting(0.0, PART, "Share of the patches that are dropped in training.")
    patch_dropout_drawn: bool = setting(
        False, FLAG, "Whether the share is drawn for every batch, with patch_dropout as its largest value."
    )


def _unlike_vit_b(settings: ViTSettings) -> list[str]:
    """The sizes that differ from those of ViT-B/16."""
    return [name for name, size in SIZES.items() if getattr(settings, name) != size]


def _with_weights(settings: ViTSettings) -> ViTSettings:
    """The settings with ``weights: auto`` replaced by the first checkpoint available, or by random weights.

    All checkpoints have the sizes of ViT-B/16.
    """
    if settings.weights != "auto":
        return settings
    return replace(settings, weights="random" if _unlike_vit_b(settings) else first_available() or "random")


def _vision_transformer_works(settings: ViTSettings, task: TaskCard) -> str | None:
    """Why a vision transformer cannot have these settings; None if it can."""
    if settings.patch_dropout and task.output != "graph_scalars":
        return "patch_dropout drops patches that node and edge outputs are computed from: set it to 0"
    if settings.weights in CHECKPOINTS and (wrong := _unlike_vit_b(settings)):
        return f"the ImageNet weights are those of ViT-B/16, so {' and '.join(wrong)} cannot differ"
    return heads_divide_width(settings, task)


VIT = BaseCard(
    name="vit",
    title="Vision transformer",
    needs=frozenset({"edges"}),
    reads=GRAPH,
    writes=SCALARS,
    respects=frozenset(),
    version="2",
    source=f"Dosovitskiy et al. 2021; {PAPER}, sections 4.3 and 4.4",
    implementation="baselines.bases.vit:VisionTransformer",
    extra="vision",
    settings=ViTSettings,
    resolve=_with_weights,
    weights=lambda settings: label(settings.weights),
    check=_vision_transformer_works,
)
SET_TRANSFORMER = BaseCard(
    name="set_transformer",
    title="Set transformer",
    needs=frozenset(),
    reads=GEOMETRY | {"node_scalars"},
    writes=frozenset({"graph_scalars", "node_scalars", "node_points"}),
    respects=frozenset({"S_n"}),
    version="2",
    source="Vaswani et al. 2017; Lee et al. 2019, arXiv 1810.00825",
    implementation="baselines.bases.set_transformer:SetTransformer",
    settings=AttentionSettings,
    check=heads_divide_width,
)
