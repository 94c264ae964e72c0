"""Networks that are equivariant by construction, each with its settings (no torch)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from baselines.cards import BaseCard
from baselines.catalogue.shared import (
    EUCLIDEAN_3D,
    GRAPH,
    AttentionSettings,
    GraphNetworkSettings,
    LayeredSettings,
    ParticleSettings,
    graph_network,
    heads_divide_width,
    heads_setting,
    layers_setting,
    width_setting,
)
from baselines.limits import too_narrow_for_vectors
from baselines.samplers.coverage import GEOMETRY
from tasks.cards import TaskCard
from tasks.limits import COUNT, POSITIVE, Range
from tasks.settings import setting

GIN = graph_network(
    "gin",
    "GIN",
    "Xu et al. 2019",
    "baselines.equivariant.gin:GIN",
    version="2",
)
GCN = graph_network(
    "gcn",
    "GCN",
    "Kipf and Welling 2017",
    "baselines.equivariant.gcn:GCN",
    version="2",
)


@dataclass(frozen=True, kw_only=True)
class GATSettings(GraphNetworkSettings, AttentionSettings):
    """Graph attention."""

    width: int = width_setting(128)
    heads: int = heads_setting(8)


GAT = graph_network(
    "gat",
    "GAT",
    "Velickovic et al. 2018",
    "baselines.equivariant.gat:GAT",
    version="2",
    settings=GATSettings,
    check=heads_divide_width,
)


@dataclass(frozen=True, kw_only=True)
class PPGNSettings(GraphNetworkSettings):
    """A provably powerful graph network."""

    width: int = width_setting(32)
    depth: int = setting(1, COUNT, "Number of layers of the perceptrons in every block.")


PPGN = graph_network(
    "ppgn",
    "PPGN",
    "Maron et al. 2019",
    "baselines.equivariant.ppgn:PPGN",
    version="1",
    settings=PPGNSettings,
)


@dataclass(frozen=True, kw_only=True)
class GatedGCNSettings(GraphNetworkSettings):
    """A gated graph convolutional network."""

    width: int = width_setting(70, "Dwivedi et al. 2023")
    layers: int = layers_setting(4, "Dwivedi et al. 2023")


GATED_GCN = graph_network(
    "gated_gcn",
    "GatedGCN",
    "Bresson and Laurent 2018; Dwivedi et al. 2023",
    "baselines.equivariant.gated_gcn:GatedGCN",
    version="2",
    settings=GatedGCNSettings,
)


@dataclass(frozen=True, kw_only=True)
class GPSSettings(GraphNetworkSettings, AttentionSettings):
    """A graph transformer with a gated convolution in every layer."""

    layers: int = layers_setting(4)
    walk_steps: int = setting(16, COUNT, "Number of return probabilities of random walks among the node features.")


GPS = graph_network(
    "gps",
    "GPS",
    "Rampasek et al. 2022",
    "baselines.equivariant.gps:GPS",
    version="1",
    settings=GPSSettings,
    check=heads_divide_width,
)


@dataclass(frozen=True, kw_only=True)
class EGNNSettings(ParticleSettings):
    """An E(n)-equivariant graph network."""


EGNN = BaseCard(
    name="egnn",
    title="EGNN",
    needs=frozenset({"points"}),
    reads=GRAPH | GEOMETRY,
    writes=frozenset({"graph_scalars", "node_points"}),
    respects=frozenset({"S_n"}) | EUCLIDEAN_3D,
    version="1",
    source="Satorras et al. 2021, arXiv 2102.09844",
    implementation="baselines.equivariant.egnn:EGNN",
    settings=EGNNSettings,
)


@dataclass(frozen=True, kw_only=True)
class RadialFieldSettings(ParticleSettings):
    """An equivariant flow of points."""


RADIAL_FIELD = BaseCard(
    name="radial_field",
    title="Radial field",
    needs=frozenset({"points"}),
    reads=GEOMETRY | {"edges"},
    writes=frozenset({"graph_scalars", "node_points"}),
    respects=frozenset({"S_n"}) | EUCLIDEAN_3D,
    version="2",
    source="Köhler et al. 2019, arXiv 1910.00753; with velocities as in Satorras et al. 2021",
    implementation="baselines.equivariant.radial_field:RadialField",
    settings=RadialFieldSettings,
)


@dataclass(frozen=True, kw_only=True)
class FAGNNSettings(LayeredSettings):
    """A message-passing network with a frame in every layer."""

    width: int = width_setting(60, "Puny et al. 2022, n-body")
    layers: int = layers_setting(4, "Puny et al. 2022, n-body")


def _width_is_vectors(settings: FAGNNSettings, task: TaskCard) -> str | None:
    """Why features of this width are not vectors of three dimensions; None if they are."""
    return f"width should be a multiple of 3, unlike {settings.width}" if settings.width % 3 else None


FA_GNN = BaseCard(
    name="fa_gnn",
    title="GNN with a frame in every layer",
    needs=frozenset({"points"}),
    reads=GRAPH | GEOMETRY,
    writes=frozenset({"node_points"}),
    respects=frozenset({"S_n"}) | EUCLIDEAN_3D,
    version="1",
    source="Puny et al. 2022, arXiv 2110.03336",
    implementation="baselines.equivariant.fa_gnn:FAGNN",
    settings=FAGNNSettings,
    check=_width_is_vectors,
)


@dataclass(frozen=True, kw_only=True)
class VectorNeuronsSettings(LayeredSettings):
    """Vector neurons with messages between near points."""

    neighbours: int = setting(
        20, COUNT, "Number of nearest points, the point itself included, that send messages.", "Deng et al. 2021"
    )


def _vectors_fill_width(settings: VectorNeuronsSettings, task: TaskCard) -> str | None:
    """Why vector neurons cannot have this width; None if they can."""
    return too_narrow_for_vectors(settings.width)


VECTOR_NEURONS = BaseCard(
    name="vector_neurons",
    title="Vector neurons",
    needs=frozenset({"points"}),
    reads=GEOMETRY | {"edges"},
    writes=frozenset({"graph_scalars", "node_points"}),
    respects=frozenset({"S_n"}) | EUCLIDEAN_3D,
    version="2",
    source="Deng et al. 2021, arXiv 2104.12229",
    implementation="baselines.equivariant.vector_neurons:VectorNeurons",
    settings=VectorNeuronsSettings,
    check=_vectors_fill_width,
)


@dataclass(frozen=True, kw_only=True)
class TensorFieldSettings(LayeredSettings):
    """A tensor field network."""

    width: int = width_setting(32)
    degree: int = setting(1, COUNT, "Highest degree of the spherical harmonics.")
    neighbours: int = setting(16, COUNT, "Number of nearest other points that send messages.")
    radii: int = setting(16, Range(least=2, whole=True), "Number of radial basis functions.")
    reach: float = setting(2.0, POSITIVE, "Distance that the radial basis functions cover.")


TFN = BaseCard(
    name="tfn",
    title="Tensor field network, E(3)",
    needs=frozenset({"points"}),
    reads=GRAPH | GEOMETRY,
    writes=frozenset({"graph_scalars", "node_points"}),
    respects=frozenset({"S_n"}) | EUCLIDEAN_3D,
    version="2",
    source="Thomas et al. 2018, arXiv 1802.08219; Geiger and Smidt 2022 (e3nn)",
    implementation="baselines.equivariant.tensor_field:TensorField",
    settings=TensorFieldSettings,
)
TFN_SE3 = replace(
    TFN,
    name="tfn_se3",
    title="Tensor field network, SE(3)",
    respects=frozenset({"S_n", "SO(3)", "SE(3)"}),
    implementation="baselines.equivariant.tensor_field:ProperTensorField",
)
