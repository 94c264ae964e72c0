"""A launch of a few runs in a process of its own: python symbench_chaos_driver.py STORE ADDRESS RUNS."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # workers must find the runs without the driver's help

import symbench_chaos_runs
from rich.console import Console

from harness.errors import SymbenchError
from harness.execution import dispatch
from harness.execution.launch import launch
from harness.execution.progress import PlainProgress
from harness.records.opening import open_store
from harness.spec import Job, RunSpec
from harness.tracking import sync
from tasks.protocol import Protocol


def job(seed: int) -> Job:
    spec = RunSpec(
        task="graph8c",
        task_version="1",
        method="gin",
        method_version="1",
        seed=seed,
        protocol="quick",
        settings=Protocol(),
    )
    return Job(spec=spec, suite="chaos")


def main(place: str, address: str, runs: str) -> None:
    """As ``symbench run`` does: what has no record is run, and what no worker lived to log is logged at the end."""
    dispatch.HEAD_SECONDS = 2.0
    store = open_store(place)
    with store.lock():
        done = store.statuses()
        todo = [one for one in map(job, range(int(runs))) if done.get(one.spec.digest) != "succeeded"]
        progress = PlainProgress(Console(stderr=True))
        progress.begin(len(todo), len(done))
        executor = f"{symbench_chaos_runs.__name__}:run"
        result = launch(todo, store, address=address, suite="chaos", progress=progress, executor=executor)
        sync(store, store.mlflow_uri)
    if result.failed:
        raise SymbenchError(next(iter(result.failed.values())))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SymbenchError as error:
        sys.exit(str(error))
