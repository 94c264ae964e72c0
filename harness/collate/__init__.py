"""Polars tables over the records of a store: incremental, and rebuilt at any time from the records alone."""

from harness.collate.collating import collate, results_folder
from harness.collate.tables import Tables

__all__ = ["Tables", "collate", "results_folder"]
