"""Three hosts on one machine, a head and two workers: each a network, process and mount namespace, on one bridge.

    python -m tests.cluster.hosts FOLDER      (from the checkout, as root, with iproute2; about a minute)

FOLDER is empty and its path short, such as /tmp/hosts; store and logs stay there.

``symbench run --address`` launches a suite from the head into a folder that all hosts share. Midway one worker's host
dies, and the other one is cut off the network until Ray has given it up: it comes back and does the rest. It ends with
an error unless every run has exactly one record. No process is left, whatever happens: all live in a process namespace
of their own.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil

from harness.records.store import Store
from tests.cluster.nodes import ATTENTIVE, OBJECT_STORE_BYTES

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = ["unshare", "--pid", "--net", "--uts", "--mount", "--fork", "--kill-child", "--mount-proc"]
NETWORK = "10.77.0"
PORT = 6400
RUNS, EPOCHS = 8, 200
JOINED = "Ray runtime started"
# As a supervisor does, it starts Ray again where it ends: a raylet that was given up does when it hears of it.
HOST = """
until ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
hostname $0; ip link set lo up; ip addr add $1/24 dev eth0; ip link set eth0 up
mount -t tmpfs tmpfs $2; mount -t tmpfs tmpfs /dev/shm
while :; do ray start "${@:3}"; sleep 1; done
"""
SUITE = f"""
protocol: quick
seeds: {list(range(RUNS))}
settings: {{epochs: {EPOCHS}, batch_size: 10, train_samples: 1, valid_samples: 1, test_samples: 1, test_repeats: 1,
           validate_every: 50, curve_size: 4, curve_samples: [1]}}
experiments:
  - {{tasks: [nbody], methods: [gnn-none], task_params: {{nodes: 4, train: 20, validation: 10, test: 10}}}}
"""


@dataclass
class Host:
    """``process`` holds the namespaces: with it goes all that is inside. ``log`` is what ``ray start`` says."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def inside(self, words: list[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
        """Starts a command on this host."""
        init = psutil.Process(self.process.pid).children()[0].pid
        enter = ["nsenter", f"--target={init}", "--pid", "--net", "--uts", "--mount", f"--wd={folder}"]
        with log.open("wb") as file:
            return subprocess.Popen([*enter, *words], stdout=file, stderr=subprocess.STDOUT)

    def link(self, state: str) -> None:
        """Pulls out its network cable (``down``), or plugs it in again (``up``)."""
        _ip("link", "set", f"to-{self.name}", state)

    def kill(self) -> None:
        """As when the power goes."""
        self.process.kill()
        self.process.wait()

    @property
    def joins(self) -> int:
        return self.log.read_text().count(JOINED)


class Hosts:
    """The hosts of one cluster. ``folder`` is shared by all; Ray's own folder in it is each host's own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._session = folder, folder / "ray"
        self._session.mkdir()
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        os.environ |= ATTENTIVE | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_preload_python_modules": "torch",
            "RAY_worker_niceness": "0",  # at Ray's 15 they stand still beside anything that computes
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "SYMBENCH_DATA": str(folder / "data"),
            "MLFLOW_TRACKING_URI": "nowhere://",  # what this is about needs no MLflow
        }
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "bridge", "type", "bridge")
        _ip("addr", "add", f"{NETWORK}.254/24", "dev", "bridge")
        _ip("link", "set", "bridge", "up")
        self._count = 0
        self.head = self._add(
            "head",
            "--head",
            f"--port={PORT}",
            "--num-cpus=0",
            "--include-dashboard=false",
            f"--temp-dir={self._session}",
        )
        self.address = f"{NETWORK}.1:{PORT}"
        waits(lambda: self.head.joins == 1 and listens(f"{NETWORK}.1", PORT), "the head to start")

    def add(self, name: str) -> Host:
        """A worker with one processor."""
        return self._add(name, f"--address={self.address}", "--num-cpus=1", f"--memory={2**30}")

    def _add(self, name: str, *words: str) -> Host:
        self._count += 1
        address, log = f"{NETWORK}.{self._count}", self.folder / f"{name}.log"
        ray = [
            *words,
            f"--node-ip-address={address}",
            "--block",
            "--disable-usage-stats",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
        ]
        command = [*NAMESPACES, "bash", "-c", HOST, name, address, str(self._session), *ray]
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        ours = os.readlink("/proc/self/ns/net")
        waits(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != ours, f"the namespaces of {name}")
        _ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(process.pid))
        _ip("link", "set", f"to-{name}", "master", "bridge", "up")
        return Host(name, process, log)


def waits(happened: Callable[[], object], what: str, seconds: float = 90.0) -> None:
    """Raises ``TimeoutError`` where it does not."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.1)


def scenario(folder: Path) -> dict[str, object]:
    """Runs it, and says what came of it."""
    hosts = Hosts(folder)
    first, second = hosts.add("first"), hosts.add("second")
    waits(lambda: first.joins == second.joins == 1, "both workers to join")
    (folder / "small.yaml").write_text(SUITE)
    store, said = Store(folder / "store"), folder / "run.log"
    command = ["-m", "harness.cli", "run", "small.yaml", "--address", hosts.address, "--store", str(store.root)]
    launch = hosts.head.inside([sys.executable, *command], folder, said)

    def records_of(host: Host) -> int:
        return Counter(record.provenance.get("host") for record in store.records())[host.name]

    def nodes_left() -> int | None:
        [account] = [json.loads(path.read_text()) for path in store.root.glob("launches/*.json")]
        return account.get("progress", {}).get("usage", {}).get("nodes")

    def happens(event: Callable[[], object], what: str) -> None:
        waits(lambda: event() or launch.poll() is not None, what)
        if launch.poll() is not None:
            raise RuntimeError(f"the launch ended before {what}: {said.read_text()}")

    happens(lambda: records_of(first) and records_of(second), "a record of each worker")
    first.kill()
    second.link("down")
    happens(lambda: nodes_left() == 1, "the loss of both to be noticed")
    before = records_of(second)
    second.link("up")
    code = launch.wait(120)
    losses = {digest: store.history(digest).filter(pl.col("name") == "train/loss") for digest in store.statuses()}
    return {
        "exit": code,
        "said": said.read_text(),
        "statuses": store.statuses(),
        "seeds": sorted(record.spec.seed for record in store.records()),
        "files": len(list(store.root.glob("records/*"))),
        "after the return": records_of(second) - before,
        "joins": second.joins,
        "whole histories": sum(rows["step"].to_list() == list(range(EPOCHS)) for rows in losses.values()),
    }


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def main() -> None:
    match sys.argv[1:]:
        case [folder, "inside"]:
            found = scenario(Path(folder))
        case [folder]:
            words = [*NAMESPACES, sys.executable, "-m", "tests.cluster.hosts", folder, "inside"]
            sys.exit(subprocess.run(words, cwd=ROOT).returncode)
        case _:
            sys.exit(__doc__)
    print(json.dumps(found))
    if found["exit"] or found["seeds"] != list(range(RUNS)) or found["files"] != RUNS:
        sys.exit("not every run has exactly one record")


if __name__ == "__main__":
    main()
