"""A record that succeeds, one that fails, and a write that the address refuses."""

from __future__ import annotations

import os

import pytest

from harness.errors import SymbenchError
from harness.records.history import HistoryRow
from harness.records.record import Record
from harness.records.remote import RemoteStore
from tests.harness.records.conftest import Broken
from tests.harness.synthetic import make_record

ROWS = [HistoryRow(0, "loss", 1.5, 0.1)]
GOOD, BAD = make_record(seed=0), make_record(seed=0, error="It broke.")
DIGEST = GOOD.digest
RECORD, HISTORY = f"records/{DIGEST}.json", f"histories/{DIGEST}.parquet"


def age(store: RemoteStore) -> None:
    """Makes all files in the folder look years old."""
    for path in store.root.rglob("*"):
        os.utime(path, (0, 0))


def write_in_vain(store: RemoteStore, record: Record, word: str, after: int = 0) -> None:
    with (
        Broken(store, word, after),
        pytest.raises(SymbenchError, match=r"is kept in .* on .*the next command.*out of order"),
    ):
        store.write(record, ROWS)
