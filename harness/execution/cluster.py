"""Ray for the duration of one launch: a local cluster, or an existing one.

A local cluster listens on loopback only, joins no other cluster, prints nothing, and ends all its processes. Some of
this can only be set by environment variables (read when ``ray`` is first imported, or by the processes that it starts),
and some only by Ray's private module state; both are set only here, while the cluster runs.
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
from harness.errors import ClusterError
from harness.execution.address import check_address
from harness.execution.placement import Shape
from harness.utils.interrupts import uninterrupted
from tasks import extras

# The launch reports how every run ended, also of those whose results it no longer waits for.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1"}
PRELOAD = ("torch",)  # not PyG, which takes longer to import and which many networks do not need
OBJECT_STORE_BYTES = 128 * 1024**2
PROBE_SECONDS = 20.0
EXIT_SECONDS = 10.0
CONNECT_SECONDS = 5.0
MESSAGE_CHARACTERS = 300
# A Unix socket's path holds 107 characters, and Ray appends 64 to its folder.
TEMPORARY_FOLDER_CHARACTERS = 24

MESSAGE_IF_KILLED = (
    "symbench was ended by Ray, because the cluster's head, or its raylet on this machine, has died. "
    "Once the cluster is up again, the same command runs the rest."
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
    """Connects to Ray inside, and restores the environment and the current folder afterwards; no process is left.

    Args:
        address: ``auto``, ``host:port`` or ``ray://host:port`` of a cluster; None starts a local one.
        preload: The modules that the workers of a local cluster import when they start.

    Yields:
        A warning for the user, or None.

    Raises:
        ClusterError: The cluster does not answer or cannot be joined.
    """
    with _message_if_killed(), _local(preload) if address is None else _joined(address) as warning:
        yield warning


@contextlib.contextmanager
def _message_if_killed() -> Iterator[None]:
    """Prints a message if this process ends inside, by a shell that sees its pipe close.

    Ray ends a process that has lost its cluster from its own threads, without an exception or a handler.
    """
    command = ["sh", "-c", 'read -r all_is_well || echo "$0" >&2', MESSAGE_IF_KILLED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as shell:
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
        stack.enter_context(_processes_ended())
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
        if (reason := _unreachable(address)) is not None:
            raise ClusterError(reason)
        stack.enter_context(_shut_down())
        try:
            with contextlib.chdir(_project_root()):
                _init(address=address)
        except Exception as error:  # Ray has no common class for the errors of joining
            message = " ".join(str(error).split())[:MESSAGE_CHARACTERS] or type(error).__name__
            raise ClusterError(f"The Ray cluster at --address {address} cannot be joined ({message}).") from error
        yield _without_token(address)


def _without_token(address: str) -> str | None:
    """A warning if the cluster does not ask for a token."""
    from ray import _raylet

    native: Any = _raylet
    if native.get_authentication_mode() == native.AuthenticationMode.TOKEN:
        return None
    return (
        f"The Ray cluster at --address {address} asks for no token: anyone who reaches its ports can run code on it. "
        "Start all its processes, and symbench, with RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH."
    )


def _init(**settings: Any) -> None:
    import ray

    before = signal.getsignal(signal.SIGTERM)
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    if callable(before):  # Ray has replaced it by a handler that exits immediately
        signal.signal(signal.SIGTERM, before)


def living_nodes() -> list[Shape]:
    """Returns the resources of each living node."""
    import ray

    totals = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Shape(total.get("GPU", 0), total.get("CPU", 0), total.get("memory", 0)) for total in totals]


def usage() -> dict[str, Any]:
    """Returns the number of living nodes, and of CPUs and GPUs the number in use and the total."""
    import ray

    have, free = ray.cluster_resources(), ray.available_resources()
    counts = {name: [have.get(key, 0.0) - free.get(key, 0.0), have.get(key, 0.0)] for name, key in _COUNTED.items()}
    return {"nodes": len(living_nodes()), **counts}


def head_answers() -> bool:
    """Whether the head of the cluster accepts connections.

    Checked before calls of Ray, which would wait a minute for its head and then end this process without a message.
    (Ray's client, for ``ray://``, raises an error.)
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
    """Returns the number of processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _project_root() -> Path:
    """The folder of this code. It is current during ``ray.init``, since workers import from that folder first."""
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
    """Sets variables inside (None removes one), and restores these and all variables of Ray afterwards."""

    def affected() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name in values or name.startswith("RAY_")}

    before = affected()
    os.environ.update({name: value for name, value in values.items() if value is not None})
    for name in values:
        if values[name] is None:
            os.environ.pop(name, None)
    try:
        yield
    finally:
        for name in affected():
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _module_state(*, loopback: bool) -> Iterator[None]:
    """Sets what Ray reads once for each process, since an earlier cluster may have set it differently.

    Ray decides at import whether to listen on loopback, keeps the first token that it reads, and prints a line for each
    worker that dies, which the launch reports itself.
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
def _processes_ended() -> Iterator[None]:
    """Shuts Ray down afterwards, waits for all processes that were started inside, and kills those that remain."""
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
            _, alive = psutil.wait_procs(started, timeout=EXIT_SECONDS)
            for process in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(alive, timeout=EXIT_SECONDS)


def _unreachable(address: str) -> str | None:
    """Why the cluster cannot be joined, in one sentence; None if it answers.

    A separate process connects, with a time limit: Ray's client may end the process that fails, or never return.
    """
    no_answer = f"No Ray cluster answers at --address {address}: start one with 'ray start --head', or leave it out."
    where = (os.environ.get("RAY_ADDRESS") or _running_here() or "") if address == "auto" else address
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return no_answer
    if where.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        return f"{extras.sentence(f'--address {address}', 'cluster')}, or join by host:port."
    if not _listens(host, int(port)):
        return no_answer
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE, where], capture_output=True, timeout=PROBE_SECONDS, text=True
        )
    except subprocess.TimeoutExpired:
        return no_answer
    if "InvalidAuthToken" in probe.stderr:
        return (
            f"The Ray cluster at --address {address} asks for a token: "
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file that holds it."
        )
    return None if probe.returncode == 0 else no_answer


def _running_here() -> str | None:
    from ray._private.services import get_ray_address_from_environment

    try:
        return get_ray_address_from_environment("auto", None)
    except ConnectionError:
        return None
