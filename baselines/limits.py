"""What the parameters of networks and samplers may be (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baselines.samplers.coverage import GEOMETRY
from tasks.cards import TaskCard
from tasks.limits import COUNT, NOT_NEGATIVE, PART, POSITIVE, Each, GroupName, Limits, OneOf, Range

Params = Mapping[str, Any]

SCORER_HEADS = 4
"""Of a transformer as q."""

LEAST_VECTOR_WIDTH = 6
"""A third of the width are vectors, half of which make a frame."""

NETWORK: Limits = {
    "width": COUNT,
    "widths": Each(COUNT),
    "layers": COUNT,
    "heads": COUNT,
    "head": Each(COUNT),
    "depth": COUNT,
    "edge_channels": COUNT,
    "grid": COUNT,
    "walk_steps": COUNT,
    "neighbours": COUNT,
    "radii": Range(least=2, whole=True),
    "degree": COUNT,
    "reach": POSITIVE,
    "patch_dropout": PART,
    "activation": OneOf("relu", "tanh", "silu", "gelu"),
    "reads": Each(OneOf("node_scalars", "geometry", "edges")),
    "padding": OneOf("zeros", "reflect", "circular"),
    "weights": OneOf("auto", "augreg_in21k", "in21k", "random"),
    "node_features": OneOf("diagonal", "sequence"),
}
GROUP: Limits = {"group": Each(GroupName())}
Q: Limits = {
    **GROUP,
    "noise_scale": NOT_NEGATIVE,
    "temperature": POSITIVE,
    "sinkhorn_steps": COUNT,
    "width": COUNT,
    "layers": COUNT,
    "neighbours": COUNT,
    "dropout": PART,
    "dropout_unit": OneOf("vector", "coordinate"),
    "axis_floor": PART,
    "entropy_weight": NOT_NEGATIVE,
}


def heads_divide_width(params: Params, task: TaskCard) -> str | None:
    """What is wrong with a network of attention heads."""
    if params["width"] % params["heads"]:
        return f"width should be a multiple of heads, unlike {params['width']} and {params['heads']}"
    return None


def something_is_read(params: Params, task: TaskCard) -> str | None:
    """What is wrong with a network that reads some fields of a structure."""
    has = {"geometry"} if task.inputs & GEOMETRY else set()
    has |= task.inputs & {"node_scalars", "edges"}
    if params["reads"] is not None and not has & set(params["reads"]):
        return f"reads should name some of {', '.join(sorted(has))}, which {task.name} has"
    return None


def vectors_fill_width(params: Params, task: TaskCard) -> str | None:
    """What is wrong with a network of vector neurons."""
    if params["width"] < LEAST_VECTOR_WIDTH:
        return f"width should be at least {LEAST_VECTOR_WIDTH} for vector neurons, not {params['width']}"
    return None


def width_is_vectors(params: Params, task: TaskCard) -> str | None:
    """What is wrong with a network whose features are vectors of three dimensions."""
    return f"width should be a multiple of 3, unlike {params['width']}" if params["width"] % 3 else None


def q_fits_width(params: Params, task: TaskCard) -> str | None:
    """What is wrong with a network q."""
    if params["q"] == "transformer":
        return heads_divide_width({**params, "heads": SCORER_HEADS}, task)
    return vectors_fill_width(params, task) if params["q"] == "vector_neurons" else None
