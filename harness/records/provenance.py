"""The provenance of a record: code, packages, machine, and the time and memory that the run took."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import baselines
import harness
import tasks
from harness.records.plugin_code import described
from harness.spec import Job
from harness.utils.redaction import redacted_words

PACKAGES = (
    "torch",
    "torch_geometric",
    "numpy",
    "scipy",
    "networkx",
    "pynauty",
    "python-sat",
    "ray",
    "mlflow",
    "polars",
)
CODE = ("harness", "baselines", "tasks", "pyproject.toml", "constraints.txt")
ORIGIN = "origin.json"
"""The file beside packages that were sent without their git checkout, with the result of :func:`git_state`."""


def provenance(job: Job, *, wall_seconds: float, command: Sequence[str]) -> dict[str, Any]:
    """The provenance of a run as plain JSON values.

    Args:
        job: The run with its resources.
        wall_seconds: The wall time of the run in seconds.
        command: The command line of the launch.
    """
    import torch

    commit, dirty = git_state(Path(harness.__file__).parent)
    device, device_type = _device(job.resources.gpus)
    return {
        "symbench_version": _version("symbench"),
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "packages": _packages(),
        "plugins": described(job.spec),
        "device": device,
        "device_type": device_type,
        "accelerator": _accelerator() if device_type == "cuda" else {},
        "host": socket.gethostname(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "seeds": _seeds(job),
        "wall_seconds": wall_seconds,
        "peak_rss_bytes": peak_rss_bytes(),
        "pid": os.getpid(),
        "resources": asdict(job.resources),
        "command": list(command),
    }


def command_line() -> tuple[str, ...]:
    """The command line of this process without secrets."""
    return redacted_words(sys.argv)


@cache
def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """The git commit of the code, computed once for each process.

    Args:
        folder: A package of this project.

    Returns:
        The commit and whether the code differs from it; None for each if the folder neither belongs to a git checkout
        nor was sent from one.
    """
    tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(folder, "rev-parse", "HEAD")
    if tracked is None or commit is None:
        return _sent_from(folder.parent / ORIGIN)
    changes = _git(folder, "status", "--porcelain", "--", *(f":(top){name}" for name in CODE))
    return commit, None if changes is None else bool(changes)


@cache
def code_digest() -> str:
    """The SHA-256 digest of all source files that this process imports packages from, computed once."""
    digest = hashlib.sha256()
    for package in (harness, baselines, tasks):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{folder.name}/{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sent_from(origin: Path) -> tuple[str | None, bool | None]:
    try:
        values = json.loads(origin.read_text(encoding="utf-8"))
        return values["commit"], values["dirty"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *words], cwd=folder, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or one that git refuses to read
        return None
    return done.stdout.strip()


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _packages() -> dict[str, str]:
    return {name: found for name in PACKAGES if (found := _version(name)) is not None}


def _device(gpus: float) -> tuple[str, str]:
    """The name and type of the granted accelerator, or of the processor if there is none."""
    import torch

    if gpus > 0 and torch.cuda.is_available():
        return torch.cuda.get_device_name(), "cuda"
    return _processor(), "cpu"


def _accelerator() -> dict[str, Any]:
    """Versions of driver and libraries, and whether products in single precision may be rounded to TF32."""
    import torch

    return {
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_cudnn": torch.backends.cudnn.allow_tf32,
    }


@cache
def _driver(path: str = "/proc/driver/nvidia/version") -> str | None:
    """The version of NVIDIA's kernel module, or None if it is not loaded."""
    try:
        found = re.search(r"Kernel Module[^\n]*?\s(\d+(?:\.\d+)+)\s", Path(path).read_text(encoding="utf-8"))
    except OSError:
        return None
    return found.group(1) if found else None


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def _seeds(job: Job) -> dict[str, Any]:
    data = {name: value for name, value in job.spec.task_params.items() if name.endswith("seed")}
    return {"run": job.spec.seed, **data}


def reset_peak_rss() -> None:
    """Resets the peak of memory if the kernel supports it; otherwise the peak is that since the process started."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_rss_bytes() -> int:
    """The peak resident memory of this process since :func:`reset_peak_rss`, in bytes."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
