"""The targets of graphs in the form of PyG: what they belong to, checked and padded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from tasks.errors import DataError, SettingsError
from tasks.pyg.reading import REPAIR, Graphs
from tasks.pyg.scores import UNKNOWN, Kind
from tasks.ragged import RaggedStructures

Level = Literal["graph_scalars", "node_scalars", "node_points", "node_vectors"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Targets:
    """The targets of all graphs.

    Attributes:
        values: ``[M, C]``, ``[M, N, C]`` or ``[M, N, D, P]``, single precision. Classes have one channel. Absent nodes
            are NaN, or have the class -1.
        channels: Channels of the outputs of models.
        may_be_unknown: True if a target is NaN.
    """

    values: Tensor
    channels: int
    may_be_unknown: bool


def level_of(shapes: Iterable[tuple[Sequence[int], int]], dimension: int | None) -> Level:
    """Finds what targets belong to.

    Args:
        shapes: The shape of the target and the number of nodes of some graphs.
        dimension: D if the targets may be points in the space that a group acts on; None if not.

    Raises:
        SettingsError: Several levels are possible, or none is.
    """
    possible: set[Level] = set(LEVELS[:3] if dimension else LEVELS[:2])
    width, last = None, list[int]()
    for shape, nodes in shapes:
        last = list(shape)
        possible &= _levels(last, nodes, dimension)
        width = width or math.prod(last)
        if math.prod(last) != width:  # all graphs have targets of one width
            possible.discard("graph_scalars")
        if len(possible) < 2:
            break
    if len(possible) == 1:
        return possible.pop()
    if possible:
        choices = " or ".join(f"output='{level}'" for level in LEVELS if level in possible)
        also = " or output='node_vectors'" if "node_points" in possible else ""
        raise SettingsError(f"The targets may belong to several things: say {choices}{also}.")
    raise SettingsError(f"A target of shape {last} is neither [C] for a graph nor [nodes] or [nodes, C] for nodes.")


def _levels(shape: Sequence[int], nodes: int, dimension: int | None) -> set[Level]:
    found: set[Level] = set()
    if len(shape) < 2 or (len(shape) == 2 and shape[0] == 1):
        found.add("graph_scalars")
    if shape and shape[0] == nodes and len(shape) < 3:
        found.add("node_scalars")
    if len(shape) in (2, 3) and shape[0] == nodes and shape[1] == dimension:
        found.add("node_points")
    return found


def targets_of(
    graphs: Graphs, structures: RaggedStructures, values: Sequence[Tensor], name: str, level: Level, kind: Kind
) -> Targets:
    """Checks targets and pads them.

    Args:
        graphs: The graphs.
        structures: The same graphs, as they are stored.
        values: The target of each graph.
        name: What they are called in messages.
        level: What they belong to.
        kind: What they are.

    Raises:
        DataError: A target has a wrong shape or value.
    """
    if level == "graph_scalars":
        counts, flat = torch.ones(len(values), dtype=torch.long), _of_graphs(graphs, name, values)
    else:
        counts, flat = graphs.counts, _of_nodes(graphs, structures, name, values, level)
    if kind == "classes":
        if flat.shape[1:] != (1,):
            raise DataError(f"{graphs.called(0)} has {name} of {flat[0].numel()} columns: a class needs one.")
        graphs.check_rows((flat == flat.round())[:, 0] & (flat >= UNKNOWN)[:, 0], counts, name, "that is no class")
    elif kind == "labels":
        right = ((flat == 0) | (flat == 1) | flat.isnan()).all(1)
        graphs.check_rows(right, counts, name, "that is neither 0 nor 1 nor NaN")
    else:
        graphs.check_rows(~flat.isinf().flatten(1).any(1), counts, name)
    channels = 1 + int(flat.max().clamp_min(0)) if kind == "classes" else flat.shape[-1]
    padded = flat
    if level != "graph_scalars":
        mask = structures.outline.mask
        padded = torch.full((*mask.shape, *flat.shape[1:]), float(UNKNOWN) if kind == "classes" else torch.nan)
        padded[mask] = flat
    return Targets(padded, channels, bool(padded.isnan().any()))


def _of_graphs(graphs: Graphs, name: str, values: Sequence[Tensor]) -> Tensor:
    """``[M, C]`` from ``[]``, ``[C]`` or ``[1, C]`` of each graph."""
    width = values[0].numel()
    for index, value in enumerate(values):
        if value.dim() > 2 or (value.dim() == 2 and len(value) != 1) or value.numel() != width or not width:
            what = f"{graphs.called(index)} has {name} of shape {list(value.shape)}"
            raise DataError(f"{what}, where a graph needs {width or 'some'} numbers: {REPAIR}.")
    return torch.stack([value.flatten() for value in values]).float()


def _of_nodes(
    graphs: Graphs, structures: RaggedStructures, name: str, values: Sequence[Tensor], level: Level
) -> Tensor:
    """``[sum of nodes, C]``, or ``[sum of nodes, D, P]`` for points; vectors become the points that they lead to."""
    points = level != "node_scalars"
    axes = (2, 3) if points else (1, 2)
    flat = graphs.joined(name, values, graphs.counts, "nodes", axes, finite=False)
    if not points:
        return flat[:, None] if flat.dim() == 1 else flat
    flat = flat[..., None] if flat.dim() == 2 else flat
    dimension = structures.points.shape[1]
    if flat.shape[1] != dimension:
        raise DataError(f"{graphs.called(0)} has {name} in R^{flat.shape[1]} and pos in R^{dimension}: use one space.")
    return flat + structures.points if level == "node_vectors" else flat
