"""The scores of one method on one task with several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from harness.collate.bootstrap import interquartile_intervals, interquartile_mean
from harness.collate.significance import LEAST_SEEDS
from harness.records.record import Record


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The records of one method on one task that differ only by their seed.

    Attributes:
        records: One for each seed, also of those that failed.
    """

    records: Sequence[Record]

    def __repr__(self) -> str:
        spec = self.records[0].spec
        return f"Evaluation({spec.method} on {spec.task}: {self.metric} {self.mean}, {len(self.records)} seeds)"

    @property
    def metric(self) -> str:
        """The name of the task's metric."""
        return self.records[0].description.metric

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row for each seed.

        Returns:
            Columns ``seed`` (int64), ``digest`` (str), ``status`` (str), each metric (float64, null if the run failed),
            ``train_seconds`` (float64) and ``error`` (str: why the run failed).
        """
        names = dict.fromkeys([self.metric, *(name for record in self.records for name in record.metrics)])
        columns = {
            "seed": pl.Series([record.spec.seed for record in self.records], dtype=pl.Int64),
            "digest": pl.Series([record.digest for record in self.records], dtype=pl.String),
            "status": pl.Series([record.status for record in self.records], dtype=pl.String),
            **{name: self._floats([record.metrics.get(name) for record in self.records]) for name in names},
            "train_seconds": self._floats([record.cost.get("train_seconds") for record in self.records]),
            "error": pl.Series([one.failure and one.failure.sentence for one in self.records], dtype=pl.String),
        }
        return pl.DataFrame(columns)

    @staticmethod
    def _floats(values: Sequence[float | None]) -> pl.Series:
        return pl.Series(values, dtype=pl.Float64)

    @property
    def scores(self) -> np.ndarray:
        """The finite values of the task's metric ``[n]``, in the order of the seeds."""
        values = [record.metrics.get(self.metric, math.nan) for record in self.records]
        return np.array([value for value in values if math.isfinite(value)], dtype=np.float64)

    @property
    def mean(self) -> float | None:
        """The mean of the task's metric over seeds; None if no seed has a finite value."""
        return float(self.scores.mean()) if self.scores.size else None

    @property
    def interquartile_mean(self) -> float | None:
        """The mean of the middle half of the scores; None if no seed has a finite value."""
        return float(interquartile_mean(self.scores)) if self.scores.size else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % bootstrap interval of the interquartile mean.

        None for fewer than five seeds, for which it would be too narrow.
        """
        if self.scores.size < LEAST_SEEDS:
            return None
        _, low, high = interquartile_intervals(self.scores[None])
        return float(low[0]), float(high[0])
