"""Checks of the installation: each finding has a status and advice."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Literal
from urllib.parse import urlsplit

from harness.errors import SymbenchError
from harness.utils.redaction import redacted
from tasks.extras import EXTRAS, installed, missing

PACKAGES = ("torch", "torch-geometric", "polars", "numpy")
DISK_SCARCE, DISK_LOW = 1 << 30, 5 << 30
REACH_SECONDS = 3.0
RAY_SECONDS = 60.0
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}


@dataclass(frozen=True)
class Finding:
    """The result of one check; ``advice`` is what to do if it is not ok."""

    name: str
    status: Literal["ok", "warning", "problem"]
    text: str
    advice: str = ""


def symbench_version() -> str:
    """The version of the installed package, or ``(not installed)``."""
    try:
        return version("symbench")
    except PackageNotFoundError:
        return "(not installed)"


def examine(store: str, *, deep: bool = False) -> list[Finding]:
    """Checks everything that a run needs; ``deep`` also starts a local Ray."""
    machine = [*_versions(), *_extras(), *_plugins(), *_devices(), *_ray(deep)]
    return [*machine, *_mlflow(store), *_store(store), *_data(), *_weights()]


def _versions() -> Iterator[Finding]:
    installed = symbench_version()
    if installed == "(not installed)":
        yield Finding("symbench", "warning", "used from its folder, not installed", "pip install -e .")
    else:
        yield Finding("symbench", "ok", installed)
    yield Finding("python", "ok", platform.python_version())
    for package in PACKAGES:
        try:
            yield Finding(package, "ok", version(package))
        except PackageNotFoundError:
            yield Finding(package, "problem", "not installed", "pip install symbench")


def _extras() -> Iterator[Finding]:
    owner = packages_distributions()
    for extra, packages in EXTRAS.items():
        if lacking := missing(extra):
            advice = f"pip install 'symbench[{extra}]' if you need it"
            yield Finding(f"extra {extra}", "ok", f"not installed (no {', '.join(lacking)})", advice)
        else:
            names = [min(owner[package], key=len) for package in packages]  # mlflow, not mlflow-skinny
            yield Finding(f"extra {extra}", "ok", ", ".join(f"{name} {version(name)}" for name in names))


def _plugins() -> Iterator[Finding]:
    """One finding for each package or file, and one for each of its entry points that is left out."""
    from harness.registry import plugins

    serving: dict[tuple[str, str], list[str]] = {}
    for plugin in plugins():
        if plugin.fault:
            advice = "correct its package, or uninstall it"
            yield Finding(f"plug-in {plugin.distribution}", "problem", plugin.warning, advice)
        else:
            serving.setdefault((plugin.distribution, plugin.package), []).append(str(plugin.name))
    for (distribution, package), names in serving.items():
        yield Finding(f"plug-in {distribution}", "ok", f"{package} registers {', '.join(names)}")


def _devices() -> Iterator[Finding]:
    yield Finding("cpu", "ok", f"{os.cpu_count()} cores, {len(os.sched_getaffinity(0))} of them for this process")
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("gpu", "problem", f"torch cannot be imported ({error})", "install torch again")
        return
    driven = _driven_gpus()
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        yield Finding("gpu", "ok", ", ".join(names))
    elif driven:
        text = f"{', '.join(driven)}: present, but torch {torch.__version__} cannot use it"
        yield Finding("gpu", "warning", text, "install torch's CUDA build and check CUDA_VISIBLE_DEVICES")
    else:
        yield Finding("gpu", "ok", "no GPU: runs use the CPU")


def _driven_gpus() -> list[str]:
    """The GPUs that NVIDIA's driver lists, whether torch can use them or not."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _ray(deep: bool) -> Iterator[Finding]:
    if not installed("ray"):
        return
    try:
        import ray
    except (ImportError, OSError) as error:
        yield Finding("local ray", "problem", f"Ray cannot be imported ({error})", "install Ray again")
        return
    if not deep:
        yield Finding("local ray", "ok", "not tried; 'symbench doctor --deep' starts one")
        return
    from harness.execution.cluster import cluster

    began = time.monotonic()
    try:
        with cluster(None, preload=()):
            answer = ray.get(ray.remote(lambda: os.getpid()).remote(), timeout=RAY_SECONDS)
    except Exception as error:  # Ray may fail with any error, which is reported
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        advice = "look for full disks, low memory or a firewall on the loopback interface"
        yield Finding("local ray", "problem", f"a local Ray did not work: {reason}", advice)
    else:
        seconds = time.monotonic() - began
        yield Finding("local ray", "ok", f"started, process {answer} answered, and ended in {seconds:.1f} s")


def _mlflow(store: str) -> Iterator[Finding]:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        yield Finding("mlflow store", "ok", f"an SQLite file in {store}")
        return
    try:
        parts = urlsplit(uri)
        port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
    except ValueError as error:
        text = f"{redacted(uri)} is not an address ({error})"
        yield Finding("mlflow store", "problem", text, "set MLFLOW_TRACKING_URI")
        return
    shown = redacted(uri)
    if not parts.hostname or not port:
        yield Finding("mlflow store", "ok", f"{shown} (MLFLOW_TRACKING_URI; no server to reach)")
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=REACH_SECONDS).close()
    except OSError as error:
        advice = "start it or unset MLFLOW_TRACKING_URI; runs work without it and 'symbench sync' logs them later"
        yield Finding("mlflow store", "warning", f"{shown} cannot be reached ({error})", advice)
    else:
        yield Finding("mlflow store", "ok", f"{shown} answers")


def _store(store: str) -> Iterator[Finding]:
    from harness.records.opening import existing_store, folder_of

    root = folder_of(store).absolute()
    folder = next(path for path in (root, *root.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.1f} GiB free at {folder}"
    if free < DISK_LOW:
        advice = "make room or choose another --store"
        yield Finding("disk", "problem" if free < DISK_SCARCE else "warning", text, advice)
    else:
        yield Finding("disk", "ok", text)
    try:
        opened = existing_store(store)
        statuses = opened.statuses() if opened is not None else {}
    except SymbenchError as error:
        yield Finding("store", "problem", str(error))
        return
    if opened is None:
        writable = os.access(folder, os.W_OK | os.X_OK)
        advice = "" if writable else "choose another --store"
        text = f"{store} has no records yet" + ("" if writable else f" and {folder} cannot be written")
        yield Finding("store", "ok" if writable else "problem", text, advice)
        return
    failed = sum(status == "failed" for status in statuses.values())
    yield Finding("store", "ok", f"{store}: {len(statuses)} records, {failed} of failed runs")


def _data() -> Iterator[Finding]:
    from tasks.sources import cache, exp

    present = [folder for folder in cache.folders() if folder.is_dir()]
    files = [path.name for folder in present for path in sorted(folder.glob("*.npz"))]
    where = ", ".join(str(folder) for folder in cache.folders())
    yield Finding("data", "ok", f"{len(files)} files in {where}; what is missing is made when a run needs it")
    if exp.available() == "official":
        yield Finding("exp", "ok", "the official set")
    else:
        advice = f"put {exp.OFFICIAL_NAME} in the folder that SYMBENCH_DATA names to use the official one"
        yield Finding("exp", "ok", "a generated variant is used instead of the official set", advice)


def _weights() -> Iterator[Finding]:
    from baselines.bases.vit_weights import AUGREG, CHECKPOINTS, in_cache

    held = [checkpoint for checkpoint in CHECKPOINTS.values() if in_cache(checkpoint)]
    if AUGREG in held:
        yield Finding("vit weights", "ok", f"{AUGREG}, the published ones")
        return
    text = f"{AUGREG} is not in the Hugging Face cache: a run asks the hub for it"
    without = f"{held[0]}, which is in the cache" if held else "random ones"
    yield Finding("vit weights", "ok", text, f"if the hub does not answer, runs start from {without} and note it")
