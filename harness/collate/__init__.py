"""Polars tables of the records of a store. They are updated incrementally and can be rebuilt from the records."""

from harness.collate.collating import collate, results_folder
from harness.collate.tables import Tables

__all__ = ["Tables", "collate", "results_folder"]
