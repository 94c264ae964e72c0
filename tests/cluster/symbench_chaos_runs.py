"""Runs that stop at a gate. A test arms a moment, and does its worst while a run waits there.

Drivers and workers import this through PYTHONPATH; ``SYMBENCH_CHAOS`` names the folder of the gates.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.results import Outcome

FOLDER = Path(os.environ["SYMBENCH_CHAOS"])
START, MIDDLE, RECORD = "start", "middle", "record"
ARMED, CAUGHT, WAITING, FULL, RAN = "armed", "caught", "waiting", "full", "ran"
MIDDLE_RUN = 3
"""The run that stops in its middle: others have a record by then."""

_fsync, _replace = os.fsync, os.replace


def gate(moment: str) -> None:
    """The first process that comes to the armed moment waits until the gate is opened."""
    try:
        os.rename(FOLDER / f"{ARMED}-{moment}", FOLDER / CAUGHT)
    except FileNotFoundError:
        return
    temporary = FOLDER / f"{WAITING}.tmp"
    temporary.write_text(str(os.getpid()))
    _replace(temporary, FOLDER / WAITING)
    while (FOLDER / WAITING).exists():
        time.sleep(0.02)


def fsync(file: Any) -> None:
    """That of a disk which may be full."""
    if (FOLDER / FULL).exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    _fsync(file)


def replace(source: Any, target: Any) -> None:
    """Between a history and its record a run can be stopped."""
    if Path(target).parent.name == "records":
        gate(RECORD)
    _replace(source, target)


os.fsync, os.replace = fsync, replace


def run(spec: RunSpec, context: RunContext) -> Outcome:
    """Two steps, with gates at its start and between them."""
    with (FOLDER / RAN).open("a") as file:
        file.write(f"{spec.digest}\n")
    gate(START)
    context.hooks.log(0, {"loss": 1.0})
    if spec.seed >= MIDDLE_RUN:
        gate(MIDDLE)
    time.sleep(0.1)
    context.hooks.log(1, {"loss": 0.5})
    return Outcome(metrics={"unseparated": float(spec.seed)}, cost={"parameters": 1.0})
