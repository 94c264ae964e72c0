"""Batches of PyG become structures and are found again, whatever their graphs have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Batch, Data

from tasks.errors import SettingsError, SymbenchError
from tasks.graph_batches import GraphBatches
from tasks.symmetry.groups import group
from tasks.symmetry.structure import Structure

SIZES = (3, 1, 4)


def graph(nodes: int, noise: torch.Generator, names: set[str]) -> Data:
    """A directed graph with these attributes."""
    index = (torch.rand(nodes, nodes, generator=noise) < 0.5).nonzero().T
    values: dict[str, Tensor] = {
        "x": torch.randn(nodes, 2, generator=noise),
        "z": torch.randint(0, 90, (nodes,), generator=noise),
        "pos": torch.randn(nodes, 3, generator=noise),
        "vel": torch.randn(nodes, 3, 2, generator=noise),
        "edge_index": index,
        "edge_attr": torch.randint(0, 5, (index.shape[1], 2), generator=noise),
        "edge_weight": torch.rand(index.shape[1], generator=noise),
    }
    return Data(**{name: values[name] for name in values if name in names}, num_nodes=nodes)


def batch_with(names: set[str], seed: int = 0) -> Any:
    noise = torch.Generator().manual_seed(seed)
    return Batch.from_data_list([graph(nodes, noise, names) for nodes in SIZES])


ALL = {"x", "z", "pos", "vel", "edge_index", "edge_attr", "edge_weight"}


def edges_of(batch: Any) -> dict[tuple[int, int], list[float]]:
    """What each edge has, by its source and target."""
    own = [batch[name].double().reshape(batch.num_edges, -1) for name in ("edge_attr", "edge_weight") if name in batch]
    values = torch.cat([torch.ones(batch.num_edges, 1).double(), *own], -1)
    return {
        (int(source), int(target)): row.tolist()
        for (source, target), row in zip(batch.edge_index.T, values, strict=True)
    }


@given(
    st.sets(st.sampled_from(sorted(ALL)), min_size=1).filter(
        lambda names: "edge_index" in names or not names & {"edge_attr", "edge_weight"}
    ),
    st.integers(0, 100),
)
def test_a_batch_is_found_again(names: set[str], seed: int) -> None:
    batch = batch_with(names, seed)
    batches = GraphBatches.of(batch)
    found = batches.batch(batches.structure(batch))
    for name in names - {"edge_index", "edge_attr", "edge_weight"}:
        assert found[name].dtype == batch[name].dtype
        assert torch.equal(found[name], batch[name])
    if "edge_index" in names:
        assert edges_of(found) == edges_of(batch)
    assert torch.equal(found.batch, batch.batch) and torch.equal(found.ptr, batch.ptr) and found.num_graphs == 3


def test_a_single_graph_is_a_batch_of_one() -> None:
    data = graph(4, torch.Generator().manual_seed(0), ALL)
    batches = GraphBatches.of(data)
    x = batches.structure(data)
    assert len(x) == 1 and bool(x.mask.all())
    assert torch.equal(batches.batch(x).x, data.x) and batches.batch(x).batch.tolist() == [0] * 4


def test_graphs_without_edges_have_none() -> None:
    nodes = [Data(x=torch.rand(n, 1), edge_index=torch.empty(2, 0, dtype=torch.long)) for n in (1, 2)]
    batch = Batch.from_data_list(nodes)
    batches = GraphBatches.of(batch)
    found = batches.batch(batches.structure(batch))
    assert found.edge_index.shape == (2, 0) and found.edge_index.dtype == torch.long


def test_a_moved_structure_is_the_batch_of_moved_graphs() -> None:
    """Nodes have other numbers, and space is turned; by loops over the graphs and their edges."""
    batch = batch_with(ALL)
    batches = GraphBatches.of(batch)
    x = batches.structure(batch)
    g = group(("S_n", "E(3)")).random(x, 1, torch.Generator().manual_seed(1))
    moved = batches.batch(x.acted(g))
    images, rigid = g.factors[0].images[:, 0], g.factors[1]  # type: ignore[attr-defined]
    place = torch.cat([batch.ptr[b] + images[b, : SIZES[b]] for b in range(3)])
    graph_of = batch.batch
    turned = (rigid.matrix[graph_of, 0] @ batch.pos[..., None])[..., 0] + rigid.translation[graph_of, 0]
    torch.testing.assert_close(moved.pos[place], turned)
    torch.testing.assert_close(moved.vel[place], rigid.matrix[graph_of, 0] @ batch.vel)
    assert torch.equal(moved.z[place], batch.z) and torch.equal(moved.x[place], batch.x)
    renamed = {(int(place[s]), int(place[t])): row for (s, t), row in edges_of(batch).items()}
    assert edges_of(moved) == renamed


def test_outputs_are_padded_and_cut_alike() -> None:
    batch = batch_with(ALL)
    batches = GraphBatches.of(batch)
    x = batches.structure(batch)
    nodes = torch.randn(batch.num_nodes, 3)
    assert torch.equal(batches.rows(batches.padded(nodes, "positions", x), "positions", batch, x), nodes)
    ends = batches.batch(x).edge_index.T.double()
    found = batches.rows(batches.padded(ends, "edge_features", x), "edge_features", batch, x)
    assert torch.equal(found, batch.edge_index.T.double())  # in the order of the given batch
    with pytest.raises(SettingsError, match="'node_features' has 7 rows, and the batch has 8 nodes"):
        batches.padded(nodes[:7], "node_features", x)


def test_gradients_reach_every_attribute() -> None:
    batch = batch_with(ALL - {"edge_attr", "z"})
    leaves = {name: batch[name].requires_grad_() for name in ("x", "pos", "vel", "edge_weight")}
    batches = GraphBatches.of(batch)
    found = batches.batch(batches.structure(batch))
    sum(found[name].square().sum() for name in leaves).backward()
    for values in leaves.values():
        torch.testing.assert_close(values.grad, 2 * values.detach())


def changed(**values: Any) -> Any:
    batch = batch_with(ALL)
    for name, value in values.items():
        batch[name] = value
    return batch


INDEX = batch_with(ALL).edge_index
WRONG: list[tuple[Any, str]] = [
    ("graph", "A Batch or Data of torch_geometric is expected, not str"),
    (Data(y=torch.ones(1)), "The graphs have none of x, z, pos"),
    (changed(x=[1.0]), "'x' should be a tensor, not list"),
    (changed(x=None), "should have x, z, pos, vel, edge_attr, edge_weight, edge_index, not z,"),
    (changed(x=torch.ones(8, 3)), r"'x' should have rows of shape \[2\] and dtype torch.float32, not \[3\]"),
    (changed(z=torch.ones(8)), "dtype torch.int64, not .* torch.float32"),
    (changed(z=torch.ones(7).long()), "'z' has 7 rows instead of 8"),
    (changed(edge_index=torch.cat([INDEX, INDEX], 1)), "'edge_attr' has .* rows instead of"),
    (changed(edge_index=INDEX.int()), r"'edge_index' should be an int64 tensor of shape \[2, E\]"),
    (changed(edge_index=None), "have 'edge_attr' without edge_index"),
    (changed(pos=torch.ones(8)), r"'pos' should have the shape \[R, D\] or \[R, D, C\], not \[8\]"),
    (changed(pos=torch.ones(8, 3).double()), "'pos' is torch.float64 and 'x' torch.float32: convert one"),
    (Data(edge_index=torch.zeros(2, 1).long()), "set num_nodes"),
    (Data(x=torch.ones(0, 2)), "The batch has no nodes"),
    (changed(edge_index=torch.where(INDEX == 7, 8, INDEX)), "a node that is not one of the 8 of the batch"),
    (changed(edge_index=torch.zeros_like(INDEX)), "has an edge twice: coalesce"),
    (changed(edge_index=torch.where(INDEX == 0, 4, INDEX)), "has an edge between two graphs"),
    (changed(batch=torch.tensor([0, 1, 0, 1, 2, 2, 2, 2])), "in the order of their graphs"),
]


@pytest.mark.parametrize(("batch", "message"), WRONG)
def test_other_batches_are_one_sentence(batch: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        GraphBatches.of(batch)
        GraphBatches.of(batch_with(ALL)).structure(batch)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@given(
    st.dictionaries(st.sampled_from(sorted(ALL)), st.lists(st.integers(0, 3), min_size=1, max_size=4), max_size=4),
    st.booleans(),
)
def test_any_attributes_make_structures_or_one_sentence(shapes: dict[str, list[int]], whole: bool) -> None:
    values = {
        name: torch.zeros(shape, dtype=torch.long if whole or name == "edge_index" else None)
        for name, shape in shapes.items()
    }
    data = Data(**values)
    try:
        x = GraphBatches.of(data).structure(data)
    except SymbenchError as error:
        assert str(error).endswith(".")
    else:
        assert isinstance(x, Structure) and {len(data[name]) for name in {*shapes} & {"x", "z", "pos", "vel"}} <= {
            x.nodes
        }
