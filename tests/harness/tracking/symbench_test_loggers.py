"""Processes that log runs to one MLflow at the same time. Usage: python symbench_test_loggers.py < WISH

WISH is JSON: a list of workers, each a list of runs with "handle", "record" and the number of "steps". MLflow is
imported once, before the workers fork.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

from harness.records.record import Record
from harness.spec import Job
from harness.tracking import RunTracker, TrackerHandle, run
from harness.tracking.connection import load


def work(runs: list[dict[str, Any]]) -> None:
    run.FINISH_SECONDS = 120.0  # what is tested is the server, on however busy a machine
    for wish in runs:
        record = Record.from_dict(wish["record"])
        job = Job(spec=record.spec, suite=record.suite)
        tracker = RunTracker(TrackerHandle(**wish["handle"]), job, record.description)
        for step in range(wish["steps"]):
            tracker.log(step, {"loss": record.spec.seed + step / 100, "accuracy": step / 50})
        tracker.finish(record, {"run.log": f"run {record.digest}\n"})
        if tracker.lost:
            raise SystemExit(tracker.lost)


def main() -> None:
    load()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(runs,)) for runs in json.load(sys.stdin)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(max(abs(worker.exitcode or 0) for worker in workers))


if __name__ == "__main__":
    main()
