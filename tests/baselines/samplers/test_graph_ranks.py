"""Ranks of nodes that are computed once a data set: they are those of every step, and only of what they belong to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from baselines.catalogue.samplers import FrameSettings, MinimalFrameSettings
from baselines.samplers import graph_ranks
from baselines.samplers.frame_averaging import FrameAveraging
from baselines.samplers.graph_ranks import digest, lexicographic_ranks, ranked, ranks_of, spectral_signature
from baselines.samplers.minimal_frames import MinimalFrames
from tasks.ragged import RaggedGraphs
from tasks.symmetry.element import Permutation
from tasks.symmetry.groups import SymmetricGroup, group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_particles
from tests.tasks.test_ragged import store

Graphs = Structure | RaggedGraphs
GRAPHS: dict[str, Callable[[], Graphs]] = {
    "a batch": lambda: random_graphs(8, 7),
    "a store": store,
}


def frame(x: Structure) -> FrameAveraging:
    return FrameAveraging(group(("S_n",)), Signature.of(x, Representation.GRAPH_SCALARS, 1), FrameSettings())


def images(sampler: FrameAveraging, x: Structure) -> torch.Tensor:
    element = sampler(x, sampler.noise(x, 3, torch.Generator().manual_seed(0))).element
    assert isinstance(element, Permutation)
    return element.images


def without_decompositions(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(x: Structure) -> torch.Tensor:
        raise AssertionError("a graph was decomposed")

    monkeypatch.setattr(graph_ranks, "spectral_signature", fail)


@pytest.mark.parametrize("name", GRAPHS)
def test_what_is_taken_of_a_data_set_has_the_frames_that_it_has_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = GRAPHS[name]()
    index = torch.tensor([1, 0, 1])
    sampler = frame(graphs[:1])
    expected, of_first = images(sampler, graphs[index]), images(sampler, graphs[:2])
    known = sampler.prepared(graphs)
    without_decompositions(monkeypatch)
    assert torch.equal(images(sampler, known[index]), expected)
    assert torch.equal(images(sampler, known.first(2)[:]), of_first)
    with pytest.raises(AssertionError, match="decomposed"):
        images(sampler, graphs[index])


@pytest.mark.parametrize("name", GRAPHS)
def test_what_is_moved_has_frames_of_its_own(name: str) -> None:
    """A group element leaves the key of a structure, but no ranks."""
    graphs = GRAPHS[name]()
    g = SymmetricGroup().random(graphs.outline, 1, torch.Generator().manual_seed(1))
    moved, plain = ranked(graphs).acted(g)[:], graphs.acted(g)[:]
    assert moved.ranks.shape[-1] == 0 < ranked(graphs)[:].ranks.shape[-1]
    assert torch.equal(ranks_of(moved), lexicographic_ranks(spectral_signature(plain)))
    ranks = ranks_of(graphs[:])[:, None, :, None]
    assert torch.equal(ranks_of(moved), g.act(ranks, Representation.NODE_SCALARS)[:, 0, :, 0])
    assert torch.equal(images(frame(plain), moved), images(frame(plain), plain))


def test_padding_repeating_and_joining_keep_ranks() -> None:
    x = random_graphs(4, 6)
    known = ranked(x)
    for other in (known.repeated(2), Structure.cat([known, known])):
        torch.testing.assert_close(ranks_of(other).sort(0).values, ranks_of(known).repeat(2, 1).sort(0).values)
    expected = images(frame(x.padded(8)), x.padded(8))
    assert torch.equal(images(frame(x.padded(8)), known.padded(8)), expected)
    assert known.unprepared().ranks.shape == x.ranks.shape


def test_only_frames_that_sort_graphs_know_beforehand() -> None:
    particles, graphs = random_particles(3, 4), random_graphs(3, 4)
    in_space = FrameAveraging(
        group(("O(3)",)), Signature.of(particles, Representation.NODE_POINTS, 1), FrameSettings(exact=True)
    )
    minimal = MinimalFrames(
        group(("S_n",)), Signature.of(graphs, Representation.GRAPH_SCALARS, 1), MinimalFrameSettings()
    )
    assert in_space.prepared(particles) is particles
    assert minimal.prepared(graphs) is graphs


@pytest.mark.parametrize("name", GRAPHS)
def test_ranks_are_the_same_however_many_graphs_are_taken_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = GRAPHS[name]()
    expected = lexicographic_ranks(spectral_signature(graphs[:]))
    for entries in (1, 120, 1 << 24):
        monkeypatch.setattr(graph_ranks, "AT_ONCE", entries)
        assert torch.equal(ranked(graphs).ranks[..., 0], expected.short())


def test_ranks_of_a_large_data_set_are_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
    x = random_graphs(5, 6)
    expected = ranked(x).ranks
    assert not list(tmp_path.iterdir())  # what takes no time is not kept
    monkeypatch.setattr(graph_ranks, "WORTH_KEEPING", 1)
    assert torch.equal(ranked(x).ranks, expected)
    (kept,) = tmp_path.glob("graph-ranks-*.npz")
    assert digest(x) in kept.name
    without_decompositions(monkeypatch)
    assert torch.equal(ranked(x.keyed(100)).ranks, expected)
    other = replace(x, edge_scalars=x.edge_scalars.roll(1, 0))
    with pytest.raises(AssertionError, match="decomposed"):
        ranked(other)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_digest_is_of_all_the_graphs_and_of_nothing_else(name: str) -> None:
    graphs = GRAPHS[name]()
    same = digest(graphs)
    assert same == digest(graphs.keyed(7)) == digest(ranked(graphs))
    apart = {same, digest(graphs.first(1)), digest(graphs.to("cpu", torch.float16)), digest(GRAPHS["a batch"]()[:3])}
    assert len(apart) == 4
