"""EXP: what makes a pair a pair holds for the published set and for generated ones."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from tasks.errors import DataError
from tasks.sources import cache, exp, exp_generator
from tasks.sources.graph_checks import TypedGraph, certificate

SMALL = 18


def as_networkx(graph: TypedGraph) -> nx.Graph:
    result = nx.empty_graph(graph.node_type.size)
    result.add_edges_from(graph.edge_index.T.tolist())
    return result


def components(graph: TypedGraph) -> dict[object, nx.Graph]:
    """The connected components by their isomorphism class with node types."""
    whole, found = as_networkx(graph), {}
    for nodes in nx.connected_components(whole):
        kept = np.isin(np.arange(graph.node_type.size), list(nodes))
        place = np.cumsum(kept) - 1
        edges = graph.edge_index[:, kept[graph.edge_index[0]]]
        found[certificate(TypedGraph(graph.node_type[kept], place[edges]))] = whole.subgraph(nodes)
    return found


def core(size: int, satisfied: bool) -> object:
    """The isomorphism class of a core: what is left of its graph beside a known formula."""
    beside = [(1, 2), (-1, -2)]
    with_core = components(exp_generator.with_core(beside, size, satisfied))
    (found,) = with_core.keys() - components(exp_generator.formula_graph(beside)).keys()
    return found


def assert_pairs(graphs: exp.ExpGraphs) -> None:
    assert graphs.label.tolist() == [1, 0] * (len(graphs) // 2)
    faulty = {index: exp.pair_faults(*pair) for index, pair in enumerate(graphs.pairs())}
    assert {index: faults for index, faults in faulty.items() if faults} == {}
    for index in range(len(graphs)):
        node_type, edge_index = graphs.graph(index)
        assert 0 < node_type.size <= 64
        assert edge_index.min() >= 0
        assert edge_index.max() < node_type.size
        edges = set(map(tuple, edge_index.T.tolist()))
        assert len(edges) == edge_index.shape[1], "an edge is listed twice"
        assert edges == {(v, u) for u, v in edges}
        assert all(u != v for u, v in edges)


@pytest.fixture
def official(published_exp: Path, monkeypatch: pytest.MonkeyPatch) -> exp.ExpGraphs:
    monkeypatch.setenv("SYMBENCH_DATA", str(published_exp.parent))
    graphs = exp.official()
    assert graphs is not None
    return graphs


def test_the_published_set(official):
    assert exp.available() == "official"
    assert len(official) == 1_200
    nodes = np.diff(official.node_offset)
    assert (nodes.min(), nodes.max()) == (32, 64)
    assert nodes.mean() == pytest.approx(44.45, abs=0.005)
    assert np.diff(official.edge_offset).mean() == pytest.approx(110.2, abs=0.05)
    assert_pairs(official)


def test_published_pairs_hold_the_cores_that_the_generator_makes(official):
    cores = {size: (core(size, True), core(size, False)) for size in exp_generator.CORE_SIZES}
    for satisfied, unsatisfied in official.pairs():
        left, right = components(satisfied), components(unsatisfied)
        sizes = [size for size, (sat, unsat) in cores.items() if sat in left and unsat in right]
        assert len(sizes) == 1
        left.pop(cores[sizes[0]][0])
        right.pop(cores[sizes[0]][1])
        assert left.keys() == right.keys(), "the pair differs elsewhere than in its core"


def test_generated_pairs(data_folder):
    graphs = exp.generated(seed=0, pairs=SMALL)
    assert exp.available() == "generated"
    assert len(graphs) == 2 * SMALL
    assert_pairs(graphs)
    assert [path.name for path in data_folder.glob("*.npz")] == ["exp-generated-v1-pairs18-seed0.npz"]


def test_generated_graphs_are_planar_formulas_beside_a_core():
    cores = {core(size, satisfied) for size in exp_generator.CORE_SIZES for satisfied in (True, False)}
    graphs = exp.generated(seed=1, pairs=SMALL)
    for pair in graphs.pairs():
        for parts in map(components, pair):
            assert len(cores & parts.keys()) == 1
            formula = [part for identity, part in parts.items() if identity not in cores]
            assert formula
            assert all(nx.check_planarity(part)[0] for part in formula)
    for index in range(len(graphs)):
        node_type, edge_index = graphs.graph(index)
        clauses = [frozenset(edge_index[1, edge_index[0] == node].tolist()) for node in np.flatnonzero(node_type == 0)]
        assert len(set(clauses)) == len(clauses), "clauses with identical neighbourhoods are one clause"
        assert all(len(clause) >= 2 for clause in clauses)


def test_generated_graphs_resemble_the_published_ones():
    graphs = exp.generated(seed=2, pairs=60)
    nodes, edges = np.diff(graphs.node_offset), np.diff(graphs.edge_offset)
    assert nodes.min() >= 30
    assert nodes[:100].mean() == pytest.approx(43.1, abs=3)
    assert nodes[100:].mean() == pytest.approx(51.1, abs=5)
    assert edges[:100].mean() == pytest.approx(107.5, abs=8)


def test_pairs_grow_from_different_graphs():
    graphs = exp.generated(seed=0, pairs=60)
    assert len({certificate(graphs.graph(index)) for index in range(len(graphs))}) == len(graphs)


def test_a_base_graph_serves_once_and_running_out_of_them_is_an_error(monkeypatch):
    base = nx.convert_node_labels_to_integers(nx.grid_2d_graph(2, 6))
    left = [node for node, colour in nx.bipartite.color(base).items() if colour]
    place = {node: index for index, node in enumerate(left + [node for node in base if node not in left])}
    monkeypatch.setattr(exp_generator, "planar_bipartite", lambda random, *_: nx.relabel_nodes(base, place))
    monkeypatch.setattr(exp_generator, "_SIDES", {12: {6: 1.0}, 15: {6: 1.0}})
    monkeypatch.setattr(exp_generator, "_ATTEMPTS", 30)
    assert len(exp.generated(pairs=1)) == 2
    with pytest.raises(DataError, match="ask for fewer pairs"):
        exp.generated(pairs=2)


def test_a_seed_is_a_set(data_folder):
    first, other = exp.generated(seed=5, pairs=6), exp.generated(seed=6, pairs=6)
    shutil.rmtree(data_folder)
    again = exp.generated(seed=5, pairs=6)
    for field in fields(exp.ExpGraphs):
        array = getattr(first, field.name)
        np.testing.assert_array_equal(getattr(again, field.name), array)
        assert getattr(again, field.name).dtype == array.dtype
    assert not np.array_equal(first.edge_index, other.edge_index)


def test_no_pairs_at_all():
    assert len(exp.generated(pairs=0)) == 0
    with pytest.raises(ValueError, match="negative"):
        exp.generated(pairs=-1)


@pytest.mark.parametrize("thinning", [0.25, 1.0])
def test_base_graphs_are_planar_bipartite_connected_and_of_minimum_degree_two(thinning, monkeypatch):
    monkeypatch.setattr(exp_generator, "_THINNING", thinning)
    random = np.random.default_rng(0)
    for left, right in ((4, 8), (5, 7), (6, 6), (6, 9)):
        for _ in range(5):
            graph = exp_generator.planar_bipartite(random, left, right)
            assert nx.check_planarity(graph)[0]
            assert nx.is_connected(graph)
            assert all((u < left) != (v < left) for u, v in graph.edges)
            assert min(degree for _, degree in graph.degree) >= 2


def test_clauses_with_identical_neighbourhoods_are_merged(monkeypatch):
    monkeypatch.setattr(exp_generator, "_formula", lambda *_: [(1, 2), (-1, 3), (2, 1), (-2, -3)])
    ((satisfied, _),) = exp_generator.formula_pairs(np.random.default_rng(0), 1)
    assert components(exp_generator.formula_graph([(1, 2), (-1, 3), (-2, -3)])).keys() <= components(satisfied).keys()


@pytest.mark.parametrize(("count", "sizes"), [(6, {2, 3, 4, 6}), (7, {2, 3, 4, 5}), (11, {2, 3, 4, 5, 6})])
def test_long_clauses_are_cut_into_consecutive_chunks(count, sizes):
    """A rest of one variable joins the chunk before it, so six may stay together, as in the published set."""
    random, seen = np.random.default_rng(0), set()
    for _ in range(200):
        chunks = list(exp_generator._chunks(random, list(range(count))))
        assert [variable for chunk in chunks for variable in chunk] == list(range(count))
        seen |= {len(chunk) for chunk in chunks}
    assert seen == sizes


@pytest.mark.parametrize("size", exp_generator.CORE_SIZES)
def test_faults_of_a_pair_are_named(size):
    satisfied, unsatisfied = (exp_generator.with_core([(1, 2)], size, kind) for kind in (True, False))
    other = exp_generator.with_core([(1, 2), (1, -2)], size, False)
    assert exp.pair_faults(satisfied, unsatisfied) == []
    assert exp.pair_faults(satisfied, satisfied) == ["isomorphic", "second is satisfiable"]
    assert exp.pair_faults(unsatisfied, satisfied) == ["first is not satisfiable", "second is satisfiable"]
    assert exp.pair_faults(satisfied, other) == ["separated by 1-WL"]


def test_a_wrong_pair_is_never_stored(data_folder, monkeypatch):
    monkeypatch.setattr(exp, "formula_pairs", lambda random, pairs: [(exp_generator.with_core([(1, 2)], 4, True),) * 2])
    with pytest.raises(DataError, match=r"pair 0 .* wrong \(isomorphic, second is satisfiable\)"):
        exp.generated(pairs=1)
    assert not list(data_folder.glob("*.npz"))


def test_without_its_file_there_is_no_published_set():
    assert exp.official() is None


def test_a_tampered_published_file_is_refused(published_exp, data_folder):
    data_folder.mkdir()
    contents = bytearray(published_exp.read_bytes())
    contents[len(contents) // 2] ^= 1
    (data_folder / "exp.npz").write_bytes(contents)
    with pytest.raises(DataError, match="not the published EXP set"):
        exp.official()


def test_any_other_file_of_that_name_is_refused(data_folder):
    data_folder.mkdir()
    cache.save(data_folder / "exp.npz", {"label": np.array([1, 0], dtype=np.int8)})
    with pytest.raises(DataError, match="not the published EXP set"):
        exp.official()


@pytest.mark.parametrize("index", [-1, 12])
def test_a_graph_that_does_not_exist(index):
    with pytest.raises(IndexError):
        exp.generated(pairs=6).graph(index)
