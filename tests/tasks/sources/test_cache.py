"""The cache builds a file once, whole or not at all, and says clearly what is wrong with a damaged one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import DataError
from tasks.sources import cache


def write(text: str):
    return lambda path: path.write_text(text)


def refuse(path: Path) -> None:
    raise AssertionError("an existing file was built again")


def nowhere(tmp_path: Path, name: str) -> str:
    """A path no folder can be made at, not even by root: it lies below a regular file."""
    (tmp_path / name).write_text("a file, not a folder")
    return str(tmp_path / name / "below")


def test_the_chosen_folder_comes_before_the_users_cache(data_folder, user_cache):
    assert cache.find("x") is None
    for folder, text in ((user_cache, "cache"), (data_folder, "chosen")):
        folder.mkdir(parents=True)
        (folder / "x").write_text(text)
        assert cache.find("x").read_text() == text


def test_folders_without_any_setting(monkeypatch):
    monkeypatch.delenv("SYMBENCH_DATA")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folders() == [Path.home() / ".cache" / "symbench"]


def test_a_missing_file_is_built_once(data_folder):
    assert cache.obtain("x", write("built")) == data_folder / "x"
    assert cache.obtain("x", refuse).read_text() == "built"


def test_an_unwritable_folder_is_read_and_the_users_cache_written(tmp_path, user_cache, monkeypatch):
    monkeypatch.setenv("SYMBENCH_DATA", nowhere(tmp_path, "blocked"))
    assert cache.obtain("x", write("built")) == user_cache / "x"
    assert cache.obtain("x", refuse) == user_cache / "x"


def test_no_writable_folder_is_one_clear_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("SYMBENCH_DATA", nowhere(tmp_path, "blocked"))
    monkeypatch.setenv("XDG_CACHE_HOME", nowhere(tmp_path, "blocked too"))
    with pytest.raises(DataError, match="set SYMBENCH_DATA to a folder that can be written"):
        cache.obtain("x", refuse)


def test_a_build_that_fails_leaves_nothing_and_can_be_repeated(data_folder):
    def half(path: Path) -> None:
        path.write_text("half of i")
        assert cache.find("x") is None, "the file is visible before it is whole"
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cache.obtain("x", half)
    assert [path for path in data_folder.iterdir() if path.suffix != ".lock"] == []
    assert cache.obtain("x", write("whole")).read_text() == "whole"


def test_contents_reach_the_disk_before_the_name_does(data_folder, monkeypatch):
    """A power cut after the name would leave a name for nothing."""
    order = []
    sync, move = os.fsync, os.replace

    def synced(file: int) -> None:
        order.append(("synced", os.fstat(file).st_size))
        sync(file)

    def moved(source: Path, target: Path) -> None:
        order.append(("moved", Path(target).name))
        move(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    cache.obtain("x", write("whole"))
    assert order[:2] == [("synced", 5), ("moved", "x")]


def test_two_processes_fill_the_cache_once(tmp_path, repository):
    program = """
import sys, time
from pathlib import Path
import numpy as np
from tasks.sources import cache

barrier, log, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
(barrier / name).touch()
while len(list(barrier.iterdir())) < 2:
    time.sleep(0.005)

def generate():
    with log.open("a") as file:
        file.write("built\\n")
    time.sleep(0.3)
    return {"a": np.arange(100_000)}

assert cache.arrays("x.npz", ["a"], generate)["a"].sum() == 4_999_950_000
"""
    (tmp_path / "barrier").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "barrier"), str(tmp_path / "log"), name], env=environment
        )
        for name in ("first", "second")
    ]
    assert [process.wait(timeout=50) for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text() == "built\n"


def test_arrays_come_back_as_they_were(data_folder):
    made = {"a": np.arange(6, dtype=np.int8).reshape(2, 3), "b": np.array([0.1, np.pi])}
    for generate in (lambda: made, lambda: pytest.fail("generated again")):
        read = cache.arrays("x.npz", ["a", "b"], generate)
        for field, array in made.items():
            assert read[field].dtype == array.dtype
            np.testing.assert_array_equal(read[field], array)


@pytest.mark.parametrize("kept", [0, 1, 30, 0.5, 0.99])
def test_a_truncated_file_is_reported(data_folder, kept):
    cache.arrays("x.npz", ["a"], lambda: {"a": np.random.default_rng(0).random(1_000)})
    whole = (data_folder / "x.npz").read_bytes()
    (data_folder / "x.npz").write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match=r"x\.npz is damaged .* delete it"):
        cache.arrays("x.npz", ["a"], lambda: pytest.fail("a damaged file is not silently replaced"))


def test_every_flipped_byte_of_the_contents_is_noticed(data_folder):
    values = np.random.default_rng(0).random(50)
    path = cache.obtain("x.npz", lambda path: cache.save(path, {"a": values}))
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read = cache.load(path, ["a"])["a"]
        except DataError:
            continue
        np.testing.assert_array_equal(read, values)  # bytes that carry no contents, such as time stamps


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(DataError, match="damaged"):
        cache.load(tmp_path / "x.npz", ["a"])
    with pytest.raises(ValueError, match="allow_pickle"):
        cache.save(tmp_path / "y.npz", {"a": np.array([{"code": 1}], dtype=object)})


def test_a_missing_field_and_another_format_are_reported(tmp_path):
    cache.save(tmp_path / "x.npz", {"a": np.zeros(1)})
    np.save(tmp_path / "bare.npy", np.zeros(3))
    for name, field in (("x.npz", "b"), ("bare.npy", "a")):
        with pytest.raises(DataError, match="damaged"):
            cache.load(tmp_path / name, [field])


def test_a_name_tells_versions_and_parameters_apart():
    assert cache.versioned_name("nbody", 1, nodes=5, seed=43) == "nbody-v1-nodes5-seed43.npz"
