"""BREC: the published pairs, what they are, and what is said of a file that is something else."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from baselines.build import build_network
from harness.registry import method, methods, resolve, task
from harness.training.context import RunContext
from harness.training.execute import execute, execute_stack
from harness.training.results import NotStacked
from tasks.brec import Brec
from tasks.catalogue.graphs import BrecSettings
from tasks.errors import DataError
from tasks.sources import brec
from tasks.sources.brec import CATEGORIES, MAX_NODES, GraphPair
from tasks.sources.graph_checks import TypedGraph, colour_refinement_equivalent, isomorphic
from tasks.symmetry.structure import Structure

FOLDER = Path(os.environ.get("SYMBENCH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_pairs = pytest.mark.skipif(not (FOLDER / brec.NAME).exists(), reason=f"{brec.NAME} is not in {FOLDER}")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(FOLDER / brec.NAME, tmp_path / brec.NAME)
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def typed(adjacency: np.ndarray) -> TypedGraph:
    return TypedGraph(np.zeros(len(adjacency), dtype=int), np.stack(adjacency.nonzero()))


def of_category(pairs: tuple[GraphPair, ...], category: str) -> list[GraphPair]:
    return [pair for pair in pairs if pair.category == category]


@needs_pairs
@pytest.mark.usefixtures("published")
def test_the_pairs_are_those_that_are_published() -> None:
    pairs = brec.pairs()
    assert Counter(pair.category for pair in pairs) == CATEGORIES
    assert max(pair.nodes for pair in pairs) == MAX_NODES == task("brec").params["max_nodes"]
    for pair in pairs:
        for adjacency in (pair.first, pair.second):
            assert (adjacency == adjacency.T).all() and not adjacency.diagonal().any() and adjacency.max() == 1


@needs_pairs
@pytest.mark.usefixtures("published")
def test_no_pair_is_isomorphic_and_colour_refinement_tells_none_apart() -> None:
    for pair in brec.pairs():
        first, second = typed(pair.first), typed(pair.second)
        assert not isomorphic(first, second)
        assert colour_refinement_equivalent(first, second)


@needs_pairs
@pytest.mark.usefixtures("published")
def test_the_smallest_of_each_category_come_first() -> None:
    problem = Brec(BrecSettings(max_nodes=MAX_NODES))
    assert len(problem.categories) == 400 and problem.signature.nodes == MAX_NODES
    assert all(count == 3 for count in Counter(problem.categories[:21]).values())
    sizes = [problem.pair(index).nodes for index in range(400)]
    for category in CATEGORIES:
        own = [size for size, of in zip(sizes, problem.categories, strict=True) if of == category]
        assert own == sorted(own) and len(own) == CATEGORIES[category]
    few = Brec(BrecSettings(max_nodes=19))  # those of 19 nodes included
    assert few.signature.nodes == 19
    assert set(CATEGORIES) - set(few.categories) == {"four_vertex_condition", "distance_regular"}
    x = few.structures()
    assert len(x) == 2 * len(few.categories) and torch.equal(x[:2].node_scalars, few.pair(0).padded(19).node_scalars)
    with pytest.raises(ValueError, match="max_nodes"):
        Brec(BrecSettings(max_nodes=3))


@needs_pairs
@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("name", ["gin", "ppgn"])
def test_message_passing_separates_no_regular_pair_and_ppgn_does(name: str) -> None:
    """Strongly regular graphs, and those that meet the conditions for 4 vertices, are beyond 3-WL too."""
    spec = resolve("brec", name, "quick", 0, task_params={"max_nodes": 26}, settings={"test_size": 30})
    found = execute(spec)
    assert found.metrics["unreliable"] == 0 and found.metrics["pairs"] == 30
    if name == "gin":
        assert found.metrics["separated"] == 0
    else:
        assert found.metrics["separated_regular"] >= 4 and found.metrics["separated_basic"] >= 4
    assert found.metrics["separated_strongly_regular"] == 0
    assert found.notes[-1].startswith("Nothing was trained")


@needs_pairs
@pytest.mark.usefixtures("published")
def test_seeds_are_not_stacked() -> None:
    specs = [resolve("brec", "gin", "quick", seed, settings={"test_size": 2}) for seed in (0, 1)]
    with pytest.raises(NotStacked, match="every pair of brec has a model of its own"):
        execute_stack(specs, [RunContext(), RunContext()])


@needs_pairs
@pytest.mark.usefixtures("published")
def test_gin_embeds_all_regular_pairs_alike_and_ppgn_tells_them_apart() -> None:
    pairs = [pair for pair in of_category(brec.pairs(), "regular") if pair.nodes == 10]
    problem = Brec(BrecSettings(max_nodes=10))
    graphs = [nx.from_numpy_array(graph) for pair in pairs for graph in (pair.first, pair.second)]
    assert all(nx.is_regular(graph) for graph in graphs)
    regular = [index for index, category in enumerate(problem.categories) if category == "regular"]
    x = Structure.cat([problem.pair(index).padded(10) for index in regular]).to("cpu", torch.float64)
    for name, separated in (("gin", 0), ("ppgn", len(regular))):
        card = method(name).base
        model = build_network(card, problem.signature, {}).double().eval()
        first, second = model(x).unflatten(0, (-1, 2)).unbind(1)
        gaps = (first - second).norm(dim=-1) / first.norm(dim=-1)
        assert int((gaps > 1e-9).sum()) == separated


def test_networks_that_take_few_nodes_say_so() -> None:
    card = task("brec")
    assert "1024 tokens" in (methods()["transformer-ga"].misfit(card, card.params) or "")
    assert methods()["transformer-ga"].misfit(card, {"max_nodes": 32}) is None
    assert methods()["ppgn"].misfit(card, card.params) is None


def test_without_the_file(empty_folder: Path) -> None:
    with pytest.raises(DataError, match=r"put brec\.csv there, a table of the 400 pairs"):
        Brec(BrecSettings(max_nodes=MAX_NODES))


def test_another_file_is_not_taken_for_it(empty_folder: Path) -> None:
    (empty_folder / brec.NAME).write_text("pair,category,graph6_a,graph6_b\n0,basic,BW,Bw\n")
    with pytest.raises(DataError, match=r"brec\.csv is not the table of BREC's pairs .*replace it"):
        brec.pairs()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pair,category,graph6_a\n0,basic,BW\n", "has no column graph6_b"),
        ("pair,category,graph6_a,graph6_b\n7,basic,BW,\n", "pair 7 is not in graph6"),
        ("pair,category,graph6_a,graph6_b\n7,basic,BW\n", "pair 7 is not in graph6"),
        ("pair,category,graph6_a,graph6_b\n7,basic,BW,B\n", "pair 7 is not in graph6"),
        ("pair,category,graph6_a,graph6_b\n7,basic,BW,é\n", "pair 7 is not in graph6"),
        ("pair,category,graph6_a,graph6_b\n7,basic,BW,C~\n", "pair 7 differ in size"),
        ("", "has no column pair"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=complaint):
        brec.read(tmp_path / "table.csv")


def test_a_pair_is_read_in_the_order_of_its_row(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("pair,category,graph6_a,graph6_b\n0,basic,BW,Bw\n1,cfi,Bw,BW\n")
    first, second = brec.read(tmp_path / "table.csv")
    assert (first.category, second.category) == ("basic", "cfi")
    assert [graph.sum() for graph in (first.first, first.second, second.first, second.second)] == [4, 6, 6, 4]


def test_graph6_is_read() -> None:
    """A path on three nodes and a triangle, against networkx's own encoding of larger graphs too."""
    assert brec.adjacency("Bw").sum() == 6
    for seed in range(3):
        graph = nx.gnp_random_graph(70, 0.2, seed=seed)
        text = nx.to_graph6_bytes(graph, header=False).decode().strip()
        assert (brec.adjacency(text) == nx.to_numpy_array(graph)).all()
