"""PATTERN: the generator draws from the published law; the published file is read, checked, and nothing else is."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import DataError
from tasks.sources import pattern
from tasks.sources.graph_arrays import GraphArrays
from tasks.sources.published import Facts
from tests.published_files import facts_of, write_archive

COUNTS = {"train": 300, "validation": 60, "test": 60}


@pytest.fixture(scope="module")
def splits() -> dict[str, pattern.PatternSplit]:
    return pattern.generated(188, COUNTS, patterns=50, seed=0)


def dense(graphs: GraphArrays, graph: int) -> np.ndarray:
    size = graphs.node_counts[graph]
    matrix = np.zeros((size, size), dtype=int)
    source, target = graphs.edge_index[:, graphs.edge_offset[graph] : graphs.edge_offset[graph + 1]].astype(int)
    np.add.at(matrix, (source, target), 1)
    return matrix


def test_graphs_are_simple_undirected_and_of_published_sizes(splits):
    for split, part in splits.items():
        counts = part.graphs.node_counts
        assert len(part.graphs) == COUNTS[split]
        assert counts.min() >= 44
        assert counts.max() <= 188
        assert part.label.size == part.graphs.node_offset[-1] == len(part.graphs.node_features)
        for graph in range(0, len(part.graphs), 29):
            matrix = dense(part.graphs, graph)
            assert (matrix == matrix.T).all()
            assert not matrix.diagonal().any()
            assert matrix.max() == 1


def test_sizes_balance_and_symbols_are_within_their_sampling_error(splits):
    """Six blocks of 5 to 34 nodes, all alike, so a sixth of the nodes; the largest error is that of 50 patterns."""
    train = splits["train"]
    counts = train.graphs.node_counts
    assert counts.mean() == pytest.approx(6 * 19.5, abs=5)  # the published set: 118.9
    sizes = np.add.reduceat(train.label.astype(int), train.graphs.node_offset[:-1])
    assert sizes.min() >= 5
    assert sizes.max() <= 34
    assert train.label.mean() == pytest.approx(1 / 6, abs=0.03)
    shares = np.bincount(train.graphs.node_features[:, 0], minlength=3) / train.label.size
    assert shares == pytest.approx([1 / 3] * 3, abs=0.01)


def test_density_of_every_pair_of_blocks():
    """0.5 within a block and between the pattern and the rest, 0.35 across: to four standard errors."""
    law, random = pattern.BlockLaw.scaled(188), np.random.default_rng(1)
    planted = pattern.Patterns.drawn(law, 100, random)
    counts, _, _, _, blocks = drawn = pattern._chunk(law, planted, np.arange(100), random)
    edges, pairs = np.zeros((6, 6)), np.zeros((6, 6))
    graphs = assembled(drawn)
    for graph, block in enumerate(np.split(blocks, np.cumsum(counts)[:-1])):
        lower = np.tril(dense(graphs, graph), -1)
        member = np.eye(6)[block]
        edges += member.T @ (lower + lower.T) @ member
        pairs += member.T @ (1 - np.eye(block.size)) @ member
    for a, b in combinations_with_replacement(range(6), 2):
        expected = 0.5 if a == b or a == 0 else 0.35
        error = np.sqrt(expected * (1 - expected) / (pairs[a, b] / (2 if a == b else 1)))
        assert edges[a, b] / pairs[a, b] == pytest.approx(expected, abs=4 * error), (a, b)


def assembled(drawn) -> GraphArrays:
    counts, edge_counts, symbols, edges, _ = drawn
    return GraphArrays(
        node_offset=np.append(0, np.cumsum(counts)),
        edge_offset=np.append(0, np.cumsum(edge_counts)),
        node_features=symbols[:, None],
        edge_index=edges,
        edge_features=np.empty((edges.shape[1], 0), np.uint8),
    )


def test_a_pattern_is_the_same_in_all_its_graphs_up_to_order(splits):
    """Graphs g and g + 50 hold one pattern: the same symbols, and degrees within it, however they are shuffled."""
    train = splits["train"]
    for graph in range(0, 50, 7):
        found = []
        for place in (graph, graph + 50, graph + 100):
            nodes = slice(*train.graphs.node_offset[place : place + 2])
            planted = train.label[nodes] == 1
            inner = dense(train.graphs, place)[np.ix_(planted, planted)]
            symbols = train.graphs.node_features[nodes, 0][planted]
            found.append(sorted(zip(symbols, inner.sum(1), (inner @ inner @ inner).diagonal(), strict=True)))
        assert found[0] == found[1] == found[2]


def test_nodes_are_shuffled(splits):
    """The mean place of pattern nodes is that of all nodes: the pattern does not come first."""
    train = splits["train"]
    places = np.concatenate([(np.arange(count) + 0.5) / count for count in train.graphs.node_counts])
    planted = places[train.label == 1]
    assert planted.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * planted.size))


def test_a_seed_is_a_set():
    few = {"train": 30, "validation": 3, "test": 3}
    first, again, other = (pattern.generated(188, few, 10, seed) for seed in (3, 3, 4))
    for split in few:
        for name, array in first[split].graphs.arrays().items():
            np.testing.assert_array_equal(array, getattr(again[split].graphs, name))
        np.testing.assert_array_equal(first[split].label, again[split].label)
        assert not np.array_equal(first[split].label, other[split].label)


@pytest.mark.parametrize("nodes", [9, 12, 24, 32, 300])
def test_sizes_scale_with_the_largest_graph(nodes):
    part = pattern.generated(nodes, {"train": 60, "validation": 0, "test": 0}, 20, 0)["train"]
    counts = part.graphs.node_counts
    assert counts.max() <= nodes
    assert counts.min() >= 6
    assert counts.mean() == pytest.approx(117 / 188 * nodes, rel=0.2)
    assert {0, 1} == set(part.label.tolist())


def test_what_cannot_be_generated_is_one_sentence():
    with pytest.raises(ValueError, match="at least 9 nodes, not 8"):
        pattern.generated(8, COUNTS, 5, 0)
    with pytest.raises(ValueError, match="patterns must be positive"):
        pattern.generated(188, COUNTS, 0, 0)


# The published file


def published_graph(random: np.random.Generator, nodes: int) -> dict[str, torch.Tensor]:
    edges = np.argwhere(np.triu(random.random((nodes, nodes)) < 0.5, 1))
    return {
        "x": torch.from_numpy(np.eye(3, dtype=np.float32)[random.integers(0, 3, nodes)]),
        "edge_index": torch.from_numpy(np.concatenate([edges, edges[:, ::-1]]).T.copy()),
        "y": torch.from_numpy(random.integers(0, 2, nodes)),
    }


@pytest.fixture
def small_set(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, torch.Tensor]]]:
    """Three, two and two graphs in the published format, in place in the data folder."""
    random = np.random.default_rng(0)
    contents = [[published_graph(random, 4 + graph) for graph in range(count)] for count in (3, 2, 2)]
    place(contents, data_folder, monkeypatch)
    return contents


def place(contents, folder: Path, monkeypatch: pytest.MonkeyPatch, state_facts: bool = True) -> Path:
    path = folder / pattern.PUBLISHED.name
    write_archive(path, {"PATTERN_v2.pt": contents})
    if state_facts:
        sizes = [(len(graph["x"]), graph["edge_index"].shape[1]) for split in contents for graph in split]
        monkeypatch.setattr(pattern, "PUBLISHED", replace(pattern.PUBLISHED, facts=facts_of(sizes)))
    return path


def test_the_published_file_is_read_once_and_as_it_is(small_set, data_folder, caplog):
    assert pattern.available() == "official"
    for _ in range(2):
        found = pattern.official()
        for split, graphs in zip(pattern.SPLITS, small_set, strict=True):
            part = found[split]
            assert len(part.graphs) == len(graphs)
            for g, graph in enumerate(graphs):
                nodes = slice(*part.graphs.node_offset[g : g + 2])
                edges = slice(*part.graphs.edge_offset[g : g + 2])
                np.testing.assert_array_equal(part.graphs.node_features[nodes, 0], graph["x"].argmax(1))
                np.testing.assert_array_equal(part.graphs.edge_index[:, edges], graph["edge_index"])
                np.testing.assert_array_equal(part.label[nodes], graph["y"])
        (data_folder / pattern.PUBLISHED.name).unlink(missing_ok=True)  # the arrays made of it are enough
    assert pattern.available() == "official"


def test_a_set_with_other_graphs_is_not_the_published_one(small_set, data_folder, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("SYMBENCH_DATA", str(data_folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(data_folder))
    with pytest.raises(DataError, match=r"not the published PATTERN \(it holds 7 graphs in place of 14000\)"):
        pattern.official()


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ((2, 10.0, 40.0), None),
        ((2, 10.09, 40.3), None),
        ((2, 9.91, 39.7), None),
        ((3, 10.0, 40.0), "2 graphs in place of 3"),
        ((1, 10.0, 40.0), "2 graphs in place of 1"),
        ((2, 10.2, 40.0), "10.0 nodes on average in place of 10.2"),
        ((2, 9.8, 40.0), "10.0 nodes on average in place of 9.8"),
        ((2, 10.0, 41.0), "40.0 edges on average in place of 41.0"),
        ((2, 10.0, 39.0), "40.0 edges on average in place of 39.0"),
    ],
)
def test_facts_hold_within_a_hundredth_on_either_side(stated, fault):
    arrays = {"node_offset": np.array([0, 5, 20]), "edge_offset": np.array([0, 50, 80])}
    found = Facts(*stated).fault({"train": arrays})
    assert (found is None) if fault is None else fault in found


def test_a_damaged_archive_is_one_sentence(small_set, data_folder):
    path = data_folder / pattern.PUBLISHED.name
    whole = path.read_bytes()
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 0x55
    for contents in (whole[:-100], whole[: len(whole) // 2], b"", bytes(middle)):
        path.write_bytes(contents)
        with pytest.raises(DataError, match=r"(damaged|does not match).*replace it"):
            pattern.official()
    assert not list(data_folder.glob("*.npz"))
    path.write_bytes(whole)  # of the damaged one nothing is remembered
    assert len(pattern.official()["train"].graphs) == 3


def test_an_archive_that_was_changed_since_it_was_first_seen_is_refused(small_set, data_folder, monkeypatch):
    pattern.official()
    for array in data_folder.glob("*.npz"):
        array.unlink()
    small_set[0][0]["y"] = 1 - small_set[0][0]["y"]
    place(small_set, data_folder, monkeypatch)
    with pytest.raises(DataError, match=r"PATTERN_v2\.zip does not match .*PATTERN_v2\.zip\.sha256; replace it"):
        pattern.official()


class Dangerous:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def test_a_file_that_would_execute_code_is_refused(data_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    place([[Dangerous()], [], []], data_folder, monkeypatch, state_facts=False)
    with pytest.raises(DataError, match="would execute code; replace it"):
        pattern.official()
    with zipfile.ZipFile(data_folder / pattern.PUBLISHED.name, "w") as archive:
        archive.writestr("PATTERN_v2.pt", pickle.dumps(Dangerous(), protocol=2))
    with pytest.raises(DataError, match="would execute code; replace it"):
        pattern.official()
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda graph: graph.update(x=graph["x"] * torch.nan), "not one of 3 symbols"),
        (lambda graph: graph.update(x=torch.ones_like(graph["x"])), "not one of 3 symbols"),
        (lambda graph: graph.update(y=graph["y"] + 2), "label is missing or neither 0 nor 1"),
        (lambda graph: graph.update(y=graph["y"][1:]), "label is missing or neither 0 nor 1"),
        (lambda graph: graph.update(edge_index=graph["edge_index"] + 9), "graph 1 has an edge to a node beyond"),
        (lambda graph: graph.pop("y"), "not laid out as PATTERN is"),
        (lambda graph: graph.update(x=None), "not laid out as PATTERN is"),
    ],
)
def test_contents_that_are_none_are_one_sentence(small_set, data_folder, monkeypatch, change, sentence):
    place(small_set, data_folder, monkeypatch)
    change(small_set[0][1])
    place(small_set, data_folder, monkeypatch, state_facts=False)
    with pytest.raises(DataError, match=f"{sentence}.*replace"):
        pattern.official()


def test_offline_one_sentence_says_where_the_file_belongs(data_folder, monkeypatch):
    assert pattern.available() == "generated"
    unreachable = replace(pattern.PUBLISHED, url="http://localhost:9/PATTERN_v2.zip")
    monkeypatch.setattr(pattern, "PUBLISHED", unreachable)
    with pytest.raises(DataError, match=r"cannot be downloaded .*: put PATTERN_v2\.zip from http.* into .*data"):
        pattern.official()
    assert not list(data_folder.glob("*.zip"))


@pytest.mark.parametrize("kept", [1.0, 0.5])
def test_a_download_is_whole_or_nothing(small_set, data_folder, monkeypatch, tmp_path, kept):
    source = tmp_path / "server" / pattern.PUBLISHED.name
    source.parent.mkdir()
    shutil.move(data_folder / source.name, source)
    contents = source.read_bytes()
    source.write_bytes(contents[: int(kept * len(contents))])
    monkeypatch.setattr(pattern, "PUBLISHED", replace(pattern.PUBLISHED, url=source.as_uri()))
    if kept == 1:
        assert len(pattern.official()["train"].graphs) == 3
        assert (data_folder / source.name).read_bytes() == contents
    else:
        with pytest.raises(DataError, match="was cut off or is no archive: try again"):
            pattern.official()
        assert not (data_folder / source.name).exists()


def test_two_processes_that_need_the_set_at_once_read_it_once(small_set, data_folder, repository, tmp_path):
    program = """
import sys
from dataclasses import replace
from tasks.sources import pattern
from tasks.sources.published import Facts
facts = Facts(7, float(sys.argv[1]), float(sys.argv[2]))
pattern.PUBLISHED = replace(pattern.PUBLISHED, facts=facts)
unpack = pattern._unpack
def counted(source, loaded):
    print("unpacked")
    return unpack(source, loaded)
pattern._unpack = counted
assert len(pattern.official()["train"].graphs) == 3
"""
    facts = pattern.PUBLISHED.facts
    command = [sys.executable, "-c", program, str(facts.mean_nodes), str(facts.mean_edges)]
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=100)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sorted(outputs) == ["", "unpacked\n"]
