"""A store to compact, and what must be in it before and after."""

from __future__ import annotations

from harness.records.history import HistoryRow
from harness.records.store import Store
from tests.harness.synthetic import make_record

ROWS = [HistoryRow(step, "loss", 1.5 / (step + 1), 0.1 * step) for step in range(3)]
GOOD = [make_record(seed=seed) for seed in range(3)]
BAD = [make_record(seed=seed, error="It broke.") for seed in (3, 4)]
ALL = sorted([*GOOD, *BAD], key=lambda record: record.digest)
STATUSES = {record.digest: record.status for record in ALL}
STEPS = 80


def filled(store: Store) -> Store:
    for place, record in enumerate(ALL):
        store.write(record, ROWS[: place % 4])
    return store


def assert_holds_all(store: Store) -> None:
    """Each once, with its history."""
    assert store.statuses() == STATUSES
    assert list(store.records()) == ALL
    for place, record in enumerate(ALL):
        assert store.history(record.digest).rows() == ROWS[: place % 4]


def files(store: Store) -> list[str]:
    """Of records and histories; temporary ones and folders are none."""
    found = (path for name in ("records", "histories", "segments") for path in (store.root / name).rglob("[!.]*"))
    return sorted(path.relative_to(store.root).as_posix() for path in found if path.is_file())
