"""Any order of writes, failing puts and restarts on two machines: what was written is there once puts work again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from harness.errors import SymbenchError
from harness.records import remote
from harness.records.history import HistoryRow
from harness.records.remote import RemoteStore
from tests.harness.records.conftest import Broken, objects
from tests.harness.synthetic import make_record

ROWS = [HistoryRow(0, "loss", 1.5, 0.1)]
GOOD = {seed: make_record(seed=seed) for seed in range(2)}
BAD = {seed: make_record(seed=seed, error="It broke.") for seed in range(2)}
who, seeds = st.sampled_from(["a", "b"]), st.integers(0, 1)


class Together(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(remote, "WAITS", ())
        self.url = f"memory://{uuid4().hex}/store"
        self.stores: dict[str, RemoteStore] = {}
        self.good: set[int] = set()
        self.tried: set[int] = set()

    @initialize()
    def start(self) -> None:
        for name in ("a", "b"):
            self.open(name)

    @rule(name=who)
    def open(self, name: str) -> None:
        self.patch.setenv("XDG_CACHE_HOME", str(Path(self.folder.name) / name))
        self.stores[name] = RemoteStore(self.url)

    @rule(name=who, seed=seeds, succeeds=st.booleans(), works=st.integers(0, 7))
    def write(self, name: str, seed: int, succeeds: bool, works: int) -> None:
        """All but the first changes at the address fail."""
        with Broken(self.stores[name], after=works):
            try:
                self.stores[name].write((GOOD if succeeds else BAD)[seed], ROWS)
            except SymbenchError as error:
                assert "is kept in" in str(error)
            assert self.stores[name].read(GOOD[seed].digest) is not None
        self.tried.add(seed)
        if succeeds:
            self.good.add(seed)

    @rule(name=who, works=st.integers(0, 7))
    def refresh(self, name: str, works: int) -> None:
        with Broken(self.stores[name], after=works):
            self.stores[name].refresh()

    @invariant()
    def no_record_without_its_history(self) -> None:
        for store in list(self.stores.values())[:1]:
            found = objects(store)
            for name in found:
                if name.startswith("records/"):
                    assert name.replace("records", "histories").replace(".json", ".parquet") in found

    def teardown(self) -> None:
        for _ in range(2):
            for store in self.stores.values():
                store.refresh()
        wanted = {GOOD[seed].digest: "succeeded" if seed in self.good else "failed" for seed in self.tried}
        for store in self.stores.values():
            assert store.statuses() == wanted
            assert not store._ledger.unsent()
            for digest in wanted:
                assert store.history(digest).height == 1
        ends = {digest: "" if status == "succeeded" else ".failed" for digest, status in wanted.items()}
        if self.stores:
            assert {name for name in objects(store) if name.startswith("records/")} == {
                f"records/{digest}{end}.json" for digest, end in ends.items()
            }
        self.patch.undo()
        self.folder.cleanup()
        if self.tried:
            fsspec.filesystem("memory").rm(self.url.partition("://")[2].partition("/")[0], recursive=True)


TestTogether = Together.TestCase
TestTogether.settings = settings(
    max_examples=15, stateful_step_count=10, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
