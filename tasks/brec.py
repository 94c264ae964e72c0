"""BREC (Wang and Zhang 2023): pairs of graphs that a model distinguishes reliably."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from tasks.catalogue.graphs import BrecSettings
from tasks.graphs import constant_and_degree
from tasks.sources.brec import GraphPair, pairs
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import PairedTask

EMBEDDING = 16


class Brec(PairedTask):
    """The pairs of graphs with at most ``max_nodes`` nodes. Node scalars are 1 and the degree.

    Raises:
        ValueError: No pair is that small.
    """

    relabellings = 32
    level = 0.05

    def __init__(self, settings: BrecSettings) -> None:
        self._pairs = smallest_first([pair for pair in pairs() if pair.nodes <= settings.max_nodes])
        if not self._pairs:
            raise ValueError(f"no pair of BREC has at most {settings.max_nodes} nodes: raise max_nodes")
        self.categories = [pair.category for pair in self._pairs]
        largest = max(range(len(self._pairs)), key=lambda index: self._pairs[index].nodes)
        self.signature = self.signature_of(self.pair(largest))

    def signature_of(self, pair: Structure) -> Signature:
        return Signature.of(pair, Representation.GRAPH_SCALARS, EMBEDDING)

    def pair(self, index: int) -> Structure:
        pair = self._pairs[index]
        return constant_and_degree(torch.from_numpy(np.stack([pair.first, pair.second])).float())

    def structures(self) -> Structure:
        return Structure.cat([self.pair(index).padded(self.signature.nodes) for index in range(len(self._pairs))])


def smallest_first(found: Sequence[GraphPair]) -> list[GraphPair]:
    """The smallest pair of every category, then the second smallest of every category, and so on."""
    ranked, seen = [], Counter[str]()
    for pair in sorted(found, key=lambda pair: pair.nodes):
        ranked.append((seen[pair.category], pair))
        seen[pair.category] += 1
    return [pair for _, pair in sorted(ranked, key=lambda entry: entry[0])]
