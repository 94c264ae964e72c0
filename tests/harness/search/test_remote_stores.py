"""A search whose store is behind an address: what one machine found, another one concludes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import yaml

from harness.errors import SymbenchError
from harness.execution.status import watch
from harness.records.opening import open_store
from harness.records.remote import RemoteStore
from harness.search import searching
from harness.search.loading import load
from harness.search.searching import run_search
from harness.suites import loading
from tests.harness.search.test_searching import TINY, Watcher
from tests.object_store import serving

URL = "s3://searched/team/store"
SHORT: dict[str, Any] = {**TINY, "trials": 3, "scheduler": "none"}


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")  # what this is about needs no MLflow
    with serving() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        files.mkdir("searched")
        yield URL
        files.rm("searched", recursive=True)


def no_cluster(address: str | None) -> None:
    raise AssertionError("nothing is left to train")


def test_a_search_that_has_lost_its_store_ends_with_a_sentence(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(self: RemoteStore) -> None:
        raise SymbenchError("Another launch has taken the store.")

    monkeypatch.setattr(RemoteStore, "check_lock", taken)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**SHORT, "trials": 1}))
    with pytest.raises(SymbenchError, match=r"^Another launch has taken the store\.$"):
        run_search(load(tmp_path / "tiny.yaml"), address, address=None, progress=Watcher(), slots=1)


def test_another_machine_goes_on_and_concludes_from_what_one_has_found(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SHORT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    here = run_search(load(tmp_path / "tiny.yaml", ["trials=2"]), address, address=None, progress=Watcher(), slots=2)
    assert [trial.status for trial in here.trials] == ["finished"] * 2

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    watcher = Watcher()
    there = run_search(load(tmp_path / "tiny.yaml"), address, address=None, progress=watcher, slots=2)
    assert watcher.counts == (1, 2)
    known = {trial.digest: trial for trial in here.trials}
    assert known.items() <= {trial.digest: trial for trial in there.trials}.items()
    assert len(there.trials) == 3

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(searching, "cluster", no_cluster)
    last = run_search(load(tmp_path / "tiny.yaml"), address, address=None, progress=Watcher())
    assert last.trials == there.trials
    assert last.suite is not None and there.suite is not None and last.suite != there.suite
    assert loading.load(last.suite).expand() == loading.load(there.suite).expand()

    files = fsspec.filesystem("s3", skip_instance_cache=True)
    assert {name.rpartition("/")[2] for name in files.ls(f"{address}/searches/tiny", detail=False)} >= {
        "best.yaml",
        "trials.csv",
        "trials.jsonl",
        "trials.parquet",
        "search.json",
        "records",
        "histories",
    }
    [state] = watch(open_store(address))
    assert (state.suite, state.state, state.runs, state.done) == ("search/tiny", "succeeded", 3, 3)
    assert open_store(address).statuses() == {}
