"""Histories of runs as far as they can be read: a damaged one is left out and named, and the report goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from harness.errors import SymbenchError
from harness.report.rendering.formats import listed

Histories = Callable[[str], pl.DataFrame]
"""The history of a run by its digest: ``step``, ``name``, ``value``. A damaged one raises :class:`SymbenchError`."""

COLUMNS = {"step": pl.Int64, "name": pl.String, "value": pl.Float64}


class Readable:
    """Histories of which ``damaged`` holds the digests of those that could not be read; ``histories`` may be of this
    kind already."""

    def __init__(self, histories: Histories) -> None:
        self._histories = histories
        self.damaged: dict[str, None] = histories.damaged if isinstance(histories, Readable) else {}

    def __call__(self, digest: str) -> pl.DataFrame:
        """The last value of every name at every step: what was trained again since a checkpoint counts once.

        Raises :class:`SymbenchError` where the history is damaged, or is a table of something else.
        """
        try:
            found = self._histories(digest).select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())
            return found.unique(["step", "name"], keep="last", maintain_order=True)
        except (SymbenchError, pl.exceptions.PolarsError) as error:
            self.damaged[digest] = None
            raise SymbenchError(f"The history of run {digest} cannot be read.") from error

    def warnings(self) -> Iterator[str]:
        """One sentence that names the files, where any is damaged."""
        if self.damaged:
            one = len(self.damaged) == 1
            files = listed([f"histories/{digest}.parquet" for digest in self.damaged], 4)
            subject, them, record = ("history is", "it", "record") if one else ("histories are", "them", "records")
            yield (
                f"{len(self.damaged):,} {subject} damaged and left out of what is shown by epoch: {files}; delete "
                f"{them} with the {record} of the same name and run the suite again."
            )
