"""The identity of a process, to find out whether it has ended: process numbers alone are reused."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil


def this_process() -> dict[str, Any]:
    """The identity of this process as plain JSON values, for :func:`is_gone`."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "machine": _machine(), "started": _started(os.getpid())}


def is_gone(process: Mapping[str, Any]) -> bool:
    """Returns True if a process of this machine has ended; False also for processes of other machines."""
    if process.get("machine") != _machine():
        return False
    return _started(process["pid"]) != process["started"]


def _machine() -> str:
    """A text that identifies the space of process numbers: host, boot and container."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    parts = [socket.gethostname(), boot.read_text().strip() if boot.exists() else ""]
    return " ".join([*parts, os.readlink(space) if space.is_symlink() else ""])


def _started(pid: int) -> float | None:
    """The start of a process in clock ticks since boot, or in seconds if /proc is missing; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _started_by_the_clock(pid)
    return None if fields[0] in "ZX" else float(fields[19])


def _started_by_the_clock(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
