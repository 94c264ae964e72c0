"""What targets belong to, and how they are padded and checked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from tasks.errors import DataError, SettingsError
from tasks.pyg.reading import Graphs, stored
from tasks.pyg.scores import Kind
from tasks.pyg.targets import Level, Targets, level_of, targets_of

NODES = (3, 1, 2)
NAN = float("nan")


def found(values: list[Any], level: Level, kind: Kind = "regression") -> Targets:
    """The targets of graphs in space with 3, 1 and 2 nodes."""
    graphs = Graphs.of({"": [Data(pos=torch.ones(nodes, 3)) for nodes in NODES]})
    structures = stored(graphs, frozenset({"points"}), None)
    return targets_of(graphs, structures, [torch.as_tensor(value) for value in values], "y", level, kind)


@given(st.sampled_from(("[]", "[1]", "[C]", "[1, C]")), st.integers(2, 4))
def test_targets_of_graphs_may_have_any_shape(shape: str, width: int) -> None:
    value = torch.arange(float(width)) if "C" in shape else torch.tensor(0.0)
    value = value[None] if shape in ("[1]", "[1, C]") else value
    targets = found([value, value + 1, value + 2], "graph_scalars")
    assert targets.values.shape == (3, width if "C" in shape else 1)
    assert targets.values[:, -1].diff().tolist() == [1, 1]


def test_targets_of_nodes_are_padded_by_what_is_unknown() -> None:
    numbers = found([[1.0, 2.0, 3.0], [4.0], [5.0, NAN]], "node_scalars")
    assert numbers.values[..., 0].nan_to_num(-9).tolist() == [[1, 2, 3], [4, -9, -9], [5, -9, -9]]
    assert numbers.may_be_unknown and numbers.channels == 1
    classes = found([[0, 2, 1], [0], [1, -1]], "node_scalars", "classes")
    assert classes.values[..., 0].tolist() == [[0, 2, 1], [0, -1, -1], [1, -1, -1]]
    assert classes.channels == 3 and not classes.may_be_unknown


def test_vectors_are_predicted_as_the_points_that_they_lead_to() -> None:
    vectors = [torch.full((nodes, 3), 2.0) for nodes in NODES]
    points, moved = (found(vectors, level).values for level in ("node_points", "node_vectors"))
    assert points.shape == moved.shape == (3, 3, 3, 1)
    assert (moved - points).nan_to_num(1.0).eq(1).all()


LEVELS: list[tuple[list[tuple[list[int], int]], int | None, Level]] = [
    ([([], 3)], None, "graph_scalars"),
    ([([1], 3)], None, "graph_scalars"),
    ([([2], 3), ([2], 2)], None, "graph_scalars"),
    ([([1, 4], 3)], 3, "graph_scalars"),
    ([([3], 3), ([2], 2)], None, "node_scalars"),
    ([([1], 1), ([2], 2), ([1], 1)], None, "node_scalars"),
    ([([5, 3], 5)], None, "node_scalars"),
    ([([5, 2], 5)], 3, "node_scalars"),
    ([([5, 3, 2], 5)], 3, "node_points"),
]


@pytest.mark.parametrize(("shapes", "dimension", "level"), LEVELS)
def test_a_level_is_found_from_shapes(shapes: Any, dimension: int | None, level: Level) -> None:
    assert level_of(shapes, dimension) == level


@pytest.mark.parametrize(
    ("shapes", "dimension", "says"),
    [
        ([([3], 3), ([3], 3)], None, "say output='graph_scalars' or output='node_scalars'."),
        ([([5, 3], 5)], 3, "say output='node_scalars' or output='node_points' or output='node_vectors'."),
        ([([4, 2], 3)], None, r"shape \[4, 2\] is neither"),
        ([([3], 3), ([4], 3)], None, r"shape \[4\]"),
    ],
)
def test_what_is_ambiguous_or_fits_nothing_is_told(shapes: Any, dimension: int | None, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        level_of(shapes, dimension)


WRONG: list[tuple[list[Any], Level, Kind, str]] = [
    ([[0.0], [float("inf")], [0.0]], "graph_scalars", "regression", "Graph 1 has y that are not finite"),
    ([[0.0], [0.0, 1.0], [0.0]], "graph_scalars", "regression", "Graph 1 has y of shape [2], where a graph needs 1"),
    ([0.0, 1.0, 0.5], "graph_scalars", "classes", "Graph 2 has y that is no class"),
    ([0, -2, 0], "graph_scalars", "classes", "Graph 1 has y that is no class"),
    ([NAN, 1, 0], "graph_scalars", "classes", "Graph 0 has y that is no class"),
    ([[0, 1]] * 3, "graph_scalars", "classes", "Graph 0 has y of 2 columns: a class needs one."),
    ([[0, 1], [1, 2], [0, 0]], "graph_scalars", "labels", "Graph 1 has y that is neither 0 nor 1 nor NaN"),
    ([[0, 1, 2], [1], [0, 0.5]], "node_scalars", "classes", "Graph 2 has y that is no class"),
    ([[0, 1, 2], [1], [0]], "node_scalars", "regression", "Graph 2 has 2 nodes and y of shape [1], not [2]."),
    ([torch.zeros(n, 2) for n in NODES], "node_points", "regression", "Graph 0 has y in R^2 and pos in R^3"),
]


@pytest.mark.parametrize(("values", "level", "kind", "says"), WRONG)
def test_a_wrong_target_names_the_graph(values: list[Any], level: Level, kind: Kind, says: str) -> None:
    with pytest.raises(DataError) as error:
        found(values, level, kind)
    assert says in str(error.value)
