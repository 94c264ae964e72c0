"""Samplers of group elements, each with its settings (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from baselines.cards import SamplerCard
from baselines.catalogue.shared import PAPER, LayeredSettings, layers_setting, width_setting
from baselines.limits import (
    SCORER_HEADS,
    VECTOR_DROPOUT,
    frame_is_too_large,
    q_is_too_large,
    too_narrow_for_vectors,
    undivided,
)
from baselines.samplers.coverage import (
    GEOMETRY,
    uncovered_by_frames,
    uncovered_by_haar,
    uncovered_by_minimal_frames,
)
from tasks.cards import TaskCard
from tasks.limits import COUNT, FLAG, NOT_NEGATIVE, PART, POSITIVE, Groups, OneOf
from tasks.settings import setting


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """The settings of all samplers."""

    group: tuple[str, ...] | None = setting(
        None,
        Groups(),
        "Group to symmetrize over; null takes the factors of the task's group that the base model does not respect.",
    )


NO_SYMMETRIZATION = SamplerCard(
    name="none",
    title="no symmetrization",
    single=True,
    version="1",
    source="the base model alone",
    implementation="baselines.samplers.identity:IdentitySampler",
    guarantee="none",
    settings=GroupSettings,
    meanings={"group": lambda settings, task: None},
)
GROUP_AVERAGING = SamplerCard(
    name="ga",
    title="group averaging",
    version="1",
    source="Yarotsky 2018; Murphy et al. 2019",
    implementation="baselines.samplers.group_averaging:GroupAveraging",
    guarantee="in expectation over group elements",
    settings=GroupSettings,
    uncovered=uncovered_by_haar,
)


@dataclass(frozen=True, kw_only=True)
class FrameSettings(GroupSettings):
    """Frame averaging."""

    exact: bool = setting(True, FLAG, "Whether all elements of a frame are averaged, instead of some that are drawn.")


def _frame_is_too_large(settings: FrameSettings, group: Sequence[str], nodes: int) -> str | None:
    return frame_is_too_large(settings.exact, group, nodes)


FRAME_AVERAGING = SamplerCard(
    name="fa",
    title="frame averaging",
    version="2",
    source="Puny et al. 2022, arXiv 2110.03336",
    implementation="baselines.samplers.frame_averaging:FrameAveraging",
    guarantee="exact if the whole frame is averaged, otherwise in expectation",
    deviations=(
        "A frame of S_n sorts nodes by their signature in descending order; the official code in ascending order",
        "Eigenvalues are compared up to rounding, which makes a frame of S_n equivariant on all graphs; the official "
        "code compares them exactly in single precision and is not equivariant on 67 of 120 graphs of EXP",
    ),
    settings=FrameSettings,
    too_large=_frame_is_too_large,
    uncovered=uncovered_by_frames,
)


@dataclass(frozen=True, kw_only=True)
class MinimalFrameSettings(FrameSettings):
    """Minimal frames."""

    exact: bool = setting(
        False, FLAG, "Whether all choices of signs are averaged, instead of drawing those that the input leaves open."
    )


MINIMAL_FRAMES = SamplerCard(
    name="mfa",
    title="minimal frame",
    version="2",
    source="Lin et al. 2024",
    implementation="baselines.samplers.minimal_frames:MinimalFrames",
    guarantee="exact if the input determines one element, otherwise in expectation",
    settings=MinimalFrameSettings,
    too_large=_frame_is_too_large,
    uncovered=uncovered_by_minimal_frames,
)


@dataclass(frozen=True, kw_only=True)
class QSettings(GroupSettings, LayeredSettings):
    """The equivariant network q, and how group elements are computed from its output."""

    q: str | None = setting(
        None,
        OneOf("gin", "deepsets", "transformer", "vector_neurons"),
        "Network q; null takes vector_neurons on points and vectors, gin on graphs.",
        PAPER,
    )
    width: int = width_setting(64, PAPER)
    layers: int = layers_setting(3, PAPER)
    neighbours: int = setting(
        4, COUNT, "Number of nearest points, the point itself included, that vector neurons read.", PAPER
    )
    dropout: float | None = setting(
        None, PART, f"Dropout of q; null takes {VECTOR_DROPOUT} for vector neurons and 0 for other networks.", PAPER
    )
    dropout_unit: str = setting(
        "vector",
        OneOf("vector", "coordinate"),
        "What dropout drops in vector neurons: whole vectors, or single coordinates as published.",
    )
    input_linear: bool = setting(True, FLAG, "Whether gin starts with a linear map of node features to width.")
    norm_padding: bool = setting(
        False, FLAG, "Whether padded rows count in the batch normalisation of gin, as published."
    )
    temperature: float = setting(
        0.1, POSITIVE, "Temperature of relaxed permutations and elements of finite groups.", f"{PAPER}, n-body"
    )
    sinkhorn_steps: int = setting(20, COUNT, "Number of Sinkhorn normalisations.", PAPER)
    entropy_weight: float = setting(0.1, NOT_NEGATIVE, "Weight of the entropy of relaxed elements in the loss.", PAPER)
    axis_floor: float = setting(
        0.0, PART, "An axis is drawn if the share of its length orthogonal to the axes before it is below this."
    )


def _own_dropout(settings: QSettings, task: TaskCard) -> float:
    """The dropout of q, which depends on the kind of network if it is not set."""
    usual = VECTOR_DROPOUT if settings.q == "vector_neurons" else 0.0
    return float(usual if settings.dropout is None else settings.dropout)


def _q_fits_width(settings: QSettings, task: TaskCard) -> str | None:
    """Why a network q cannot have this width; None if it can."""
    if settings.q == "transformer":
        return undivided(settings.width, SCORER_HEADS)
    return too_narrow_for_vectors(settings.width) if settings.q == "vector_neurons" else None


def _q_is_too_large(settings: QSettings, group: Sequence[str], nodes: int) -> str | None:
    return q_is_too_large(group)


def q_networks(task: TaskCard) -> tuple[str, ...]:
    """The networks that can be q on the inputs of ``task``, the default first."""
    return ("vector_neurons",) if task.inputs & GEOMETRY else ("gin", "deepsets", "transformer")


CANONICALIZATION = SamplerCard(
    name="canonical",
    title="learned canonicalization",
    single=True,
    version="3",
    source="Kaba et al. 2023, arXiv 2211.06489",
    implementation="baselines.samplers.canonicalization:Canonicalization",
    guarantee="exact if there are no ties, otherwise in expectation",
    settings=QSettings,
    check=_q_fits_width,
    meanings={"dropout": _own_dropout},
    too_large=_q_is_too_large,
    choices={"q": q_networks},
)


@dataclass(frozen=True, kw_only=True)
class ProbabilisticSettings(QSettings):
    """A network q with noise as input."""

    noise: str | None = setting(
        None,
        OneOf("uniform", "normal", "structured"),
        "Distribution of the noise; null takes normal on points and vectors, uniform on graphs.",
        PAPER,
    )
    noise_scale: float = setting(1.0, NOT_NEGATIVE, "Factor of the noise (eta in the paper).", PAPER)
    fixed_noise: bool = setting(
        False, FLAG, "Whether the noise of an example is the same at every epoch and in evaluation."
    )


def noise_laws(task: TaskCard) -> tuple[str, ...]:
    """The noise distributions that are invariant under the symmetry of ``task``, the published one first."""
    return ("normal",) if task.inputs & GEOMETRY else ("uniform", "normal", "structured")


PROBABILISTIC = SamplerCard(
    name="ps",
    title="probabilistic symmetrization",
    version="3",
    source=PAPER,
    implementation="baselines.samplers.probabilistic:ProbabilisticSymmetrization",
    guarantee="in expectation over noise",
    settings=ProbabilisticSettings,
    check=_q_fits_width,
    meanings={"dropout": _own_dropout},
    too_large=_q_is_too_large,
    choices={"q": q_networks, "noise": noise_laws},
)
