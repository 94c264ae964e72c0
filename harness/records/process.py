"""Who a process is, so that others can tell whether it is gone: a process number alone is given out again."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil


def this_process() -> dict[str, Any]:
    """Plain JSON values for :func:`is_gone`."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "machine": _machine(), "started": _started(os.getpid())}


def is_gone(process: Mapping[str, Any]) -> bool:
    """Whether a process of this machine has ended. False for one of another machine, of which nothing can be told."""
    if process.get("machine") != _machine():
        return False
    return _started(process["pid"]) != process["started"]


def _machine() -> str:
    """Differs where process numbers mean something else: by host, boot and container."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    parts = [socket.gethostname(), boot.read_text().strip() if boot.exists() else ""]
    return " ".join([*parts, os.readlink(space) if space.is_symlink() else ""])


def _started(pid: int) -> float | None:
    """When a process began, in ticks since the machine did where the system says so; ``None`` where it has ended."""
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
