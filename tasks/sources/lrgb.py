"""The molecules of the Long Range Graph Benchmark (Dwivedi et al. 2022), from the files that PyG reads.

Atoms and bonds have the features of the Open Graph Benchmark: 9 of an atom (element, chirality, degree, charge,
hydrogens, radical electrons, hybridization, aromatic, in a ring), 3 of a bond (type, stereo, conjugated).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.sources.graph_arrays import GraphArrays, as_classes, offsets, pair_keys
from tasks.sources.published import Archive, Facts
from tasks.sources.splits import SPLITS

MEMBERS = ("train.pt", "val.pt", "test.pt")
VERSION = 1
PEPTIDES = Facts(graphs=15_535, mean_nodes=150.94, mean_edges=307.30)
PEPTIDES_FUNC = Archive(
    title="Peptides-func",
    name="peptidesfunc.zip",
    url="https://www.dropbox.com/s/ycsq37q8sxs1ou8/peptidesfunc.zip?dl=1",
    members=MEMBERS,
    facts=PEPTIDES,
)
PEPTIDES_STRUCT = Archive(
    title="Peptides-struct",
    name="peptidesstruct.zip",
    url="https://www.dropbox.com/s/zgv4z8fcpmknhs8/peptidesstruct.zip?dl=1",
    members=MEMBERS,
    facts=PEPTIDES,
)
PCQM_CONTACT = Archive(
    title="PCQM-Contact",
    name="pcqmcontact.zip",
    url="https://www.dropbox.com/s/qdag867u6h6i60y/pcqmcontact.zip?dl=1",
    members=MEMBERS,
    facts=Facts(graphs=529_434, mean_nodes=30.14, mean_edges=61.09),
)


@dataclass(frozen=True, eq=False)
class Molecules:
    """Molecules with targets ``target`` ``[G, T]``, float32."""

    graphs: GraphArrays
    target: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Contacts:
    """Molecules with labelled pairs of atoms.

    Attributes:
        graphs: The molecules.
        pair_offset: The pairs of graph g are pair_offset[g] .. pair_offset[g + 1] - 1; int64 [G + 1].
        pair_index: Atom indices local to each graph, [2, P].
        pair_label: 1 for a contact, else 0; uint8 [P].
    """

    graphs: GraphArrays
    pair_offset: NDArray[np.int64]
    pair_index: NDArray[Any]
    pair_label: NDArray[np.uint8]


def peptides(archive: Archive) -> dict[str, Molecules]:
    """Peptides-func (10 labels, NaN if unknown) or Peptides-struct (11 numbers), by split.

    Raises:
        DataError: The archive is missing and cannot be downloaded, is damaged, or is not the published one.
    """
    stored = archive.arrays(VERSION, SPLITS, (*GraphArrays.__annotations__, "target"), _unpack_molecules)
    return {split: Molecules(GraphArrays.of(arrays), arrays["target"]) for split, arrays in stored.items()}


def contacts(archive: Archive) -> dict[str, Contacts]:
    """PCQM-Contact, by split.

    Raises:
        DataError: The archive is missing and cannot be downloaded, is damaged, or is not the published one.
    """
    own = ("pair_offset", "pair_index", "pair_label")
    stored = archive.arrays(VERSION, SPLITS, (*GraphArrays.__annotations__, *own), _unpack_contacts)
    return {
        split: Contacts(GraphArrays.of(arrays), *(arrays[name] for name in own)) for split, arrays in stored.items()
    }


def _unpack_molecules(source: str, members: Iterator[Any]) -> dict[str, dict[str, NDArray[Any]]]:
    """Converts lists of (atoms, bonds, edge_index, target)."""
    made = {}
    for split, molecules in zip(SPLITS, members, strict=True):
        columns = [[tensor.numpy() for tensor in column] for column in zip(*molecules, strict=True)]
        atoms, bonds, edges, target = columns
        packed = GraphArrays.pack(f"{source} ({split})", atoms, edges, bonds)
        made[split] = packed.arrays() | {"target": np.concatenate(target).astype(np.float32)}
    return made


def _unpack_contacts(source: str, members: Iterator[Any]) -> dict[str, dict[str, NDArray[Any]]]:
    """Converts lists of (atoms, bonds, edge_index, edge_label_index, edge_label)."""
    made = {}
    for split, molecules in zip(SPLITS, members, strict=True):
        columns = [[tensor.numpy() for tensor in column] for column in zip(*molecules, strict=True)]
        atoms, bonds, edges, pairs, labels = columns
        where = f"{source} ({split})"
        made[split] = GraphArrays.pack(where, atoms, edges, bonds).arrays() | _pairs(where, atoms, pairs, labels)
    return made


def _pairs(
    source: str, atoms: list[NDArray[Any]], pairs: list[NDArray[Any]], labels: list[NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The labelled pairs without duplicates; a pair that is listed with both labels is a contact."""
    largest = max(len(features) for features in atoms)
    offset = offsets([index.shape[1] for index in pairs])
    index, label = np.concatenate(pairs, 1), as_classes(source, np.concatenate(labels))
    counts = np.repeat([len(features) for features in atoms], np.diff(offset))
    if label.size != offset[-1] or (label > 1).any() or (index < 0).any() or (index >= counts).any():
        raise DataError(f"{source}: a labelled pair of atoms lacks an atom or a label of 0 or 1; replace the file.")
    keys = pair_keys(offset, index, largest)
    order = np.lexsort((label, keys))
    kept = order[np.append(keys[order][1:] != keys[order][:-1], True)[: keys.size]]
    graph = keys[kept] // largest**2
    return {
        "pair_offset": offsets(np.bincount(graph, minlength=len(pairs))),
        "pair_index": index[:, kept].astype(np.min_scalar_type(largest)),
        "pair_label": label[kept],
    }
