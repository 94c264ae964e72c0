"""The registered base models, samplers and equivariant networks. Methods are their product, and the latter alone."""

from __future__ import annotations

from baselines.cards import BaseCard, MethodCard, SamplerCard
from baselines.catalogue.base_models import GIN_ID, GNN, MLP, MPNN, SET_TRANSFORMER, TRANSFORMER, VIT
from baselines.catalogue.equivariant import (
    EGNN,
    FA_GNN,
    GAT,
    GATED_GCN,
    GCN,
    GIN,
    GPS,
    PPGN,
    RADIAL_FIELD,
    TFN,
    TFN_SE3,
    VECTOR_NEURONS,
)
from baselines.catalogue.samplers import (
    CANONICALIZATION,
    FRAME_AVERAGING,
    GROUP_AVERAGING,
    MINIMAL_FRAMES,
    NO_SYMMETRIZATION,
    PROBABILISTIC,
    noise_laws,
    q_networks,
)

SAMPLERS: tuple[SamplerCard, ...] = (
    NO_SYMMETRIZATION,
    GROUP_AVERAGING,
    FRAME_AVERAGING,
    MINIMAL_FRAMES,
    CANONICALIZATION,
    PROBABILISTIC,
)
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

__all__ = [
    "BASES",
    "CANONICALIZATION",
    "EGNN",
    "EQUIVARIANT",
    "FA_GNN",
    "FRAME_AVERAGING",
    "GAT",
    "GATED_GCN",
    "GCN",
    "GIN",
    "GIN_ID",
    "GNN",
    "GPS",
    "GROUP_AVERAGING",
    "METHODS",
    "MINIMAL_FRAMES",
    "MLP",
    "MPNN",
    "NO_SYMMETRIZATION",
    "PPGN",
    "PROBABILISTIC",
    "RADIAL_FIELD",
    "SAMPLERS",
    "SET_TRANSFORMER",
    "TFN",
    "TFN_SE3",
    "TRANSFORMER",
    "VECTOR_NEURONS",
    "VIT",
    "noise_laws",
    "q_networks",
]
