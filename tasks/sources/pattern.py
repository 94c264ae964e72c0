"""PATTERN (Dwivedi et al. 2020): find the nodes of a stochastic block model that belong to a planted pattern.

The published set is used if its file is in a data folder, and downloaded on request. The generator follows the authors'
procedure and makes a *variant* of the set, which results name as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.sources.graph_arrays import GraphArrays, as_classes, offsets
from tasks.sources.published import Archive, Facts
from tasks.sources.splits import SPLITS

PUBLISHED = Archive(
    title="PATTERN",
    name="PATTERN_v2.zip",
    url="https://data.pyg.org/datasets/benchmarking-gnns/PATTERN_v2.zip",
    members=("PATTERN_v2.pt",),
    facts=Facts(graphs=14_000, mean_nodes=118.9, mean_edges=6_098.9),
)
PUBLISHED_VERSION = 1
NODES = 188  # of the largest published graph
SMALLEST = 44  # of the smallest
SYMBOLS = 3
COMMUNITIES = 5
COMMUNITY_SIZES = (5, 35)  # also the sizes of patterns; the end is excluded
WITHIN, ACROSS, PATTERN_TO_REST = 0.5, 0.35, 0.5
CHUNK = 100


@dataclass(frozen=True, eq=False)
class PatternSplit:
    """Graphs with one feature, a symbol; ``label`` ``[N]``, int8, is 1 for nodes of the pattern."""

    graphs: GraphArrays
    label: NDArray[np.int8]


def available() -> str:
    """Returns "official" if a data folder has the published set, else "generated"."""
    return "official" if PUBLISHED.found(PUBLISHED_VERSION) else "generated"


def official() -> dict[str, PatternSplit]:
    """The published set, which is downloaded if it is missing and kept as plain arrays.

    Raises:
        DataError: The file is missing and cannot be downloaded, or is not the published one.
    """
    stored = PUBLISHED.arrays(PUBLISHED_VERSION, SPLITS, (*GraphArrays.__annotations__, "label"), _unpack)
    return {split: PatternSplit(GraphArrays.of(stored[split]), stored[split]["label"]) for split in SPLITS}


def _unpack(source: str, loaded: Any) -> dict[str, dict[str, NDArray[Any]]]:
    """Converts the file's three lists of dictionaries of tensors: one-hot ``x``, ``edge_index`` and ``y``."""
    (splits,) = loaded
    return {split: _unpack_split(source, graphs) for split, graphs in zip(SPLITS, splits, strict=True)}


def _unpack_split(source: str, graphs: Any) -> dict[str, NDArray[Any]]:
    symbols = [graph["x"].numpy() for graph in graphs]
    if not all(np.isin(x, (0, 1)).all() and (x.sum(1) == 1).all() for x in symbols):
        raise DataError(f"{source}: a node's feature is not one of {SYMBOLS} symbols; replace the file.")
    edges = [graph["edge_index"].numpy() for graph in graphs]
    packed = GraphArrays.pack(
        source,
        [x.argmax(1)[:, None] for x in symbols],
        edges,
        [np.empty((index.shape[1], 0), np.uint8) for index in edges],
    )
    labels = np.concatenate([graph["y"].numpy() for graph in graphs])
    if len(labels) != packed.node_offset[-1] or not np.isin(labels, (0, 1)).all():
        raise DataError(f"{source}: a node's label is missing or neither 0 nor 1; replace the file.")
    return packed.arrays() | {"label": as_classes(source, labels).astype(np.int8)}


def generated(nodes: int, counts: Mapping[str, int], patterns: int, seed: int) -> dict[str, PatternSplit]:
    """Generates a variant of PATTERN: graph g of every split has pattern g mod ``patterns``.

    Graphs outside the published sizes (44 to 188 nodes, scaled) are drawn again. Generation takes seconds, so nothing
    is stored.

    Args:
        nodes: The largest number of nodes; the sizes of communities and patterns are scaled by ``nodes`` / 188.
        counts: Number of graphs of each split.
        patterns: Number of different patterns.
        seed: The seed of all random numbers.

    Raises:
        ValueError: There are no patterns, or ``nodes`` is too small for communities.
    """
    if patterns < 1 or min(counts.values(), default=0) < 0 or seed < 0:
        raise ValueError(f"patterns must be positive, counts and seed not negative: {patterns}, {counts}, {seed}")
    law = BlockLaw.scaled(nodes)
    planted = Patterns.drawn(law, patterns, np.random.default_rng(seed))
    return {
        split: _generate(law, planted, counts[split], np.random.default_rng([seed, place]))
        for place, split in enumerate(SPLITS)
    }


@dataclass(frozen=True)
class BlockLaw:
    """The sizes of communities, ``low`` to ``high`` (exclusive), and of graphs, ``smallest`` to ``largest``."""

    low: int
    high: int
    smallest: int
    largest: int

    @staticmethod
    def scaled(nodes: int) -> BlockLaw:
        """The published sizes scaled to graphs of at most ``nodes`` nodes."""
        scale = nodes / NODES
        low, high = (round(bound * scale) for bound in COMMUNITY_SIZES)
        law = BlockLaw(max(low, 1), high, round(SMALLEST * scale), nodes)
        if (COMMUNITIES + 1) * law.low > nodes or law.high <= law.low:
            raise ValueError(f"PATTERN needs at least 9 nodes, not {nodes}")
        return law

    def sizes(self, random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Draws sizes of communities."""
        return random.integers(self.low, self.high, shape)


@dataclass(frozen=True, eq=False)
class Patterns:
    """P planted patterns: ``size`` ``[P]``, ``edges`` ``[P, S, S]`` and ``symbols`` ``[P, S]`` for a largest size S."""

    size: NDArray[np.int64]
    edges: NDArray[np.bool_]
    symbols: NDArray[np.int64]

    @staticmethod
    def drawn(law: BlockLaw, patterns: int, random: np.random.Generator) -> Patterns:
        """Draws random patterns."""
        size = law.sizes(random, (patterns,))
        lower = np.tril(random.random((patterns, law.high - 1, law.high - 1)) < WITHIN, -1)
        symbols = random.integers(0, SYMBOLS, (patterns, law.high - 1))
        return Patterns(size, lower | lower.swapaxes(1, 2), symbols)


def _generate(law: BlockLaw, patterns: Patterns, count: int, random: np.random.Generator) -> PatternSplit:
    places = np.arange(count) % len(patterns.size)
    parts = [_chunk(law, patterns, places[start : start + CHUNK], random) for start in range(0, count, CHUNK)]
    node_counts, edge_counts, symbols, edges, blocks = (
        [np.concatenate(column, -1) for column in zip(*parts, strict=True)]
        if parts
        else [np.empty(shape, np.int64) for shape in (0, 0, 0, (2, 0), 0)]
    )
    graphs = GraphArrays(
        node_offset=offsets(node_counts),
        edge_offset=offsets(edge_counts),
        node_features=symbols[:, None].astype(np.uint8),
        edge_index=edges,
        edge_features=np.empty((edges.shape[1], 0), np.uint8),
    )
    return PatternSplit(graphs, (blocks == 0).astype(np.int8))


def _chunk(
    law: BlockLaw, patterns: Patterns, place: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[Any], ...]:
    """Draws graphs with the patterns at ``place`` ``[B]``. Nodes are drawn block by block and then shuffled.

    Returns:
        Node counts, edge counts, symbols, edges and blocks of all graphs concatenated. Block 0 is the pattern.
    """
    sizes = np.concatenate([patterns.size[place, None], _communities(law, patterns.size[place], random)], 1)
    counts = sizes.sum(1)
    node = np.arange(counts.max())
    block = (node >= sizes.cumsum(1)[..., None]).sum(1)  # COMMUNITIES + 1 for absent nodes
    symbols = random.integers(0, SYMBOLS, block.shape)
    drawn = np.tril(random.random((*block.shape, node.size), np.float32) < _probability(block), -1)
    edges = drawn | drawn.swapaxes(1, 2)
    inner = patterns.edges.shape[1]
    planted = block[:, :inner] == 0
    symbols[:, :inner][planted] = patterns.symbols[place][planted]
    both = planted[:, :, None] & planted[:, None]
    edges[:, :inner, :inner][both] = patterns.edges[place][both]
    order = np.where(block <= COMMUNITIES, random.random(block.shape), 2.0).argsort(1)
    row = np.arange(len(place))[:, None]
    graph, source, target = edges[row[..., None], order[:, :, None], order[:, None]].nonzero()
    exist = node < counts[:, None]
    index = np.min_scalar_type(law.largest)
    ends = np.stack([source.astype(index), target.astype(index)])
    shuffled = (symbols[row, order][exist], block[row, order][exist])
    return counts, np.bincount(graph, minlength=len(place)), shuffled[0], ends, shuffled[1]


def _communities(law: BlockLaw, pattern: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Sizes ``[B, COMMUNITIES]`` for patterns of sizes ``[B]``, drawn again if a graph is too small or too large."""
    sizes = law.sizes(random, (len(pattern), COMMUNITIES))
    while True:
        total = pattern + sizes.sum(1)
        outside = (total < law.smallest) | (total > law.largest)
        if not outside.any():
            return sizes
        sizes[outside] = law.sizes(random, (int(outside.sum()), COMMUNITIES))


def _probability(block: NDArray[np.int64]) -> NDArray[np.float32]:
    """The probability ``[B, N, N]`` of an edge between nodes of the blocks ``[B, N]``."""
    table = np.full((COMMUNITIES + 2, COMMUNITIES + 2), ACROSS, np.float32)
    np.fill_diagonal(table, WITHIN)
    table[0, 1:] = table[1:, 0] = PATTERN_TO_REST
    table[-1] = table[:, -1] = 0
    return table[block[:, :, None], block[:, None]]
