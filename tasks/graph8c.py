"""GRAPH8c: the number of pairs of connected graphs on 8 nodes that a model never separates.

Balcilar et al. 2021; features and threshold as in Kim et al. 2023, section 4.1.
"""

from __future__ import annotations

import torch

from tasks.graphs import constant_and_degree
from tasks.settings import NoSettings
from tasks.sources.graph8c import connected_graphs
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import SeparationTask

EMBEDDING = 10


class Graph8c(SeparationTask):
    """All 11,117 connected graphs on 8 nodes up to isomorphism."""

    threshold = 0.001

    def __init__(self, settings: NoSettings) -> None:
        self._graphs = constant_and_degree(torch.from_numpy(connected_graphs(8)).float())
        self.signature = Signature.of(self._graphs, Representation.GRAPH_SCALARS, EMBEDDING)

    def structures(self) -> Structure:
        return self._graphs
