"""What is written survives: contents reach the disk before their names, and names before what builds on them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tasks.sources import atomic_files
from tests.harness.disk import Disk


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


def test_contents_are_synced_before_any_name_and_names_one_after_the_other(tmp_path: Path, disk: Disk) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    atomic_files.publish({tmp_path / "first" / "a": b"1", tmp_path / "second" / "b": b"2"})
    assert disk.events == [
        "sync first/a*",
        "sync second/b*",
        "move first/a",
        "sync first",
        "move second/b",
        "sync second",
    ]
    assert disk.unsafe() == []


def test_a_file_that_is_replaced_stays_until_the_new_one_is_whole(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    with atomic_files.replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert disk.events == ["sync state*", "move state", "sync ."]
    assert disk.unsafe() == []


def test_what_fails_while_it_is_written_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="half"), atomic_files.replacing(path) as file:
        file.write(b"ne")
        raise ValueError("half")
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"state": b"old"}


def test_a_folder_is_moved_once_all_in_it_is_synced(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "staged" / "inner").mkdir(parents=True)
    for name in ("a", "inner/b"):
        (tmp_path / "staged" / name).write_bytes(b"x")
    atomic_files.move_unsynced(tmp_path / "staged", tmp_path / "there")
    assert (tmp_path / "there" / "inner" / "b").read_bytes() == b"x"
    assert disk.unsafe() == []


def test_new_folders_are_synced_into_those_above(tmp_path: Path, disk: Disk) -> None:
    atomic_files.make_folder(tmp_path / "a" / "b" / "c")
    assert disk.events == ["sync .", "sync a", "sync a/b"]
    atomic_files.make_folder(tmp_path / "a" / "b" / "c")
    assert len(disk.events) == 3


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_disk_that_fails_at_any_step_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, fails, full)
        with pytest.raises(OSError, match="No space left"):
            atomic_files.publish({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_never_replaces_one_that_is_there(tmp_path: Path) -> None:
    atomic_files.write_new(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        atomic_files.write_new(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("most", [1, 3, 100])
def test_a_disk_that_takes_less_than_it_is_given_is_given_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, body: write(file, body[:most]))
    atomic_files.publish({tmp_path / "a": b"0123456789", tmp_path / "b": b""})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"0123456789", "b": b""}
