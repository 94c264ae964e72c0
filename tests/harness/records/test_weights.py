"""The file of a run's weights: what is in it, and that it goes where its record goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.errors import SymbenchError
from harness.records.compaction import compact
from harness.records.record import Record
from harness.records.remote import RemoteStore
from harness.records.store import Store
from harness.records.weights import WeightsFile, weights_body, weights_file
from tests.harness.records.conftest import Broken, Machine, objects
from tests.harness.records.unsent import DIGEST, GOOD, RECORD, ROWS, age

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64)


def with_weights(record: Record, body: bytes) -> tuple[Record, WeightsFile]:
    file = weights_file(record.digest, body)
    return replace(record, weights=file), file


OURS, OUR_FILE = with_weights(GOOD, b"ours")
THEIRS, THEIR_FILE = with_weights(replace(GOOD, metrics={"mse": 0.75}), b"theirs")


def test_every_tensor_comes_back(tmp_path: Path) -> None:
    tensors = {str(dtype): torch.ones(2, 3).to(dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4)}
    body = weights_body(tensors, DIGEST)
    assert body == weights_body(tensors, DIGEST)
    path = tmp_path / "file"
    path.write_bytes(body)
    found = weights_file(DIGEST, body).load(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors)


def test_other_weights_have_another_name() -> None:
    assert OUR_FILE.file != THEIR_FILE.file and OUR_FILE.bytes == 4
    assert OUR_FILE.file.startswith(f"weights/{DIGEST}-") and OUR_FILE.file.endswith(".safetensors")


def test_a_record_with_weights_reads_back_and_an_older_one_too() -> None:
    assert Record.from_dict(OURS.to_dict()) == OURS
    assert "weights" not in GOOD.to_dict() and Record.from_dict(GOOD.to_dict()) == GOOD


def test_a_success_after_another_names_its_own_weights(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(OURS, ROWS, b"ours")
    store.write(THEIRS, ROWS, b"theirs")
    record = store.read(DIGEST)
    assert record is not None and record.weights == THEIR_FILE
    assert store.bring_weights(THEIR_FILE).read_bytes() == b"theirs"


@pytest.mark.parametrize("word", ["weights/", "histories/", "records/"])
def test_weights_that_were_not_sent_are_sent_before_their_record(nearby: Machine, word: str) -> None:
    here = nearby("here")
    with Broken(here, word), pytest.raises(SymbenchError, match="is kept in"):
        here.write(OURS, ROWS, b"ours")
    assert RECORD not in objects(here)
    assert here.bring_weights(OUR_FILE).read_bytes() == b"ours"
    age(here)
    here.refresh()
    there = nearby("there")
    assert there.bring_weights(OUR_FILE).read_bytes() == b"ours" and there.read(DIGEST) == OURS


def test_of_two_that_succeeded_the_weights_of_the_first_there_count(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    with Broken(here), pytest.raises(SymbenchError, match="is kept in"):
        here.write(OURS, ROWS, b"ours")
    there.write(THEIRS, ROWS, b"theirs")
    here.refresh()
    for store in (here, there, nearby("third")):
        assert store.read(DIGEST) == THEIRS and store.bring_weights(THEIR_FILE).read_bytes() == b"theirs"
    assert OUR_FILE.file not in objects(there) and not here.weights_path(OUR_FILE).exists()
    assert THEIR_FILE.file in objects(there)


def compacted(store: RemoteStore) -> None:
    store.write(OURS, ROWS, b"ours")
    compact(store)
    assert RECORD not in objects(store)


def test_weights_stay_where_they_are_when_their_record_is_compacted(nearby: Machine) -> None:
    here = nearby("here")
    compacted(here)
    there = nearby("there")
    for store in (here, there):
        assert store.read(DIGEST) == OURS and store.bring_weights(OUR_FILE).read_bytes() == b"ours"


def test_weights_of_a_lost_record_are_sent_again_with_it(nearby: Machine) -> None:
    here = nearby("here")
    here.write(OURS, ROWS, b"ours")
    for name in objects(here):
        here._objects.remove(name)
    here.refresh()
    assert {RECORD, OUR_FILE.file} <= objects(here)


@pytest.mark.alone
def test_on_an_object_store_the_others_read_the_weights(machine: Machine) -> None:
    compacted(machine("here"))
    there = machine("there")
    assert there.read(DIGEST) == OURS and there.bring_weights(OUR_FILE).read_bytes() == b"ours"
