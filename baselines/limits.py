"""What the parameters of networks and samplers may be (no torch)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from baselines.bases.vit_weights import SIZES
from baselines.samplers.coverage import GEOMETRY
from tasks.cards import TaskCard
from tasks.limits import COUNT, FLAG, NOT_NEGATIVE, PART, POSITIVE, Each, Groups, Limits, OneOf, Range, SomeOf
from tasks.symmetry.names import LOG_ORDERS, NODE_GROUPS, family, space_of

Params = Mapping[str, Any]

SCORER_HEADS = 4
"""Of a transformer as q."""

VECTOR_DROPOUT = 0.08
"""Published for vector neurons as q."""

MOST_AXES = 20
"""Of a frame, whose signs one number in single precision draws, each with an even chance."""

MOST_ELEMENTS = 1024
"""Of an exact frame."""

MOST_SOFT_ELEMENTS = 4096
"""Of a finite group of matrices through which q is trained: all of them are in the mean."""

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
    "reads": SomeOf("node_scalars", "geometry", "edges"),
    "padding": OneOf("zeros", "reflect", "circular"),
    "weights": OneOf("auto", "augreg_in21k", "in21k", "random"),
    "node_features": OneOf("diagonal", "sequence"),
    **dict.fromkeys(("final_activation", "equal_layers", "centred", "patch_dropout_drawn"), FLAG),
}
GROUP: Limits = {"group": Groups()}
FRAMES: Limits = {**GROUP, "exact": FLAG}
Q: Limits = {
    **GROUP,
    "q": OneOf("gin", "deepsets", "transformer", "vector_neurons"),
    "noise": OneOf("uniform", "normal", "structured"),
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
    **dict.fromkeys(("fixed_noise", "input_linear", "norm_padding"), FLAG),
}


def heads_divide_width(params: Params, task: TaskCard) -> str | None:
    """What is wrong with a network of attention heads."""
    if params["width"] % params["heads"]:
        return f"width should be a multiple of heads, unlike {params['width']} and {params['heads']}"
    return None


WITH_AXES = ("O(#)", "SO(#)", "E(#)", "SE(#)", "Sim(#)", "SSim(#)", "Aff(#)")


def vision_transformer_works(params: Params, task: TaskCard) -> str | None:
    """What is wrong with a vision transformer."""
    if params["patch_dropout"] and task.output != "graph_scalars":
        return "patch_dropout takes away the patches that node and edge outputs are read off: set it to 0"
    if params["weights"] in ("in21k", "augreg_in21k"):
        wrong = [name for name, size in SIZES.items() if params[name] != size]
        if wrong:
            return f"the ImageNet weights are those of ViT-B/16, so {' and '.join(wrong)} cannot differ"
    return heads_divide_width(params, task)


def _fields(task: TaskCard) -> frozenset[str]:
    """What a network can read of the structures of ``task``."""
    has = {"geometry"} if task.inputs & GEOMETRY else set()
    return frozenset(has | (task.inputs & {"node_scalars", "edges"}))


def what_is_read(params: Params, task: TaskCard) -> list[str]:
    """The fields that ``reads`` names, of those that there are."""
    return sorted(_fields(task) if params["reads"] is None else _fields(task) & set(params["reads"]), reverse=True)


def edge_scalars_read(params: Params, task: TaskCard) -> int | None:
    """How many scalars of an edge are read; ``None``: all, whose number is not known."""
    most, asked = task.edge_scalars, params["edge_channels"]
    return asked if most is None or asked is None else None if asked >= most else asked


def own_dropout(params: Params, task: TaskCard) -> float:
    """The dropout of q; where none is chosen, that of its kind."""
    usual = VECTOR_DROPOUT if params["q"] == "vector_neurons" else 0.0
    return float(usual if params["dropout"] is None else params["dropout"])


def frame_is_too_large(params: Params, group: Sequence[str], nodes: int) -> str | None:
    """Why there is no frame of a group that is covered."""
    wide = [name for name in group if _axes(name) > MOST_AXES]
    if wide:
        return (
            f"a frame chooses signs of at most {MOST_AXES} axes, and {wide[0]} has more: take group averaging, "
            "canonicalization or a learned sampler"
        )
    size = math.exp(sum(_log_choices(name, nodes) for name in group))
    if params["exact"] and any(name != "S_n" for name in group) and size > MOST_ELEMENTS + 0.5:
        return f"an exact frame has at most {MOST_ELEMENTS:,} elements, and that of {' x '.join(group)} has more"
    return None


def q_is_too_large(params: Params, group: Sequence[str], nodes: int) -> str | None:
    """Why q is not trained through the elements of a group."""
    for name in group:
        kind, number = family(name)
        if (
            name not in NODE_GROUPS
            and kind in LOG_ORDERS
            and LOG_ORDERS[kind](number) > math.log(MOST_SOFT_ELEMENTS + 0.5)
        ):
            return (
                f"q is trained through the mean over at most {MOST_SOFT_ELEMENTS:,} elements, and {name} has more: "
                "take group averaging or a smaller group"
            )
    return None


def _axes(name: str) -> int:
    """How many axes a frame of this group has whose signs are open."""
    kind, _ = family(name)
    return space_of(name) if kind in WITH_AXES else 0


def _log_choices(name: str, nodes: int) -> float:
    """The logarithm of the number of elements that an exact frame of this group has."""
    kind, number = family(name)
    if kind in LOG_ORDERS:
        return 0.0 if name == "S_n" else LOG_ORDERS[kind](number or nodes)
    return (_axes(name) - kind.startswith(("SO", "SE", "SS"))) * math.log(2) if _axes(name) else 0.0


def something_is_read(params: Params, task: TaskCard) -> str | None:
    """What is wrong with a network that reads some fields of a structure."""
    if not what_is_read(params, task):
        return f"reads should name some of {', '.join(sorted(_fields(task)))}, which {task.name} has"
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
