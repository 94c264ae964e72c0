"""Ray for the length of one launch: a cluster of its own on this machine, or one that is there already.

A local cluster listens on loopback only, joins nobody, says nothing, and gives every process back. Some of that Ray
offers only through the environment (read when ``ray`` is first imported, or by the processes that it starts) and some
only through its private module state; both are set here, for as long as the cluster is up, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

import harness
from harness.errors import SymbenchError
from harness.execution.address import check_address
from harness.execution.placement import Shape
from harness.utils.interrupts import uninterrupted

# The launch itself says what became of every run, also of those whose answers it no longer waits for.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1"}
PRELOAD = ("torch",)  # PyG takes longer to import, and many networks need none of it
OBJECT_STORE_BYTES = 128 * 1024**2
PROBE_SECONDS = 20.0
GONE_SECONDS = 10.0
CONNECT_SECONDS = 5.0
SAID_CHARACTERS = 300
# A Unix socket's path holds 107 characters, and Ray appends 64 to its folder.
TEMPORARY_FOLDER_CHARACTERS = 24

MESSAGE_IF_KILLED = (
    "symbench was ended midway: Ray does that where the cluster's head, or its raylet on this machine, has died. "
    "Once the cluster is up again, the same command does what is left."
)

_COUNTED = {"cpus": "CPU", "gpus": "GPU"}

_PROBE = """
import sys
address = sys.argv[1]
if address.startswith("ray://"):
    import ray
    ray.init(address)
else:
    from ray._raylet import GcsClient
    GcsClient(address=address)
"""


@contextlib.contextmanager
def cluster(address: str | None, *, preload: Sequence[str] = PRELOAD) -> Iterator[str | None]:
    """Ray is up inside: a local cluster where ``address`` is ``None``, else the one at that address.

    ``address`` is ``auto``, ``host:port`` or ``ray://host:port``. Gives a sentence for the user, where there is one to
    say of it. Raises :class:`SymbenchError` where nothing answers there. Environment and current folder are as before
    when this ends, and no process is left.
    """
    with _message_if_killed(), _local(preload) if address is None else _joined(address) as caveat:
        yield caveat


@contextlib.contextmanager
def _message_if_killed() -> Iterator[None]:
    """Where this process ends before the context does, a shell that sees its pipe close says so.

    Ray ends a process that it cannot serve any more from threads of its own: no exception, no handler.
    """
    words = ["sh", "-c", 'read -r all_is_well || echo "$0" >&2', MESSAGE_IF_KILLED]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as shell:
        try:
            yield
        finally:
            shell.communicate(b"\n")


@contextlib.contextmanager
def _local(preload: Sequence[str]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_temporary_folder())
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        stack.enter_context(
            environment(
                RAY_AUTH_MODE="token",
                RAY_AUTH_TOKEN_PATH=str(token),
                RAY_AUTH_TOKEN=None,
                RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
                **QUIET,
                RAY_task_oom_retries="1",
                RAY_preload_python_modules=",".join(preload),
            )
        )
        stack.enter_context(_module_state(loopback=True))
        stack.enter_context(_processes_given_back())
        with contextlib.chdir(_project_root()):
            _init(
                address="local",
                num_cpus=usable_cpus(),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
            )
        yield


@contextlib.contextmanager
def _joined(address: str) -> Iterator[str | None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment(**QUIET))
        stack.enter_context(_module_state(loopback=False))
        check_address(address)
        if (refusal := _refusal(address)) is not None:
            raise SymbenchError(refusal)
        stack.enter_context(_shut_down())
        try:
            with contextlib.chdir(_project_root()):
                _init(address=address)
        except Exception as error:  # Ray has no common class for the many ways in which joining fails
            said = " ".join(str(error).split())[:SAID_CHARACTERS] or type(error).__name__
            raise SymbenchError(f"The Ray cluster at --address {address} cannot be joined ({said}).") from error
        yield _open_door(address)


def _open_door(address: str) -> str | None:
    from ray import _raylet

    native: Any = _raylet
    if native.get_authentication_mode() == native.AuthenticationMode.TOKEN:
        return None
    return (
        f"The Ray cluster at --address {address} asks for no token: whoever reaches its ports can run code on it. "
        "Start all its processes, and symbench, with RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH."
    )


def _init(**settings: Any) -> None:
    import ray

    before = signal.getsignal(signal.SIGTERM)
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    if callable(before):  # Ray has put one of its own in its place, which leaves at once
        signal.signal(signal.SIGTERM, before)


def living_nodes() -> list[Shape]:
    """What each node of the Ray that is up has."""
    import ray

    totals = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Shape(total.get("GPU", 0), total.get("CPU", 0), total.get("memory", 0)) for total in totals]


def usage() -> dict[str, Any]:
    """Of the Ray that is up: the nodes that live, and of CPUs and GPUs how many are in use and how many there are."""
    import ray

    have, free = ray.cluster_resources(), ray.available_resources()
    counts = {name: [have.get(key, 0.0) - free.get(key, 0.0), have.get(key, 0.0)] for name, key in _COUNTED.items()}
    return {"nodes": len(living_nodes()), **counts}


def head_answers() -> bool:
    """Whether the head of the Ray that is up takes connections.

    Asked before Ray is, which would wait for its head a minute and then end this process without a word. (Its client,
    for ``ray://``, raises.)
    """
    import ray

    if ray.util.client.ray.is_connected():
        return True
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return _listens(host, int(port))


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def usable_cpus() -> int:
    """The processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _project_root() -> Path:
    """Workers search the folder that is current during ``ray.init`` first: it must be ours, whatever the user's has."""
    return Path(harness.__file__).resolve().parents[1]


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    usual = tempfile.gettempdir()
    parent = usual if len(usual) <= TEMPORARY_FOLDER_CHARACTERS else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="symbench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Sets variables (``None`` removes one), and afterwards puts these and all of Ray's back: it sets some itself."""

    def touched() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name in values or name.startswith("RAY_")}

    before = touched()
    os.environ.update({name: value for name, value in values.items() if value is not None})
    for name in values:
        if values[name] is None:
            os.environ.pop(name, None)
    try:
        yield
    finally:
        for name in touched():
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _module_state(*, loopback: bool) -> Iterator[None]:
    """What Ray reads once per process, set for this cluster: an earlier one may have left its own.

    Ray decides at import whether to listen on loopback, keeps the first token that it was given, and prints a line of
    its own for each worker that dies, which the launch says itself.
    """
    from ray import _raylet
    from ray._private import ray_constants, worker

    native: Any = _raylet
    before = ray_constants.ENABLE_RAY_CLUSTER, worker._worker_logs_enabled
    ray_constants.ENABLE_RAY_CLUSTER, worker._worker_logs_enabled = not loopback, False
    native.Config.initialize("")
    native.AuthenticationTokenLoader.instance().reset_cache()
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER, worker._worker_logs_enabled = before


@contextlib.contextmanager
def _shut_down() -> Iterator[None]:
    import ray

    try:
        yield
    finally:
        with uninterrupted():
            ray.shutdown()


@contextlib.contextmanager
def _processes_given_back() -> Iterator[None]:
    """Shuts Ray down, waits until each process started meanwhile is gone, and ends those that stay."""
    this = psutil.Process()
    before = set(this.children(recursive=True))
    started: set[psutil.Process] = set()
    try:
        with _shut_down():
            try:
                yield
            finally:
                started = set(this.children(recursive=True)) - before
    finally:
        with uninterrupted():
            _, alive = psutil.wait_procs(started, timeout=GONE_SECONDS)
            for process in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(alive, timeout=GONE_SECONDS)


def _refusal(address: str) -> str | None:
    """Why that cluster cannot be joined, in one sentence; ``None`` where it answers.

    A process of its own asks, for a bounded time: Ray's client may end the process that fails, or never return.
    """
    nothing = f"No Ray cluster answers at --address {address}: start one with 'ray start --head', or leave it out."
    where = (os.environ.get("RAY_ADDRESS") or _running_here() or "") if address == "auto" else address
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return nothing
    if where.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        return f"--address {address} needs Ray's client: install 'ray[client]', or join by host:port."
    if not _listens(host, int(port)):
        return nothing
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE, where], capture_output=True, timeout=PROBE_SECONDS, text=True
        )
    except subprocess.TimeoutExpired:
        return nothing
    if "InvalidAuthToken" in probe.stderr:
        return (
            f"The Ray cluster at --address {address} asks for a token: "
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file that holds it."
        )
    return None if probe.returncode == 0 else nothing


def _running_here() -> str | None:
    from ray._private.services import get_ray_address_from_environment

    try:
        return get_ray_address_from_environment("auto", None)
    except ConnectionError:
        return None
