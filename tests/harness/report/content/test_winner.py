"""Which method wins a task, and what is said if none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.collate import collate
from harness.errors import SettingsError
from harness.records.store import Store
from harness.report.content.winner import winner
from tests.harness.synthetic import make_record, write


@pytest.mark.parametrize(
    ("values", "seeds", "said"),
    [
        ({"gnn-ga": 0.1, "gnn-ps": 0.2}, 2, "nbody has no winner yet"),
        ({"gnn-ga": 0.1, "gnn-ps": 0.1, "egnn": 0.9}, 6, "gnn-ga, gnn-ps share the first place"),
        ({"gnn-ga": 0.1, "gnn-ps": 0.2, "egnn": 0.9}, 6, None),
    ],
)
def test_a_winner_is_alone_on_the_first_place(
    values: dict[str, float], seeds: int, said: str | None, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    write(
        store.root,
        *(
            make_record("nbody", method, seed=seed, value=value + 0.001 * seed)
            for method, value in values.items()
            for seed in range(seeds)
        ),
    )
    tables = collate(store)
    if said is None:
        assert winner(tables, "nbody")["method"] == "gnn-ga"
    else:
        with pytest.raises(SettingsError, match=said):
            winner(tables, "nbody")
    with pytest.raises(SettingsError, match="no results of the task qm9"):
        winner(tables, "qm9")
