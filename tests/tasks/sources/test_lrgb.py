"""The long-range molecules: small files in the published format come back as they are, and bad ones are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import DataError
from tasks.sources import lrgb, pattern
from tasks.sources.published import Facts
from tests.published_files import contacts_archive, peptides_archive, write_archive

SIZES = {"train.pt": (5, 3, 1, 8), "val.pt": (4, 2), "test.pt": (6,)}
MEMBER = dict(zip(lrgb.SPLITS, lrgb.MEMBERS, strict=True))


def test_what_is_published_of_each_set():
    """Table 1 of Dwivedi et al. 2022 and table 1 of Dwivedi et al. 2020; the files by the splits that they hold."""
    facts = {archive.title: archive.facts for archive in (lrgb.PEPTIDES_FUNC, lrgb.PEPTIDES_STRUCT, lrgb.PCQM_CONTACT)}
    assert facts["Peptides-func"] == facts["Peptides-struct"] == Facts(15_535, 150.94, 307.30)
    assert facts["PCQM-Contact"] == Facts(529_434, 30.14, 61.09)
    assert pattern.PUBLISHED.facts == Facts(14_000, 118.9, 6_098.9)
    assert MEMBER == {"train": "train.pt", "validation": "val.pt", "test": "test.pt"}
    for archive in (lrgb.PEPTIDES_FUNC, lrgb.PEPTIDES_STRUCT, lrgb.PCQM_CONTACT):
        assert archive.members == tuple(MEMBER.values()) and archive.url.endswith(f"/{archive.name}?dl=1")


def assert_graphs(part: lrgb.Molecules | lrgb.Contacts, molecules: list[tuple[torch.Tensor, ...]]) -> None:
    graphs = part.graphs
    assert len(graphs) == len(molecules)
    for g, (atoms, bonds, edges, *_) in enumerate(molecules):
        here, there = slice(*graphs.node_offset[g : g + 2]), slice(*graphs.edge_offset[g : g + 2])
        np.testing.assert_array_equal(graphs.node_features[here], atoms)
        np.testing.assert_array_equal(graphs.edge_features[there], bonds)
        np.testing.assert_array_equal(graphs.edge_index[:, there], edges)


@pytest.mark.parametrize(("archive", "targets"), [(lrgb.PEPTIDES_FUNC, 10), (lrgb.PEPTIDES_STRUCT, 11)])
def test_peptides_come_back_as_they_were(data_folder, archive, targets):
    small, members = peptides_archive(archive, data_folder, targets, SIZES)
    for _ in range(2):
        for split, part in lrgb.peptides(small).items():
            assert_graphs(part, members[MEMBER[split]])
            np.testing.assert_array_equal(part.target, torch.cat([graph[3] for graph in members[MEMBER[split]]]))
            assert part.target.dtype == np.float32
        (data_folder / small.name).unlink(missing_ok=True)  # the arrays made of it are enough


def test_contacts_come_back_as_they_were(data_folder):
    small, members = contacts_archive(lrgb.PCQM_CONTACT, data_folder, SIZES)
    for split, part in lrgb.contacts(small).items():
        assert_graphs(part, members[MEMBER[split]])
        for g, (*_, index, label) in enumerate(members[MEMBER[split]]):
            here = slice(*part.pair_offset[g : g + 2])
            found = {
                (*pair, kind) for *pair, kind in zip(*part.pair_index[:, here], part.pair_label[here], strict=True)
            }
            assert found == {(*pair, kind) for *pair, kind in zip(*index.tolist(), label.tolist(), strict=True)}


def test_a_pair_that_is_labelled_twice_is_labelled_once_and_a_contact_wins():
    atoms = [np.zeros((3, 9)), np.zeros((2, 9))]
    pairs = [np.array([[0, 2, 0, 0], [1, 1, 2, 1]]), np.array([[1, 1], [0, 0]])]
    labels = [np.array([0, 0, 1, 1]), np.array([1, 0])]
    made = lrgb._pairs("a test", atoms, pairs, labels)
    assert made["pair_offset"].tolist() == [0, 3, 4]
    assert made["pair_index"].T.tolist() == [[0, 1], [0, 2], [2, 1], [1, 0]]
    assert made["pair_label"].tolist() == [1, 1, 0, 1]


def test_molecules_without_labelled_pairs():
    made = lrgb._pairs("a test", [np.zeros((3, 9))], [np.zeros((2, 0), int)], [np.zeros(0, int)])
    assert made["pair_offset"].tolist() == [0, 0]
    assert made["pair_index"].shape == (2, 0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda graph: (torch.full((4, 9), torch.nan), *graph[1:]), "a feature is no class"),
        (lambda graph: (torch.zeros(0, 9), graph[1][:0], graph[2][:, :0], *graph[3:]), "graph 0 has no nodes"),
        (lambda graph: (*graph[:2], graph[2] + 9, *graph[3:]), "graph 0 has an edge to a node beyond"),
        (lambda graph: (*graph[:3], graph[3] + 9, graph[4]), "a labelled pair of atoms lacks an atom"),
        (lambda graph: (*graph[:4], graph[4] + 1), "a labelled pair of atoms lacks an atom or a label of 0 or 1"),
        (lambda graph: (*graph[:4], graph[4][1:]), "a labelled pair of atoms lacks an atom or a label"),
        (lambda graph: graph[:4], "is not laid out as PCQM-Contact is"),
        (lambda graph: "molecule", "is not laid out as PCQM-Contact is"),
    ],
)
def test_contents_that_are_none_are_one_sentence(data_folder, change, sentence):
    small, members = contacts_archive(lrgb.PCQM_CONTACT, data_folder, {**SIZES, "val.pt": (4,)})
    members["val.pt"][0] = change(members["val.pt"][0])
    write_archive(data_folder / small.name, members)
    with pytest.raises(DataError, match=f"{sentence}.*(replace|leave)"):
        lrgb.contacts(small)


def test_a_missing_member_is_named(data_folder):
    small, members = peptides_archive(lrgb.PEPTIDES_FUNC, data_folder, 10, SIZES)
    del members["val.pt"]
    write_archive(data_folder / small.name, members)
    with pytest.raises(DataError, match=r"peptidesfunc\.zip lacks 'val\.pt'; replace it"):
        lrgb.peptides(small)


def test_other_molecules_are_not_the_published_ones(data_folder: Path):
    small, _ = peptides_archive(lrgb.PEPTIDES_FUNC, data_folder, 10, SIZES)
    for change, sentence in (
        ({"graphs": 15_535}, "it holds 7 graphs in place of 15535"),
        ({"mean_nodes": 150.94}, r"a graph has 4\.1 nodes on average in place of 150\.9"),
        ({"mean_edges": 307.3}, "edges on average in place of 307.3"),
    ):
        with pytest.raises(DataError, match=f"is not the published Peptides-func .*{sentence}"):
            lrgb.peptides(replace(small, facts=replace(small.facts, **change)))


@pytest.mark.parametrize("archive", [lrgb.PEPTIDES_FUNC, lrgb.PEPTIDES_STRUCT, lrgb.PCQM_CONTACT])
def test_offline_one_sentence_says_what_is_missing_and_where_it_belongs(archive, data_folder):
    unreachable = replace(archive, url=f"http://localhost:9/{archive.name}")
    with pytest.raises(DataError, match=f"^{archive.title} is in no data folder and cannot be downloaded") as caught:
        unreachable.arrays(1, lrgb.SPLITS, ("target",), lambda source, members: {})
    assert f"put {archive.name} from {unreachable.url} into {data_folder}." in str(caught.value)
    assert not list(data_folder.glob("*.zip"))
