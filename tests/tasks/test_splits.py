"""A split is what it is called: of the size asked for, from where it is published to be, and no example comes twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from baselines.build import load
from harness.registry import task, tasks
from tasks.catalogue.geometry import NBodySettings
from tasks.catalogue.graphs import ExpSettings
from tasks.catalogue.long_range import PCQMContactSettings, PeptidesSettings
from tasks.catalogue.nodes import PatternSettings
from tasks.exp import Exp, ExpClassify, formula_graphs
from tasks.nbody import NBody
from tasks.pattern import PatternTask
from tasks.pcqm_contact import PCQMContact
from tasks.peptides import PeptidesFunc, PeptidesStruct
from tasks.sources import modelnet, nbody, pattern
from tasks.sources.splits import SPLITS
from tasks.symmetry.structure import Structure
from tasks.task import MOST_EXAMPLES, Split, SupervisedTask
from tests.published_files import small_long_range
from tests.tasks.sources.test_nbody import plain_start

OFFICIAL = Path(os.environ.get("SYMBENCH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "exp.npz"
ALIKE, DIFFERENT = dict.fromkeys(SPLITS, 6), {"train": 7, "validation": 5, "test": 6}
SMALL: Mapping[str, Mapping[str, Any]] = {
    "nbody": {},
    "shapes_o3": {"points": 10},
    "shapes_se3": {"points": 10},
    "pattern": {"nodes": 30, "patterns": 3},
    **{f"teacher_{kind}": {} for kind in ("graph_invariant", "graph_equivariant")},
    **{f"teacher_{kind}": {"nodes": 4} for kind in ("space_invariant", "space_equivariant")},
}

FRAMES = (nbody.INPUT_FRAME, nbody.TARGET_FRAME)


@pytest.fixture
def few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All trajectories of n-body are drawn whatever is asked for: here ten of each split, and they are short."""
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(nbody, "PUBLISHED_SIZES", dict.fromkeys(nbody.PUBLISHED_SIZES, 10))
    monkeypatch.setattr(nbody, "INPUT_FRAME", 1)
    monkeypatch.setattr(nbody, "TARGET_FRAME", 2)


def built(name: str, sizes: Mapping[str, int]) -> SupervisedTask:
    card = task(name)
    return load(card.implementation)(card.resolve(card.settings_from({**SMALL[name], **sizes, "data_seed": 5})))


def whole(problem: SupervisedTask, split: Split) -> Structure:
    return problem.data(split).inputs[:]


def rows(x: Structure) -> torch.Tensor:
    """All that is known of each structure, one row each."""
    parts = (x.mask, x.node_scalars, x.points, x.vectors, x.edge_scalars)
    return torch.cat([part.flatten(1).double() for part in parts], 1)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", SMALL)
def test_every_split_has_the_size_that_was_asked_for(name: str) -> None:
    problem = built(name, DIFFERENT)
    for split in get_args(Split):
        data = problem.data(split)
        assert len(data) == len(data.inputs) == len(data.targets[:]) == DIFFERENT[split]  # type: ignore[arg-type]


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", SMALL)
def test_no_example_comes_twice(name: str) -> None:
    """Not in two splits either, each as large as the others: a stream of chance that they shared would show."""
    problem = built(name, ALIKE)
    found = torch.cat([rows(whole(problem, split)) for split in get_args(Split)])
    assert (torch.cdist(found, found) < 1e-6).sum() == len(found) == 18


def test_generated_graphs_of_pattern_share_the_patterns_and_nothing_else() -> None:
    """Graph g of every split holds pattern g mod 3; sizes, edges and the other nodes' symbols are its own."""
    found = pattern.generated(60, ALIKE, patterns=3, seed=0)

    def graph(split: str, place: int) -> tuple[int, int, bytes]:
        graphs = found[split].graphs
        nodes = slice(*graphs.node_offset[place : place + 2])
        edges = slice(*graphs.edge_offset[place : place + 2])
        planted = found[split].label[nodes] == 1
        symbols = np.sort(graphs.node_features[nodes, 0][planted])
        return int(planted.sum()), edges.stop - edges.start, symbols.tobytes()

    for place in range(6):
        sizes, edges, symbols = zip(*(graph(split, place) for split in SPLITS), strict=True)
        assert len(set(sizes)) == len(set(symbols)) == 1
        assert len(set(edges)) == 3
        assert graph("train", place)[::2] == graph("test", place % 3)[::2]


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", SMALL)
def test_keys_tell_the_examples_of_all_splits_apart(name: str) -> None:
    problem = built(name, ALIKE)
    keys = [problem.examples(split).inputs.key for split in get_args(Split)]
    assert len(torch.cat(keys).unique()) == sum(map(len, keys))
    assert [int(key[0]) // MOST_EXAMPLES for key in keys] == [0, 1, 2]


EXP_SLICES: Mapping[Split, slice] = {"validation": slice(0, 200), "test": slice(200, 400), "train": slice(400, 1200)}


@pytest.mark.usefixtures("generated_data")
@pytest.mark.parametrize("data", ["generated", "official"])
def test_splits_of_exp_are_consecutive_slices(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As published: 200 graphs to validate, then 200 to test, then 800 to train, which no test set may touch."""
    if data == "official":
        if not OFFICIAL.exists():
            pytest.skip(f"the official EXP set is not at {OFFICIAL}")
        monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
        shutil.copy(OFFICIAL, tmp_path / "exp.npz")
    settings = ExpSettings(data=data)
    structures, labels = formula_graphs(settings)
    problem = ExpClassify(settings)
    for split, places in EXP_SLICES.items():
        found = problem.data(split)
        assert torch.equal(found.inputs[:].key, torch.arange(places.start, places.stop))
        assert torch.equal(rows(found.inputs[:]), rows(structures[places]))
        assert torch.equal(found.targets[:], labels[places])  # type: ignore[arg-type]
    if data == "official":
        nodes = np.diff(np.load(OFFICIAL)["node_offset"])
        for split, places in EXP_SLICES.items():
            assert problem.data(split).inputs[:].node_counts.tolist() == nodes[places].tolist()
        assert [int(nodes[places].sum()) for places in EXP_SLICES.values()] == [8678, 8560, 36098]


@pytest.mark.usefixtures("generated_data")
def test_pairs_of_exp_are_neighbours_and_graphs_the_published_ones() -> None:
    settings = ExpSettings(data="generated")
    structures, labels = formula_graphs(settings)
    pairs = Exp(settings).pairs()
    assert pairs.tolist() == [[2 * place, 2 * place + 1] for place in range(600)]
    assert torch.equal(labels[pairs][..., 0], torch.tensor([1.0, 0.0]).expand(600, 2))
    assert torch.equal(rows(Exp(settings).structures()), rows(structures))


@pytest.mark.usefixtures("few_steps")
def test_particles_of_each_split_are_those_drawn_for_it() -> None:
    """Training is drawn first, then validation, then test; seen at frame 30, asked for at frame 40 (here 1 and 2)."""
    assert FRAMES == (30, 40)
    problem = NBody(NBodySettings(**DIFFERENT))
    random = np.random.RandomState(43)
    for split in ("train", "validation", "test"):
        drawn = [np.stack(part) for part in zip(*(plain_start(random, 5) for _ in range(10)), strict=True)]
        position, velocity, charge = (part[: DIFFERENT[split]] for part in drawn)
        frames = nbody.simulate(position, velocity, charge, steps=300, frames=[1, 2])
        x, targets = whole(problem, split), problem.data(split).targets[:]  # type: ignore[arg-type]
        products = torch.from_numpy(charge[:, :, None] * charge[:, None]) * (1 - torch.eye(5))
        assert torch.equal(x.edge_scalars[..., 0], products.float())
        for found, expected in (
            (x.points, frames.position[0]),
            (x.vectors, frames.velocity[0]),
            (targets, frames.position[1]),
        ):
            torch.testing.assert_close(found[..., 0], torch.from_numpy(expected).float(), atol=1e-6, rtol=1e-6)


def test_molecules_of_each_split_are_those_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path))
    atoms = {"train.pt": [2, 3, 4, 5], "val.pt": [5, 4], "test.pt": [3, 5, 2]}
    small_long_range(tmp_path, monkeypatch, atoms)
    files = {"train": "train.pt", "validation": "val.pt", "test": "test.pt"}
    peptides = (kind(PeptidesSettings(nodes=6)) for kind in (PeptidesFunc, PeptidesStruct))
    for problem in (*peptides, PCQMContact(PCQMContactSettings(nodes=6))):
        for split, name in files.items():
            assert problem.data(split).inputs[:].node_counts.tolist() == atoms[name]  # type: ignore[arg-type]


def test_graphs_of_each_split_of_pattern_are_those_of_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published set is more than is asked for: its first graphs are taken, with their own labels."""
    parts = pattern.generated(30, dict.fromkeys(SPLITS, 9), patterns=2, seed=1)
    monkeypatch.setattr("tasks.pattern.official", lambda: parts)
    problem = PatternTask(PatternSettings(data="official", nodes=30, **DIFFERENT))
    for split in get_args(Split):
        x, labels = whole(problem, split), problem.data(split).targets[:]  # type: ignore[arg-type]
        counts = parts[split].graphs.node_counts[: DIFFERENT[split]]
        assert x.node_counts.tolist() == counts.tolist()
        assert labels[x.mask].flatten().tolist() == parts[split].label[: counts.sum()].tolist()
        assert (labels[~x.mask] == -1).all()


def test_sizes_are_the_published_ones() -> None:
    def sizes(name: str) -> tuple[int, ...]:
        return tuple(tasks()[name].params[split] for split in SPLITS)

    assert sizes("nbody") == (3_000, 2_000, 2_000)
    assert sizes("pattern") == (10_000, 2_000, 2_000)
    assert modelnet.SIZES == {"modelnet10": (3_991, 908), "modelnet40": (9_843, 2_468)}
    assert load(tasks()["exp"].implementation).threshold == load(tasks()["graph8c"].implementation).threshold == 0.001
