"""Joining and leaving a cluster: what is not there is said soon, and what was started is ended."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray
from ray._private.utils import check_version_info

import harness.execution.cluster as module
from harness.errors import SymbenchError
from harness.execution.cluster import cluster
from harness.execution.placement import Shape


@pytest.fixture
def mute_server() -> Iterator[int]:
    """A port that accepts and says nothing, as a firewall or another service may."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for connection in kept:
            connection.close()


def refusal(address: str) -> tuple[str, float]:
    began, environment, folder = time.monotonic(), dict(os.environ), os.getcwd()
    with pytest.raises(SymbenchError) as caught, cluster(address):
        pass
    assert dict(os.environ) == environment
    assert os.getcwd() == folder
    return str(caught.value), time.monotonic() - began


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no.such.host.invalid:6379", "auto"])
def test_nothing_is_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1" if address == "auto" else "")
    sentence, seconds = refusal(address)
    assert sentence.startswith(f"No Ray cluster answers at --address {address}: start one with 'ray start --head'")
    assert seconds < 15


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:8265"])
def test_what_is_no_address_is_told_before_anybody_is_asked(address: str) -> None:
    sentence, seconds = refusal(address)
    assert sentence.startswith(f"--address {address} is ") and "give the head's HOST:PORT" in sentence
    assert seconds < 5


def test_the_client_protocol_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    sentence, _ = refusal("ray://127.0.0.1:1")
    needs = "--address ray://127.0.0.1:1 needs the extra 'cluster': pip install 'symbench[cluster]'"
    assert sentence == f"{needs}, or join by host:port."


def test_something_else_is_there(mute_server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.PROBE_SECONDS + 5 < 30
    monkeypatch.setattr(module, "PROBE_SECONDS", 2.0)
    sentence, seconds = refusal(f"127.0.0.1:{mute_server}")
    assert sentence.startswith(f"No Ray cluster answers at --address 127.0.0.1:{mute_server}")
    assert seconds < 15


def test_a_process_that_does_not_go_by_itself_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXIT_SECONDS", 0.5)
    ours = subprocess.Popen(["sleep", "60"])
    try:
        with module._processes_ended():
            agent = subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
            assert psutil.pid_exists(agent.pid)
        assert not psutil.pid_exists(agent.pid)
        agent.wait()
        assert ours.poll() is None
    finally:
        ours.kill()
        ours.wait()


@pytest.mark.parametrize(("ending", "said"), [("os._exit(1)", True), ("os.kill(os.getpid(), 9)", True), ("0", False)])
def test_a_process_that_is_ended_midway_has_last_words(ending: str, said: bool) -> None:
    code = f"import os; from harness.execution.cluster import _message_if_killed\nwith _message_if_killed(): {ending}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == (f"{module.MESSAGE_IF_KILLED}\n" if said else "")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joining succeeds without a cluster."""
    monkeypatch.setattr(module, "_unreachable", lambda address: None)
    monkeypatch.setattr(module, "_init", lambda **settings: None)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(("mode", "warned"), [("disabled", True), ("token", False)])
def test_a_cluster_that_asks_for_no_token_is_joined_with_a_warning(
    mode: str, warned: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with cluster("head:6379") as caveat:
        assert (caveat is not None) == warned
    if caveat is not None:
        assert "asks for no token: anyone who reaches its ports can run code on it. Start all its processes" in caveat


@pytest.mark.usefixtures("nobody")
def test_another_python_on_the_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**settings: object) -> None:
        check_version_info({"ray_version": ray.__version__, "python_version": "3.10.1"}, "this node")

    monkeypatch.setattr(module, "_init", refuse)
    sentence, _ = refusal("head:6379")
    assert "cannot be joined (Version mismatch: The cluster was started with: Ray: 2." in sentence
    assert "Python: 3.10.1 This process on this node was started with:" in sentence
    assert sentence.endswith(f"Python: {platform.python_version()}).")


def test_what_a_cluster_has_and_uses_is_counted_of_the_nodes_that_live(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0, "memory": 64e9}},
        {"Alive": True, "Resources": {"node:head": 1.0}},
        {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 9.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0})
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 7.0})
    assert module.living_nodes() == [Shape(gpus=2, cpus=8, memory=64e9), Shape(gpus=0, cpus=0)]
    assert module.usage() == {"nodes": 2, "cpus": [1.0, 8.0], "gpus": [2.0, 2.0]}


def test_the_environment_is_afterwards_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_KEPT", "kept")
    monkeypatch.setenv("ELSE", "else")
    monkeypatch.delenv("NEW", raising=False)
    before = dict(os.environ)
    with module.environment(RAY_KEPT="changed", ELSE=None, NEW="new"):
        assert (os.environ["RAY_KEPT"], os.environ["NEW"], "ELSE" in os.environ) == ("changed", "new", False)
        os.environ["RAY_OF_RAY_ITSELF"] = "1"
        del os.environ["RAY_KEPT"]
    assert dict(os.environ) == before


@pytest.mark.usefixtures("nobody")
def test_a_cluster_of_ones_own_asks_for_a_token_that_nobody_else_can_read() -> None:
    before = dict(os.environ)
    with cluster(None, preload=("json",)):
        token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert os.environ["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN" not in os.environ
        assert token.stat().st_mode & 0o077 == 0 and len(token.read_text()) == 64
        assert token.parent.stat().st_mode & 0o077 == 0
        assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"  # loopback alone
        assert {"RAY_task_oom_retries": "1", "RAY_USAGE_STATS_ENABLED": "0"}.items() <= os.environ.items()
    assert not token.exists() and dict(os.environ) == before
