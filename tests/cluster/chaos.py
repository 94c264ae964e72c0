"""Where the kill matrix is played: a cluster, a store, an MLflow server, and the ways in which each of them breaks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pytest

from harness.records.opening import open_store
from harness.records.store import Store
from tests.cluster.hosts import listens, waits
from tests.cluster.nodes import FOLDER, Nodes, several_nodes
from tests.object_store import CREDENTIALS

DRIVER = FOLDER / "symbench_chaos_driver.py"
BUCKET = "chaos"
RUNS = 8
PATIENCE = 120.0


class Objects:
    """An S3 server in this process that can refuse to take objects."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        self.refusing = False
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if self.refusing and environ["REQUEST_METHOD"] == "PUT":
            start("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"no"]
        return self._app(environ, start)

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()


@dataclass
class MlflowServer:
    """One over SQLite, that can be killed and started again at the same address."""

    folder: Path
    port: int = field(default_factory=lambda: _free_port())
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        words = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--workers",
            "1",
            "--backend-store-uri",
            f"sqlite:///{self.folder}/mlflow.db",
            "--artifacts-destination",
            str(self.folder / "artifacts"),
        ]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(words, cwd=self.folder, start_new_session=True, **quiet)
        waits(lambda: listens("127.0.0.1", self.port), "the MLflow server", PATIENCE)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Site:
    """``gates`` is the folder of :mod:`symbench_chaos_runs`; ``place`` is where the store is."""

    def __init__(self, gates: Path, nodes: Nodes, objects: Objects) -> None:
        self.gates, self.nodes, self.objects = gates, nodes, objects

    def begin(self, folder: Path, *, elsewhere: bool, mlflow: str) -> None:
        """A case of its own: an empty store, gates that stand open."""
        for path in self.gates.iterdir():
            path.unlink()
        self.folder, self.mlflow, self.objects.refusing = folder, mlflow, False
        self.place = f"s3://{BUCKET}/{folder.name}" if elsewhere else str(folder / "store")
        self.drivers: list[subprocess.Popen[str]] = []

    @property
    def store(self) -> Store:
        return open_store(self.place)

    def launch(self) -> subprocess.Popen[str]:
        words = [sys.executable, str(DRIVER), self.place, self.nodes.address, str(RUNS)]
        environment = {**os.environ, "MLFLOW_TRACKING_URI": self.mlflow}
        process = subprocess.Popen(
            words, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.drivers.append(process)
        return process

    def arm(self, moment: str) -> None:
        (self.gates / f"armed-{moment}").touch()

    def caught(self, launch: subprocess.Popen[str]) -> psutil.Process:
        """The worker that waits at the gate."""
        waits(
            lambda: (self.gates / "waiting").exists() or launch.poll() is not None,
            "a run to come to the gate",
            PATIENCE,
        )
        assert launch.poll() is None, launch.communicate()
        return psutil.Process(int((self.gates / "waiting").read_text()))

    def open(self) -> None:
        (self.gates / "waiting").unlink(missing_ok=True)

    def full(self, full: bool) -> None:
        """Whether the disk is full, for drivers and workers."""
        (self.gates / "full").touch() if full else (self.gates / "full").unlink(missing_ok=True)

    def ran(self) -> Counter[str]:
        """How often each run was begun."""
        path = self.gates / "ran"
        return Counter(path.read_text().split() if path.exists() else ())

    def kept(self) -> dict[str, bytes]:
        """The records that are where everybody sees them."""
        if "://" not in self.place:
            return {path.name: path.read_bytes() for path in Path(self.place).glob("records/*.json")}
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        found = files.glob(f"{self.place}/records/*.json")
        return {name.rpartition("/")[2]: files.cat_file(name) for name in found}

    def end(self) -> None:
        self.open()
        for driver in self.drivers:
            if driver.poll() is None:
                driver.kill()
            driver.communicate()


@contextmanager
def site(gates: Path) -> Iterator[Site]:
    """The place with its cluster up."""
    objects = Objects()
    with objects.serving(), pytest.MonkeyPatch.context() as patch:
        places = {"SYMBENCH_CHAOS": str(gates), "XDG_CACHE_HOME": str(gates.with_name("cache"))}
        for name, value in (CREDENTIALS | places | {"AWS_ENDPOINT_URL": objects.url}).items():
            patch.setenv(name, value)
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
        with several_nodes(patch) as nodes:
            yield Site(gates, nodes, objects)


def kill_node(worker: psutil.Process) -> None:
    """The raylet of a worker, and all that it started."""
    raylet = next(one for one in worker.parents() if one.name() == "raylet")
    for process in (raylet, *raylet.children(recursive=True)):
        process.kill()


def kill_head(nodes: Nodes) -> None:
    nodes.cluster.head_node.kill_gcs_server()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
