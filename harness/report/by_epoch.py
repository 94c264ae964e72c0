"""How training went: validation loss, and how little the sampled permutations agree (Kim et al. 2023, appendix)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import polars as pl

from harness.report.figures import Axis, Figure, Line, Series, figure

Histories = Callable[[str], pl.DataFrame]
"""The history of a run by its digest: ``step``, ``name``, ``value``."""

LOSS, ENTROPY = "validation/loss", "train/permutation_entropy"
MOST_POINTS = 200
MOST_SEEDS = 10


def epoch_figures(runs: Iterable[tuple[Series, Sequence[str]]], histories: Histories) -> list[Figure]:
    """Both by epoch, of the methods that sample permutations in training; none where none does.

    The loss is of the weights of its epoch, the entropy that of the mean of the sampled permutation matrices.
    """
    samplers = [
        (series, means)
        for series, digests in runs
        if not (means := _means(histories, digests[:MOST_SEEDS])).filter(name=ENTROPY).is_empty()
    ]
    if len(samplers) < 2:  # a comparison: learned against uniform
        return []
    epochs = Axis(title="epoch")
    losses, entropies = ([_line(*one, name) for one in samplers] for name in (LOSS, ENTROPY))
    return [
        figure("Validation loss by epoch", losses, epochs, Axis(title="validation loss ↓")),
        figure(
            "Entropy of the mean sampled permutation by epoch", entropies, epochs, Axis(title="nats, rows and columns")
        ),
    ]


def _means(histories: Histories, digests: Iterable[str]) -> pl.DataFrame:
    """Over seeds, by name and epoch."""
    frames = [histories(digest).select("step", "name", "value") for digest in digests]
    if not frames:
        return pl.DataFrame(schema={"step": pl.Int64, "name": pl.String, "mean": pl.Float64, "stderr": pl.Float64})
    wanted = pl.concat(frames).filter(pl.col("name").is_in([LOSS, ENTROPY]))
    pooled = wanted.group_by("name", "step").agg(
        pl.col("value").mean().alias("mean"), (pl.col("value").std(ddof=1) / pl.len().sqrt()).alias("stderr")
    )
    return pooled.sort("name", "step")


def _line(series: Series, means: pl.DataFrame, name: str) -> Line:
    points = means.filter(name=name)
    thinned = points.gather_every(max(1, -(-points.height // MOST_POINTS)))
    return Line(
        series=series,
        x=thinned["step"].to_list(),
        y=thinned["mean"].to_list(),
        stderr=thinned["stderr"].to_list(),
        markers=False,
    )
