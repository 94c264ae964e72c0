"""Figures by epoch: validation loss, and the entropy of the mean permutation (Kim et al. 2023, appendix)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import polars as pl

from harness.errors import SymbenchError
from harness.report.content.histories import COLUMNS, Histories, HistoryReader
from harness.report.rendering.figures import Axis, Figure, Line, Series, figure

LOSS, ENTROPY = "validation/loss", "train/permutation_entropy"
MAX_POINTS = 200
MAX_SEEDS = 10


class ByEpoch(NamedTuple):
    """The figures, and the digests of the runs that are left out since their histories are damaged."""

    figures: list[Figure]
    unread: list[str]


def by_epoch(runs: Iterable[tuple[Series, Sequence[str]]], histories: Histories) -> ByEpoch:
    """Loss and entropy by epoch of the methods that sample permutations in training.

    The loss is that of the weights of the epoch; the entropy is that of the mean of the sampled permutation matrices.
    There are no figures unless at least two methods can be compared.

    Args:
        runs: For each method its series and the digests of its runs.
        histories: How the history of a run is read.
    """
    unread: list[str] = []
    reader = HistoryReader(histories)

    def read(digests: Iterable[str]) -> Iterator[pl.DataFrame]:
        for digest in digests:
            try:
                yield reader(digest)
            except SymbenchError:
                unread.append(digest)

    means = ((series, _means(read(digests[:MAX_SEEDS]))) for series, digests in runs)
    samplers = [(series, mean) for series, mean in means if not mean.filter(name=ENTROPY).is_empty()]
    return ByEpoch(_figures(samplers) if len(samplers) > 1 else [], unread)


def _figures(samplers: Sequence[tuple[Series, pl.DataFrame]]) -> list[Figure]:
    epochs = Axis(title="epoch")
    losses, entropies = ([_line(*one, name) for one in samplers] for name in (LOSS, ENTROPY))
    return [
        figure("Validation loss by epoch", losses, epochs, Axis(title="validation loss ↓")),
        figure(
            "Entropy of the mean sampled permutation by epoch", entropies, epochs, Axis(title="nats, rows and columns")
        ),
    ]


def _means(histories: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Mean and standard error over seeds, by name and epoch."""
    empty = pl.DataFrame(schema=COLUMNS)
    wanted = pl.concat([empty, *histories]).filter(pl.col("name").is_in([LOSS, ENTROPY]))
    pooled = wanted.group_by("name", "step").agg(
        pl.col("value").mean().alias("mean"), (pl.col("value").std(ddof=1) / pl.len().sqrt()).alias("stderr")
    )
    return pooled.sort("name", "step")


def _line(series: Series, means: pl.DataFrame, name: str) -> Line:
    points = means.filter(name=name)
    thinned = points.gather_every(max(1, -(-points.height // MAX_POINTS)))
    return Line(
        series=series,
        x=thinned["step"].to_list(),
        y=thinned["mean"].to_list(),
        stderr=thinned["stderr"].to_list(),
        markers=False,
    )
