"""Histories are read as far as they can be: a damaged one is named once, and the report is made without it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness.collate import collate
from harness.errors import SymbenchError
from harness.records.history import HistoryRow
from harness.records.record import Record
from harness.records.store import Store
from harness.report import write_report
from harness.report.content.by_epoch import ENTROPY, LOSS
from harness.report.sections.sample_complexity import sample_complexity
from tests.harness.synthetic import make_record

METHODS = ("mlp-ga", "mlp-ps")


def rows_of(level: float) -> list[HistoryRow]:
    return [HistoryRow(step, name, level, float(step)) for name in (LOSS, ENTROPY) for step in range(4)]


@pytest.fixture
def runs() -> list[Record]:
    return [make_record("exp_classify", method, seed=seed) for method in METHODS for seed in (0, 1)]


@pytest.fixture
def store(tmp_path: Path, runs: list[Record]) -> Store:
    found = Store(tmp_path / "store")
    for record in runs:
        found.write(record, rows_of(1.0 + record.spec.seed))
    return found


def parquet(frame: pl.DataFrame, **options: Any) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


def flipped(body: bytes) -> bytes:
    """The pages spoiled, and the footer whole."""
    chance, spoiled = random.Random(0), bytearray(body)
    for place in range(8, len(body) // 3):
        spoiled[place] = chance.randrange(256)
    return bytes(spoiled)


WHOLE = {"step": [0], "name": [LOSS], "value": [1.0], "seconds": [1.0]}
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda body: body[: len(body) // 2],
    "empty": lambda body: b"",
    "text": lambda body: b"no parquet",
    "spoiled pages": flipped,
    "spoiled end": lambda body: body[:-20] + bytes(20),
    "another table": lambda body: parquet(pl.DataFrame({"a": [1]})),
    "a column missing": lambda body: parquet(pl.DataFrame(WHOLE).drop("value")),
    "another type": lambda body: parquet(pl.DataFrame(WHOLE | {"value": ["high"]})),
    "lists": lambda body: parquet(pl.DataFrame(WHOLE | {"value": [[1.0]]})),
    "two million rows": lambda body: parquet(pl.DataFrame(WHOLE).select(pl.all().repeat_by(2_000_000).explode())),
    "a name that is long": lambda body: parquet(pl.DataFrame(WHOLE | {"name": ["0" * 70_000_000]})),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_history_is_named_in_one_warning_and_the_report_is_made(
    store: Store, runs: list[Record], tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path = store.history_path(runs[-1].digest, "succeeded")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SymbenchError, match="cannot be read"):
        store.history(runs[-1].digest)
    with caplog.at_level(logging.WARNING):
        write_report(collate(store), store, tmp_path)
    sentence = f"1 history is damaged and left out of the figures by epoch: histories/{path.name}."
    assert [message.startswith(sentence) for message in caplog.messages] == [True]
    for name in ("leaderboard.html", "leaderboard.md"):
        text = (tmp_path / name).read_text(encoding="utf-8").replace("\\_", "_")
        assert text.count("1 history is damaged") == 1 and path.name in text
    figures = sample_complexity(collate(store), store.history)[0].comparison_groups[0].figure_group.figures  # type: ignore[union-attr]
    loss = next(figure for figure in figures if figure.title == "Validation loss by epoch")
    levels = {trace["name"]: trace["y"][0] for trace in loss.spec["data"] if "name" in trace}
    assert levels == {"mlp-ga": 1.5, "mlp-ps": 1.0}


def test_no_damage_is_no_warning_and_several_are_one(store: Store, runs: list[Record], tmp_path: Path) -> None:
    def warnings() -> str:
        write_report(collate(store), store, tmp_path)
        return (tmp_path / "leaderboard.md").read_text(encoding="utf-8")

    assert "damaged" not in warnings()
    for record in runs[:2]:
        store.history_path(record.digest, "succeeded").write_bytes(b"")
    assert warnings().count("2 histories are damaged") == 1


def test_a_step_that_a_history_has_twice_is_one_value_and_one_seed(store: Store, runs: list[Record]) -> None:
    """What was trained again since a checkpoint stands there again: the later value is that of the run."""
    again = make_record("exp_classify", "mlp-ga", seed=0)
    store.write(again, [*rows_of(100.0), *rows_of(3.0), *rows_of(1.0)])
    figures = sample_complexity(collate(store), store.history)[0].comparison_groups[0].figure_group.figures  # type: ignore[union-attr]
    loss = next(figure for figure in figures if figure.title == "Validation loss by epoch")
    line = next(trace for trace in loss.spec["data"] if trace.get("name") == "mlp-ga")
    assert line["y"] == [1.5] * 4
    band = next(trace for trace in loss.spec["data"] if trace["meta"]["series"] == line["meta"]["series"])
    assert band["y"] == pytest.approx([2.0] * 4 + [1.0] * 4)  # one standard error of 1 and 2
