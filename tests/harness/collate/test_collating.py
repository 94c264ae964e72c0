"""Stores that lie in one folder keep their tables and leaderboards apart."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness.collate import collate, results_folder
from harness.records.store import Store
from harness.report import write_report
from tests.harness.synthetic import make_record, write

NAMES = ("store", "a", "b", "results", "tables", "a-results")


def test_stores_of_one_folder_overwrite_nothing_of_each_other(tmp_path: Path) -> None:
    stores = {name: Store(tmp_path / name) for name in NAMES}
    for number, store in enumerate(stores.values()):
        write(store.root, make_record(value=number / 10))
        write_report(collate(store), store, results_folder(store))
    for number, store in enumerate(stores.values()):
        folder = results_folder(store)
        assert collate(store, folder / "tables").parsed == 0
        [value] = collate(store).runs["value"]
        assert value == number / 10
        assert f"{number / 10:.3g}" in (folder / "leaderboard.md").read_text()
    assert results_folder(stores["store"]) == tmp_path


@given(st.lists(st.text("ab-store/.", min_size=1).map(lambda text: text.strip("/.")).filter(bool), unique=True))
def test_no_two_stores_of_a_folder_have_the_same_results(names: list[str]) -> None:
    class Place:
        def __init__(self, name: str) -> None:
            self.root = Path("/somewhere", name.replace("/", "-"))

    places = {Place(name).root: Place(name) for name in [*names, *NAMES]}
    assert len({results_folder(place) for place in places.values()}) == len(places)  # type: ignore[arg-type]
