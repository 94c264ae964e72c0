"""Exponents of power laws with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.stats import t

from harness.collate.bootstrap import LEVEL


def exponents(frame: pl.DataFrame, by: Sequence[str], x: str, y: str, name: str) -> pl.DataFrame:
    """Fits y ~ x^a in every group of rows by least squares in logarithms.

    Rows that are not positive are left out. An exponent needs two different x, its interval three. The residuals of the
    interval include the deviation of the points from a power law.

    Args:
        frame: Rows with the columns ``by``, ``x`` and ``y``.
        by: The columns to group by.
        x: A column.
        y: A column.
        name: The name of the exponent.

    Returns:
        The columns ``by``, the exponent ``name``, and ``name``_low and ``name``_high, the ends of a 95 % t-interval.
    """
    logs = (
        frame.lazy()
        .filter((pl.col(x) > 0) & (pl.col(y) > 0))
        .with_columns(pl.col(x).log().alias("x"), pl.col(y).log().alias("y"))
    )
    run, rise = pl.col("x") - pl.col("x").mean(), pl.col("y") - pl.col("y").mean()
    sums = (
        logs.group_by(by, maintain_order=True)
        .agg(
            pl.len().alias("n"),
            pl.col("x").n_unique().alias("places"),
            (run * run).sum().alias("xx"),
            (run * rise).sum().alias("xy"),
            (rise * rise).sum().alias("yy"),
        )
        .filter(pl.col("places") > 1)
        .collect()
    )
    slope = sums["xy"].to_numpy() / sums["xx"].to_numpy()
    freedom = np.where(sums["places"].to_numpy() > 2, sums["n"].to_numpy() - 2.0, np.nan)
    residual = np.maximum(sums["yy"].to_numpy() - slope * sums["xy"].to_numpy(), 0)
    margin = t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(residual / freedom / sums["xx"].to_numpy())
    ends = {name: slope, f"{name}_low": slope - margin, f"{name}_high": slope + margin}
    return sums.select(by).with_columns(pl.Series(key, value, nan_to_null=True) for key, value in ends.items())
