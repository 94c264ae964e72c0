"""A worker whose node cannot use the store says so before it runs anything."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import SymbenchError
from harness.execution.messages import WorkerConfig
from harness.execution.worker import Worker
from harness.records.store import Store

GREET = """
import sys
from harness.execution.messages import WorkerConfig
from harness.execution.worker import Worker
config = WorkerConfig(root=sys.argv[1], launch_id="one", executor="json:loads", command=["symbench"])
print(Worker(config).start().host)
"""
READ_ONLY = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"'


def test_a_node_that_does_not_see_the_store(tmp_path: Path) -> None:
    config = WorkerConfig(root=tmp_path / "store", launch_id="one", executor="json:loads", command=["symbench"])
    with pytest.raises(
        SymbenchError, match=f"On the node {socket.gethostname()}: The store {tmp_path}/store is not seen"
    ):
        Worker(config).start()


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs a mount namespace of its own")
def test_a_node_that_sees_the_store_and_cannot_write_to_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.write_launch("one", {})
    greet = [sys.executable, "-c", GREET, str(store.root)]
    mounted = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(store.root), *greet]
    refused = subprocess.run(mounted, capture_output=True, text=True, timeout=60)
    sentence = f"On the node {socket.gethostname()}: The store {store.root} is read-only: permit writing"
    assert sentence in refused.stderr
    welcome = subprocess.run(greet, capture_output=True, text=True, timeout=60)
    assert welcome.stdout.strip() == socket.gethostname(), welcome.stderr
    assert [path.name for path in (store.root / "launches").iterdir()] == ["one.json"]


def test_a_node_that_sees_another_store_under_the_path(tmp_path: Path) -> None:
    Store(tmp_path / "store").write_launch("another", {})
    config = WorkerConfig(root=tmp_path / "store", launch_id="one", executor="json:loads", command=["symbench"])
    with pytest.raises(SymbenchError, match="is not seen: put it where all nodes of the cluster see it"):
        Worker(config).start()


def test_a_node_that_cannot_write_what_it_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(store: Store) -> None:
        raise SymbenchError("The disk is full.")

    Store(tmp_path / "store").write_launch("one", {})
    monkeypatch.setattr(Store, "try_writing", full)
    config = WorkerConfig(root=tmp_path / "store", launch_id="one", executor="json:loads", command=["symbench"])
    with pytest.raises(SymbenchError, match=r"On the node .*: The disk is full"):
        Worker(config).start()
