"""A Ray cluster of a head without processors and some nodes, all on this machine."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.execution.cluster import _module_state

FOLDER = Path(__file__).parent
EXECUTORS = FOLDER.parent / "harness" / "execution"
OBJECT_STORE_BYTES = 100 * 1024**2
# A death is noticed within seconds; by default Ray takes about a quarter of a minute.
ATTENTIVE = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_initial_delay_ms": "0",
}


class Nodes:
    """The cluster, with ``folder`` for its sockets and logs, and its nodes that are ``up``."""

    def __init__(self, folder: str, count: int) -> None:
        self._folder, self._count = folder, count
        self.start()

    def start(self) -> None:
        from ray.cluster_utils import Cluster

        common = {"object_store_memory": OBJECT_STORE_BYTES}
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": self._folder, **common}
        self.cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self.up = [self.cluster.add_node(num_cpus=1, memory=2**30, **common) for _ in range(self._count)]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill(self) -> None:
        """The first node's processes end at once, without a word."""
        self.cluster.remove_node(self.up.pop(0), allow_graceful=False)

    def restart(self) -> None:
        """Another cluster, whatever has become of this one."""
        self.cluster.shutdown()
        self.start()


@contextmanager
def several_nodes(monkeypatch: pytest.MonkeyPatch, count: int = 3) -> Iterator[Nodes]:
    """The cluster is up inside."""
    Path("/tmp/ray").mkdir(exist_ok=True)  # where Ray notes the address of the cluster that is up
    with tempfile.TemporaryDirectory(prefix="sb", dir="/tmp", ignore_cleanup_errors=True) as folder:
        token = Path(folder) / "token"
        token.write_text(secrets.token_hex(32))
        environment = ATTENTIVE | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_preload_python_modules": "torch",
            "PYTHONPATH": f"{EXECUTORS}:{FOLDER}:{FOLDER.parents[1]}",
            "MLFLOW_TRACKING_URI": "nowhere://",  # what these tests are about needs no MLflow
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with _module_state(loopback=False):
            nodes = Nodes(folder, count)
            try:
                yield nodes
            finally:
                nodes.cluster.shutdown()
