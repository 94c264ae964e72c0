"""Reading the histories of runs. Damaged histories are left out of the report and named in a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from harness.errors import StoreError, SymbenchError
from harness.report.rendering.formats import listed

Histories = Callable[[str], pl.DataFrame]
"""A function from the digest of a run to its history, a table with ``step``, ``name`` and ``value``.

It raises :class:`SymbenchError` if the history is damaged.
"""

COLUMNS = {"step": pl.Int64, "name": pl.String, "value": pl.Float64}


class HistoryReader:
    """Reads histories and remembers which of them are damaged.

    Args:
        histories: How a history is read. If it is a reader itself, both share the list of damaged histories.
    """

    def __init__(self, histories: Histories) -> None:
        self._histories = histories
        self.damaged: dict[str, None] = histories.damaged if isinstance(histories, HistoryReader) else {}

    def __call__(self, digest: str) -> pl.DataFrame:
        """The history of a run, with the last value of every name at every step.

        A step is recorded twice if a run resumed from a checkpoint before it.

        Raises:
            StoreError: If the history is damaged or is not a history.
        """
        try:
            found = self._histories(digest).select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())
            return found.unique(["step", "name"], keep="last", maintain_order=True)
        except (SymbenchError, pl.exceptions.PolarsError) as error:
            self.damaged[digest] = None
            raise StoreError(f"The history of run {digest} cannot be read.") from error

    def warnings(self) -> Iterator[str]:
        """One sentence that names the damaged files; nothing if there are none."""
        if self.damaged:
            one = len(self.damaged) == 1
            files = listed([f"histories/{digest}.parquet" for digest in self.damaged], 4)
            subject, them, record = ("history is", "it", "record") if one else ("histories are", "them", "records")
            yield (
                f"{len(self.damaged):,} {subject} damaged and left out of the figures by epoch: {files}. Delete {them} "
                f"together with the {record} of the same name and run the suite again."
            )
