"""Records that were taken into segments are the same records; whoever dies on the way loses none and doubles none."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from harness.errors import SymbenchError
from harness.records import compaction, segment_file
from harness.records.compaction import Compacted, compact
from harness.records.record import Record
from harness.records.segment_file import HISTORY, Kept, SegmentFile, write_segment
from harness.records.segments import Segments
from harness.records.store import Store
from tests.harness.disk import Disk
from tests.harness.records.compacted import ALL, BAD, GOOD, ROWS, STATUSES, STEPS, assert_holds_all, files, filled
from tests.harness.records.test_crashes import dying
from tests.harness.synthetic import make_record


@pytest.mark.parametrize("most", [2, 50_000])
def test_what_was_taken_into_segments_reads_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(compaction, "SEGMENT_RECORDS", most)
    store = filled(Store(tmp_path))
    before = {digest: store.history(digest) for digest in STATUSES}
    done = compact(store)
    assert done == Compacted(taken=5, segments=3 if most == 2 else 1, left=0)
    assert len(files(store)) == 2 * done.segments
    assert_holds_all(store)
    assert_holds_all(Store(tmp_path))
    for digest, history in before.items():
        assert_frame_equal(store.history(digest), history)
    assert store.read("f" * 16) is None and store.history("f" * 16).is_empty()


def test_compacting_again_changes_nothing(tmp_path: Path) -> None:
    store = filled(Store(tmp_path))
    compact(store)
    before = files(store)
    assert compact(store).taken == 0 and files(store) == before


def test_what_is_written_again_counts_until_and_after_it_is_taken_in(tmp_path: Path) -> None:
    """Also where the clock of the machine that wrote it is slow."""
    store = Store(tmp_path)
    [first, *_] = BAD
    again = replace(first, finished="2020-01-01T00:00:00+00:00", notes=("again",))
    done = make_record(seed=3)
    for record, rows in ((first, ROWS[:1]), (again, ROWS[:2]), (done, ROWS)):
        store.write(record, rows)
        for _ in range(2):
            assert list(store.records()) == [record] and store.statuses() == {record.digest: record.status}
            assert store.history(record.digest).height == len(rows)
            compact(store)
    store.write(again, [])
    assert list(store.records()) == [done] and len(files(store)) == 2


def test_small_segments_become_one_and_full_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SEGMENT_RECORDS", 4)
    store = Store(tmp_path)
    segments = []
    for place, record in enumerate(ALL):
        store.write(record, ROWS[: place % 4])
        compact(store)
        segments.append(sorted(store.segments.names()))
    assert [len(names) for names in segments] == [1, 1, 2, 2, 3]  # two records are half of a segment
    assert segments[1][0] in segments[4]
    assert_holds_all(store)


def test_what_cannot_be_read_stays_where_it_is(tmp_path: Path) -> None:
    store = filled(Store(tmp_path))
    broken, untold = store.record_path(GOOD[0].digest, "succeeded"), store.history_path(BAD[0].digest, "failed")
    broken.write_bytes(broken.read_bytes()[:100])
    untold.write_bytes(b"PAR1")
    assert compact(store) == Compacted(taken=3, segments=1, left=2)
    assert broken.exists() and untold.exists() and store.record_path(BAD[0].digest, "failed").exists()
    assert store.read(BAD[0].digest) == BAD[0]
    with pytest.raises(SymbenchError, match="cannot be read: delete it and the record"):
        store.history(BAD[0].digest)


def test_a_failure_is_kept_where_the_success_beside_it_is_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(BAD[0], ROWS)
    store.record_path(BAD[0].digest, "succeeded").write_text("{")
    compact(store)
    assert store.read(BAD[0].digest) == BAD[0]


def test_a_file_that_was_replaced_meanwhile_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(Store(tmp_path))
    later = replace(BAD[0], notes=("later",))
    whole = compaction.write_segment

    def written(*words: object) -> None:
        whole(*words)  # type: ignore[arg-type]
        Store(tmp_path).write(later, ROWS)

    monkeypatch.setattr(compaction, "write_segment", written)
    assert compact(store).left == 1
    assert store.read(later.digest) == later and store.history(later.digest).height == 3


@pytest.mark.parametrize("part", ["records", "histories"])
def test_a_damaged_segment_is_one_sentence_and_is_not_moved(tmp_path: Path, part: str) -> None:
    store = filled(Store(tmp_path))
    compact(store)
    [path] = (tmp_path / "segments" / ("" if part == "records" else part)).glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SymbenchError, match=r"The segment .* cannot be read .* bring it back from a copy"):
        Store(tmp_path).history(GOOD[0].digest)
    assert path.exists()


def test_who_reads_while_files_go_into_a_segment_misses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(Store(tmp_path))
    scan = store._statuses_of_files

    def scanned() -> object:
        found = scan()
        compact(Store(tmp_path))
        return found

    monkeypatch.setattr(store, "_statuses_of_files", scanned)
    assert store.statuses() == STATUSES
    monkeypatch.undo()
    reader = filled(Store(tmp_path / "other"))
    found: list[Record] = []
    for record in reader.records():
        found.append(record)
        compact(Store(tmp_path / "other"))
        reader.write(ALL[-1], ROWS[: len(ALL) - 1])  # so that the next one has a segment to replace
    assert found == ALL


def test_what_is_gone_before_it_could_be_removed_was_taken_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(Store(tmp_path))
    whole = compaction.write_segment

    def written(*words: object) -> None:
        whole(*words)  # type: ignore[arg-type]
        store.record_path(GOOD[0].digest, "succeeded").unlink()

    monkeypatch.setattr(compaction, "write_segment", written)
    assert compact(store) == Compacted(taken=4, segments=1, left=0)


def test_files_go_as_soon_as_their_segment_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a disk has room for one segment more, not for all."""
    store, left = filled(Store(tmp_path)), []
    whole = compaction.write_segment

    def written(*words: object) -> None:
        left.append(len(store.record_files()))
        whole(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(compaction, "SEGMENT_RECORDS", 2)
    monkeypatch.setattr(compaction, "write_segment", written)
    compact(store)
    assert left == [5, 3, 1]


def test_a_new_segment_is_later_than_all_however_few_are_left(tmp_path: Path) -> None:
    (tmp_path / "00000007-aaaaaaaa.parquet").touch()
    assert Segments(tmp_path).new_path().name.startswith("00000008-")
    assert Segments(tmp_path / "none").new_path().name.startswith("00000001-")


def test_other_files_beside_segments_are_none(tmp_path: Path) -> None:
    store = filled(Store(tmp_path))
    compact(store)
    for name in ("notes.parquet", "copy-1.parquet", "7.parquet", "00000009-a.txt"):
        (tmp_path / "segments" / name).write_text("x")
    assert_holds_all(Store(tmp_path))
    assert len(store.segments.names()) == 1


# Files of segments


def kept(number: int, status: str = "succeeded", rows: int = 2) -> Kept:
    values = [number / 3 + row / 7 for row in range(rows)]
    columns = {"step": range(rows), "name": [f"m{number} {status}"] * rows, "value": values, "seconds": values}
    return Kept(f"{number:04d}", status, "", f"{number} {status}", pl.DataFrame(columns, schema=HISTORY))


@pytest.mark.parametrize("most", [1, 3, 1 << 17])
def test_a_segment_in_parts_of_any_size_gives_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Whatever is asked for first, and also where a run that failed and then succeeded lie in different parts."""
    monkeypatch.setattr(segment_file, "GROUP_ROWS", most)
    monkeypatch.setattr(segment_file, "GROUP_RECORDS", min(most, 256))
    runs = [kept(number, status, rows=(number * 5) % 4) for number in range(7) for status in ("failed", "succeeded")]
    path = tmp_path / "00000001-a.parquet"
    (tmp_path / "histories").mkdir()
    write_segment(path, runs)
    for order in (range(14), range(13, -1, -1), random.Random(0).sample(range(14), 14)):
        file = SegmentFile(path)
        for row in order:
            assert file.body(row) == runs[row].body
            assert_frame_equal(file.history(runs[row].digest, runs[row].status), runs[row].history)
        assert file.history("00035", "failed").is_empty() and file.history("9999", "failed").is_empty()
    assert list(Segments(tmp_path).all_bodies(path.name)) == [run.body for run in runs]
    assert SegmentFile(path).index().rows() == [(run.digest, run.status, "") for run in runs]


@pytest.mark.parametrize("part", ["records", "histories"])
def test_a_byte_that_changed_on_the_disk_is_seen(tmp_path: Path, part: str) -> None:
    """Wherever it lies in what is stored: no other number is read."""
    path = tmp_path / "00000001-a.parquet"
    (tmp_path / "histories").mkdir()
    runs = [kept(number, rows=30) for number in range(9)]
    write_segment(path, runs)
    file = path if part == "records" else tmp_path / "histories" / path.name
    whole, seen = file.read_bytes(), 0
    group = pq.read_metadata(file).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    ends = [(one.dictionary_page_offset or one.data_page_offset) + one.total_compressed_size for one in columns]
    for end in ends:
        for place in range(end - 8, end):  # the last bytes of its last page
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(SymbenchError, match="cannot be read"):
                reader = SegmentFile(path)
                reader.index(), reader.bodies(0), reader.history("0003", "succeeded")
            seen += 1
    assert seen == 8 * len(columns)


def test_of_several_segments_a_success_counts_first_and_then_the_later_one(tmp_path: Path) -> None:
    (tmp_path / "histories").mkdir()
    parts = {
        "00000001-b.parquet": [kept(1, "failed"), kept(2, "failed"), kept(3)],
        "00000002-a.parquet": [kept(1, "failed", rows=3)._replace(body="later"), kept(1)],
        "00000003-a.parquet": [kept(2), kept(3, "failed")],
    }
    segments = Segments(tmp_path)
    for name, runs in parts.items():
        write_segment(tmp_path / name, runs)
    assert segments.statuses() == dict.fromkeys(("0001", "0002", "0003"), "succeeded")
    assert segments.find("0001", "failed") == "later" and segments.find("0001", "succeeded") == kept(1).body
    for status, rows in (("failed", 3), ("succeeded", 2)):
        assert segments.has("0001", status)  # type: ignore[arg-type]
        history = segments.history("0001", status)  # type: ignore[arg-type]
        assert history is not None and history["name"].to_list() == [f"m1 {status}"] * rows
    assert segments.find("0004", "failed") is None and segments.history("0004", "failed") is None
    assert not any(segments.is_covered(name) for name in parts)  # a failure stands for no success
    write_segment(tmp_path / "00000004-a.parquet", [kept(3)])
    assert [segments.is_covered(name) for name in parts] == [True, False, False]


# Kills


@pytest.mark.usefixtures("small")
def test_whoever_dies_at_any_step_loses_and_doubles_no_record(tmp_path: Path) -> None:
    for step in range(STEPS):
        store = Store(tmp_path / str(step))
        for part in (ALL[:1], ALL[1:]):  # a small segment is there already
            for record in part:
                store.write(record, ROWS[: ALL.index(record) % 4])
            if part == ALL[:1]:
                compact(store)
        with dying(step) as made:
            compact(store)
        again = Store(store.root)
        assert_holds_all(again)
        compact(again)
        assert_holds_all(again)
        assert not list((store.root / "records").glob("*.json"))
        left = {name.rpartition("/")[2] for name in files(again)}
        assert left == again.segments.names() and len(files(again)) == 2 * len(left)
        if made[-1] != "died":
            assert step > 16
            return
    pytest.fail("it never came to an end")


def test_a_segment_is_on_disk_before_a_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(Store(tmp_path))
    disk = Disk(tmp_path, monkeypatch)
    unlink, seen = os.unlink, []

    def unlinked(path: Path, **options: object) -> None:
        if Path(path).parent.name in ("records", "histories") and not Path(path).name.startswith("."):
            seen.append((Path(path).parent.name, list(disk.events), disk.unsafe()))
        unlink(path)

    monkeypatch.setattr(os, "unlink", unlinked)
    compact(store)
    assert len(seen) == 2 * len(ALL) and all(faults == [] for *_, faults in seen)
    [name] = store.segments.names()
    assert seen[0][1] == [
        f"sync segments/histories/{name}*",
        f"move segments/histories/{name}",
        "sync segments/histories",
        f"sync segments/{name}*",
        f"move segments/{name}",
        "sync segments",
    ]
    assert [folder for folder, *_ in seen] == ["histories"] * len(ALL) + ["records"] * len(ALL)


def test_stores_are_merged_by_copying_their_files(tmp_path: Path) -> None:
    """A file is written once, and what counts of two records does not depend on where they were written."""
    one, two, both = (Store(tmp_path / name) for name in ("one", "two", "both"))
    for place, record in enumerate(ALL):
        (one if place % 2 else two).write(record, ROWS[: place % 4])
    one.write(BAD[0], ROWS[: ALL.index(BAD[0]) % 4])
    compact(one)
    for store in (one, two):
        for name in files(store):
            shutil.copy(store.root / name, both.root / name)
    assert_holds_all(both)
