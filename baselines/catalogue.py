"""The registered base models, samplers and equivariant networks. Methods are their product, and the latter alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from baselines.cards import BaseCard, MethodCard, SamplerCard
from baselines.limits import (
    FRAMES,
    GROUP,
    NETWORK,
    Q,
    edge_scalars_read,
    frame_is_too_large,
    heads_divide_width,
    own_dropout,
    q_fits_width,
    q_is_too_large,
    something_is_read,
    vectors_fill_width,
    vision_transformer_works,
    what_is_read,
    width_is_vectors,
)
from baselines.samplers.coverage import (
    GEOMETRY,
    uncovered_by_frames,
    uncovered_by_haar,
    uncovered_by_minimal_frames,
)
from tasks.cards import Input, Output, TaskCard

EUCLIDEAN_3D = frozenset({"O(3)", "SO(3)", "E(3)", "SE(3)"})
GRAPH: frozenset[Input] = frozenset({"node_scalars", "edges"})
SCALARS: frozenset[Output] = frozenset({"graph_scalars", "node_scalars", "edge_scalars"})
PAPER = "Kim et al. 2023, arXiv 2306.02866"

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
    params={"widths": [256, 256], "activation": "relu", "final_activation": False, "reads": None},
    limits=NETWORK,
    check=something_is_read,
    meanings={"reads": what_is_read},
)
GIN_ID = BaseCard(
    name="gin_id",
    title="GIN with identifiers",
    needs=GRAPH,
    reads=GRAPH,
    writes=SCALARS,
    respects=frozenset(),
    version="2",
    source=f"{PAPER}, section 4.1; Murphy et al. 2019",
    implementation="baselines.bases.gin_id:GINID",
    params={"width": 64, "layers": 3, "activation": "relu", "final_activation": False, "head": []},
    limits=NETWORK,
)
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
    params={"width": 60, "layers": 4},
    limits=NETWORK,
)
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
    params={"width": 64, "layers": 4, "edge_channels": None},
    limits=NETWORK,
    meanings={"edge_channels": edge_scalars_read},
)
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
    params={"width": 64, "layers": 8, "heads": 4, "equal_layers": False},
    max_tokens=1024,
    limits=NETWORK,
    check=heads_divide_width,
)


def _vit_weights(params: Mapping[str, Any]) -> dict[str, Any]:
    from baselines.bases.vit_weights import resolved

    return resolved(params)


def _vit_label(params: Mapping[str, Any]) -> str | None:
    from baselines.bases.vit_weights import label

    return label(params["weights"])


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
    params={
        "grid": 14,
        "width": 768,
        "layers": 12,
        "heads": 12,
        "weights": "auto",
        "node_features": "diagonal",
        "padding": "zeros",
        "centred": False,
        "patch_dropout": 0.0,
        "patch_dropout_drawn": False,
    },
    resolve=_vit_weights,
    weights=_vit_label,
    limits=NETWORK,
    check=vision_transformer_works,
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
    params={"width": 64, "layers": 4, "heads": 4},
    limits=NETWORK,
    check=heads_divide_width,
)
GIN = BaseCard(
    name="gin",
    title="GIN",
    needs=GRAPH,
    reads=GRAPH,
    writes=SCALARS,
    respects=frozenset({"S_n"}),
    version="2",
    source="Xu et al. 2019",
    implementation="baselines.equivariant.gin:GIN",
    params={"width": 64, "layers": 3, "activation": "relu", "final_activation": False, "head": []},
    limits=NETWORK,
)
GCN = BaseCard(
    name="gcn",
    title="GCN",
    needs=GRAPH,
    reads=GRAPH,
    writes=SCALARS,
    respects=frozenset({"S_n"}),
    version="2",
    source="Kipf and Welling 2017",
    implementation="baselines.equivariant.gcn:GCN",
    params={"width": 64, "layers": 3, "activation": "relu", "final_activation": False, "head": []},
    limits=NETWORK,
)
GAT = BaseCard(
    name="gat",
    title="GAT",
    needs=GRAPH,
    reads=GRAPH,
    writes=SCALARS,
    respects=frozenset({"S_n"}),
    version="2",
    source="Velickovic et al. 2018",
    implementation="baselines.equivariant.gat:GAT",
    params={"width": 128, "layers": 3, "heads": 8, "activation": "relu", "final_activation": False, "head": []},
    limits=NETWORK,
    check=heads_divide_width,
)
PPGN = BaseCard(
    name="ppgn",
    title="PPGN",
    needs=GRAPH,
    reads=GRAPH,
    writes=SCALARS,
    respects=frozenset({"S_n"}),
    version="1",
    source="Maron et al. 2019",
    implementation="baselines.equivariant.ppgn:PPGN",
    params={"width": 32, "layers": 3, "depth": 1, "activation": "relu", "final_activation": False, "head": []},
    limits=NETWORK,
)
GATED_GCN = BaseCard(
    name="gated_gcn",
    title="GatedGCN",
    needs=GRAPH,
    reads=GRAPH,
    writes=SCALARS,
    respects=frozenset({"S_n"}),
    version="2",
    source="Bresson and Laurent 2018; Dwivedi et al. 2023",
    implementation="baselines.equivariant.gated_gcn:GatedGCN",
    params={"width": 70, "layers": 4, "activation": "relu", "final_activation": False, "head": []},
    limits=NETWORK,
)
GPS = BaseCard(
    name="gps",
    title="GPS",
    needs=GRAPH,
    reads=GRAPH,
    writes=SCALARS,
    respects=frozenset({"S_n"}),
    version="1",
    source="Rampasek et al. 2022",
    implementation="baselines.equivariant.gps:GPS",
    params={
        "width": 64,
        "layers": 4,
        "heads": 4,
        "walk_steps": 16,
        "activation": "relu",
        "final_activation": False,
        "head": [],
    },
    limits=NETWORK,
    check=heads_divide_width,
)
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
    params={"width": 64, "layers": 4},
    limits=NETWORK,
)
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
    params={"width": 64, "layers": 4},
    limits=NETWORK,
)
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
    params={"width": 60, "layers": 4},
    check=width_is_vectors,
    limits=NETWORK,
)
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
    params={"width": 64, "layers": 4, "neighbours": 20},
    limits=NETWORK,
    check=vectors_fill_width,
)
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
    params={"width": 32, "layers": 4, "degree": 1, "neighbours": 16, "radii": 16, "reach": 2.0},
    limits=NETWORK,
)
TFN_SE3 = replace(
    TFN,
    name="tfn_se3",
    title="Tensor field network, SE(3)",
    respects=frozenset({"S_n", "SO(3)", "SE(3)"}),
    implementation="baselines.equivariant.tensor_field:ProperTensorField",
)

LEARNED_PARAMS = {
    "q": None,  # what the input calls for: the first of the choices
    "noise": None,  # what is published for the input: the first of the choices
    "noise_scale": 1.0,
    "fixed_noise": False,
    "temperature": 0.1,
    "sinkhorn_steps": 20,
    "width": 64,
    "layers": 3,
    "neighbours": 4,
    "dropout": None,  # what belongs to q: 0.08 in vector neurons, none in networks on graphs
    "dropout_unit": "vector",  # or, as published for vector neurons, "coordinate"
    "input_linear": True,
    "norm_padding": False,  # whether padded rows count in batch normalisation, as published for networks on graphs
    "axis_floor": 0.0,  # the share of an axis' length, off those before it, below which it is drawn
    "entropy_weight": 0.1,
    "group": None,
}


def q_networks(task: TaskCard) -> tuple[str, ...]:
    """The networks that can be q on the inputs of ``task``, the usual one first."""
    return ("vector_neurons",) if task.inputs & GEOMETRY else ("gin", "deepsets", "transformer")


def noise_laws(task: TaskCard) -> tuple[str, ...]:
    """The laws of noise that the symmetry of ``task`` leaves as they are, the published one first."""
    return ("normal",) if task.inputs & GEOMETRY else ("uniform", "normal", "structured")


IDENTITY = SamplerCard(
    name="none",
    title="no symmetrization",
    single=True,
    version="1",
    source="the base model alone",
    implementation="baselines.samplers.identity:IdentitySampler",
    guarantee="none",
    params={"group": None},
    limits=GROUP,
    meanings={"group": lambda params, task: None},
)
HAAR = SamplerCard(
    name="ga",
    title="group averaging",
    version="1",
    source="Yarotsky 2018; Murphy et al. 2019",
    implementation="baselines.samplers.group_averaging:HaarSampler",
    guarantee="in expectation over group elements",
    params={"group": None},
    limits=GROUP,
    uncovered=uncovered_by_haar,
)
FRAME = SamplerCard(
    name="fa",
    title="frame averaging",
    version="2",
    source="Puny et al. 2022, arXiv 2110.03336",
    implementation="baselines.samplers.frame_averaging:FrameSampler",
    guarantee="exact where all of the frame is averaged, else in expectation",
    deviations=(
        "A frame of S_n sorts nodes by their signature in descending order, officially in ascending order",
        "Eigenvalues are compared up to rounding, which makes a frame of S_n equivariant on all graphs; the authors' "
        "code compares them exactly in single precision, and is not equivariant on 67 of 120 graphs of EXP",
    ),
    params={"group": None, "exact": True},
    limits=FRAMES,
    too_large=frame_is_too_large,
    uncovered=uncovered_by_frames,
)
MINIMAL_FRAME = SamplerCard(
    name="mfa",
    title="minimal frame",
    version="2",
    source="Lin et al. 2024",
    implementation="baselines.samplers.minimal_frames:MinimalFrameSampler",
    guarantee="exact where the input leaves one element, else in expectation",
    params={"group": None, "exact": False},
    limits=FRAMES,
    too_large=frame_is_too_large,
    uncovered=uncovered_by_minimal_frames,
)
CANONICAL = SamplerCard(
    name="canonical",
    title="learned canonicalization",
    single=True,
    version="3",
    source="Kaba et al. 2023, arXiv 2211.06489",
    implementation="baselines.samplers.canonicalization:CanonicalSampler",
    guarantee="exact where nothing ties, else in expectation",
    params={name: value for name, value in LEARNED_PARAMS.items() if "noise" not in name},
    limits=Q,
    check=q_fits_width,
    meanings={"dropout": own_dropout},
    too_large=q_is_too_large,
    choices={"q": q_networks},
)
LEARNED = SamplerCard(
    name="ps",
    title="probabilistic symmetrization",
    version="3",
    source=PAPER,
    implementation="baselines.samplers.probabilistic:LearnedSampler",
    guarantee="in expectation over noise",
    params=LEARNED_PARAMS,
    limits=Q,
    check=q_fits_width,
    meanings={"dropout": own_dropout},
    too_large=q_is_too_large,
    choices={"q": q_networks, "noise": noise_laws},
)

SAMPLERS: tuple[SamplerCard, ...] = (IDENTITY, HAAR, FRAME, MINIMAL_FRAME, CANONICAL, LEARNED)
BASES: tuple[BaseCard, ...] = (MLP, GIN_ID, GNN, MPNN, TRANSFORMER, VIT, SET_TRANSFORMER)
EQUIVARIANT: tuple[BaseCard, ...] = (
    GIN,
    GCN,
    GAT,
    PPGN,
    GATED_GCN,
    GPS,
    EGNN,
    RADIAL_FIELD,
    FA_GNN,
    VECTOR_NEURONS,
    TFN,
    TFN_SE3,
)

METHODS: tuple[MethodCard, ...] = (
    *(MethodCard(base=base) for base in EQUIVARIANT),
    *(MethodCard(base=base, sampler=sampler) for base in BASES for sampler in SAMPLERS),
)
