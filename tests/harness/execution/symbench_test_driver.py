"""A launch in a process of its own, for tests that interrupt or kill it, or look at what it leaves.

Usage: python symbench_test_driver.py STORE '{"jobs": [[act, seed, base], ...], "slots": 2, "lock": true, ...}'
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # workers must find the executors without the driver's help

import psutil

from harness.execution import dispatch, heartbeat
from harness.execution.launch import launch
from harness.execution.progress import PlainProgress
from harness.records.store import Store
from harness.spec import Job, RunSpec
from tasks.protocol import Protocol


def make_job(act: str, seed: int, options: dict[str, object]) -> Job:
    spec = RunSpec(
        task="graph8c",
        task_version="1",
        method="gin",
        method_version="1",
        sampler={"act": act, **options},
        seed=seed,
        protocol="quick",
        settings=Protocol(),
    )
    return Job(spec=spec, suite="tests")


def main() -> None:
    from rich.console import Console

    store, wish = Store(Path(sys.argv[1])), json.loads(sys.argv[2])
    jobs = [make_job(*job) for job in wish["jobs"]]
    done = store.statuses()
    todo = [job for job in jobs if done.get(job.spec.digest) != "succeeded"]
    heartbeat.PERIOD_SECONDS = wish.get("period", heartbeat.PERIOD_SECONDS)
    dispatch.HEAD_SECONDS = wish.get("patience", dispatch.HEAD_SECONDS)
    ray_before = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    folder = os.getcwd()
    with store.lock():
        result = launch(
            todo,
            store,
            address=wish.get("address"),
            suite="tests",
            progress=PlainProgress(Console(stderr=True)),
            slots=wish.get("slots"),
            executor="symbench_test_executors:act",
        )
    ray_after = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    left = [process.name() for process in psutil.Process().children(recursive=True)]
    said = {
        **asdict(result),
        "todo": len(todo),
        "left": left,
        "environment_kept": ray_before == ray_after,
        "folder_kept": os.getcwd() == folder,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
