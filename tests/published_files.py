"""Small archives in the formats in which sets are published, and what is true of them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness import registry
from tasks.limits import COUNT
from tasks.pcqm_contact import PCQMContact
from tasks.peptides import PeptidesFunc, PeptidesStruct
from tasks.sources.published import Archive, Facts

ATOMS = (17, 3, 7, 7, 2, 1, 6, 2, 2)  # classes that both peptides and PCQM-Contact have
BONDS = (4, 1, 1)
Molecule = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def write_archive(path: Path, members: Mapping[str, Any], folder: str = "inside") -> None:
    """A zip of what `torch.save` makes of each member."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in members.items():
            buffer = BytesIO()
            torch.save(contents, buffer)
            archive.writestr(f"{folder}/{name}", buffer.getvalue())


def facts_of(graphs: Sequence[tuple[int, int]]) -> Facts:
    """For graphs of so many nodes and edges each."""
    nodes, edges = np.array(graphs).mean(0)
    return Facts(len(graphs), float(nodes), float(edges))


def molecule(random: np.random.Generator, atoms: int) -> Molecule:
    """Atoms in a chain with one ring: features of atoms, features of bonds, bonds both ways."""
    bonds = [(atom, atom + 1) for atom in range(atoms - 1)] + ([(0, atoms - 1)] if atoms > 2 else [])
    both = [pair for i, j in bonds for pair in ((i, j), (j, i))]
    kinds = random.integers(0, BONDS, (len(bonds), 3)).repeat(2, 0)
    return (
        torch.from_numpy(random.integers(0, ATOMS, (atoms, len(ATOMS)))),
        torch.from_numpy(kinds),
        torch.tensor(both, dtype=torch.long).reshape(-1, 2).T.contiguous(),
    )


def peptides_archive(
    archive: Archive, folder: Path, targets: int, sizes: Mapping[str, Sequence[int]], seed: int = 0
) -> tuple[Archive, dict[str, list[tuple[torch.Tensor, ...]]]]:
    """Writes peptides of so many atoms for each member; returns the archive with their facts, and the peptides."""
    random = np.random.default_rng(seed)
    members: dict[str, list[tuple[torch.Tensor, ...]]] = {}
    for name, atoms in sizes.items():
        labels = random.integers(0, 2, (len(atoms), 1, targets)).astype(np.float32)
        members[name] = [
            (*molecule(random, count), torch.from_numpy(y)) for count, y in zip(atoms, labels, strict=True)
        ]
    return _written(archive, folder, members), members


def contacts_archive(
    archive: Archive, folder: Path, sizes: Mapping[str, Sequence[int]], seed: int = 0
) -> tuple[Archive, dict[str, list[tuple[torch.Tensor, ...]]]]:
    """The same for molecules with contacts, each listed both ways, and twice as many pairs that are none."""
    random = np.random.default_rng(seed)
    members: dict[str, list[tuple[torch.Tensor, ...]]] = {}
    for name, atoms in sizes.items():
        members[name] = []
        for count in atoms:
            i, j = np.triu_indices(count, 1)
            chosen = random.permutation(len(i))[: min(3, len(i))]
            index = np.stack([np.append(i[chosen], j[chosen]), np.append(j[chosen], i[chosen])])
            label = np.tile(np.arange(len(chosen)) == 0, 2).astype(np.int32)
            members[name].append((*molecule(random, count), torch.from_numpy(index), torch.from_numpy(label)))
    return _written(archive, folder, members), members


def _written(archive: Archive, folder: Path, members: Mapping[str, list[tuple[torch.Tensor, ...]]]) -> Archive:
    write_archive(folder / archive.name, members, Path(archive.name).stem)
    graphs = [(len(graph[0]), graph[2].shape[1]) for split in members.values() for graph in split]
    return replace(archive, facts=facts_of(graphs))


def dict_of(limits: Mapping[str, Any]) -> dict[str, Any]:
    assert isinstance(limits, dict)
    return limits


def small_long_range(folder: Path, patch: pytest.MonkeyPatch, sizes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Puts molecules of so many atoms for each member in the place of the long-range sets; returns them by task."""
    found = {}
    for name in ("peptides_func", "peptides_struct", "pcqm_contact"):  # what the published graphs need binds them
        patch.setitem(dict_of(registry.task(name).limits), "nodes", COUNT)
    for task, targets in ((PeptidesFunc, 10), (PeptidesStruct, 11)):
        archive, found[task.__name__] = peptides_archive(task.archive, folder, targets, sizes)
        patch.setattr(task, "archive", archive)
    archive, found["PCQMContact"] = contacts_archive(PCQMContact.archive, folder, sizes)
    patch.setattr(PCQMContact, "archive", archive)
    return found
