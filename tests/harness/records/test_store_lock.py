"""One launch writes to a store at a time, however the store is spelled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from harness.errors import SymbenchError
from harness.records.opening import existing_store, open_store
from harness.records.store import Store


def test_a_second_launch_is_told_who_holds_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock():
        code = textwrap.dedent("""
            import sys; from pathlib import Path; from harness.records.store import Store
            with Store(Path(sys.argv[1])).lock(): pass
        """)
        root = Path(__file__).parents[3]
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True)
        assert other.returncode == 1
        assert f"StoreError: Another launch (pid {os.getpid()} on " in other.stderr
        assert f"is using the store {tmp_path}" in other.stderr
        with pytest.raises(SymbenchError, match="Another launch"), Store(tmp_path).lock():
            pass
    with Store(tmp_path).lock():
        pass


def test_a_killed_holder_leaves_the_store_free(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys, time; from pathlib import Path; from harness.records.store import Store
        with Store(Path(sys.argv[1])).lock():
            print("held", flush=True); time.sleep(60)
    """)
    root = Path(__file__).parents[3]
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(SymbenchError, match=f"pid {holder.pid}"), Store(tmp_path).lock():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with Store(tmp_path).lock():
        pass


@pytest.mark.parametrize("spelling", ["link", "link/", "other/../store", "store/../link", "./store"])
def test_however_it_is_spelled_it_is_one_store_with_one_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "link").symlink_to("store")
    (tmp_path / "other").mkdir()
    for other in (Store(tmp_path / spelling), open_store(f"file://{tmp_path}/{spelling}")):
        assert other.root == store.root and other.mlflow_uri == store.mlflow_uri
        with store.lock(), pytest.raises(SymbenchError, match=f"Another launch .*{os.getpid()}"), other.lock():
            pass
    monkeypatch.chdir(tmp_path / "other")
    assert Store(Path("..") / "store").root == store.root
    monkeypatch.setenv("HOME", str(tmp_path))
    found = existing_store("~/link")
    assert found is not None and found.root == store.root


def test_other_machines_open_a_store_as_it_was_given(tmp_path: Path) -> None:
    """A link may lead elsewhere on them."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Store(tmp_path / "link" / "store").address == str(tmp_path / "link" / "store")


def test_links_in_a_circle_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(SymbenchError, match=r"choose another --store\.$"):
        Store(tmp_path / "a" / "store")


def test_what_the_lock_leaves_says_nothing_of_a_holder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock():
        assert json.loads((tmp_path / "launch.holder.json").read_text())["pid"] == os.getpid()
        store.check_lock()
    assert not (tmp_path / "launch.holder.json").exists()
