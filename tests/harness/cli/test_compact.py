"""``symbench compact``, and the launch that compacts its store when it has ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.cli import root
from harness.errors import SymbenchError
from harness.execution import launch
from harness.records import compaction
from harness.records.store import Store
from tests.harness.cli.conftest import SUITE, pretend
from tests.harness.synthetic import make_record


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """In the current folder, with a suite beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    (tmp_path / "mine.yaml").write_text(SUITE)
    return Store(tmp_path / "store")


def symbench(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["symbench", *words, "--store", "store"])
    with pytest.raises(SystemExit) as ended:
        root.main()
    return int(ended.value.code or 0)


def files(store: Store) -> int:
    return len(list((store.root / "records").glob("*.json")))


def test_a_store_and_its_searches_are_compacted(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = store.search("lr")
    for one, count in ((store, 3), (trials, 2)):
        for seed in range(count):
            one.write(make_record(seed=seed), [])
    assert symbench(monkeypatch, "compact") == 0
    said = capsys.readouterr().out
    assert "store: 3 records were taken into segments; segments now: 1." in said
    assert "store/searches/lr: 2 records were taken" in said
    assert files(store) == files(trials) == 0 and len(store.statuses()) == 3 and len(trials.statuses()) == 2


def test_it_never_goes_on_beside_a_launch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(make_record(), [])
    with store.lock():
        assert symbench(monkeypatch, "compact") == 2
    assert files(store) == 1


@pytest.mark.parametrize(("worth", "left"), [(2, 0), (5, 4)])
def test_a_launch_compacts_a_store_of_many_files(
    store: Store, monkeypatch: pytest.MonkeyPatch, worth: int, left: int
) -> None:
    monkeypatch.setattr(compaction, "WORTH", worth)
    monkeypatch.setattr(launch, "launch", pretend(["succeeded"] * 4))
    assert symbench(monkeypatch, "run", "mine.yaml") == 0
    assert files(store) == left and len(store.statuses()) == 4


def test_a_launch_whose_store_cannot_be_compacted_has_succeeded(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*words: object) -> None:
        raise SymbenchError("The address is away.")

    monkeypatch.setattr(compaction, "WORTH", 1)
    monkeypatch.setattr(compaction, "compact", broken)
    monkeypatch.setattr(launch, "launch", pretend(["succeeded"] * 4))
    assert symbench(monkeypatch, "run", "mine.yaml") == 0
    assert "The address is away. Run 'symbench compact' later." in capsys.readouterr().out
