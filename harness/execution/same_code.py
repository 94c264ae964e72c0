"""Whether the processes of a launch run the same code."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from harness.execution.messages import WorkerInfo
from harness.records.plugin_code import plugin_code, used_by
from harness.records.provenance import code_digest
from harness.spec import RunSpec


def worker_info(specs: Iterable[RunSpec] | None = None) -> WorkerInfo:
    """Returns the code of this process, with the plug-ins that ``specs`` use (``None``: all plug-ins)."""
    import tasks

    return WorkerInfo(
        pid=os.getpid(),
        host=socket.gethostname(),
        tasks_file=os.path.realpath(tasks.__file__),
        code=code_digest(),
        plugins=plugin_code() if specs is None else used_by(specs),
    )


def code_mismatch(worker: WorkerInfo, driver: WorkerInfo) -> str | None:
    """Returns one sentence if ``worker`` runs other code than ``driver``, else None.

    Only the plug-ins of ``driver`` are compared. On one machine equal paths count as equal code, even if a file was
    edited between the two imports.
    """
    if worker.code != driver.code and (worker.host, worker.tasks_file) != (driver.host, driver.tasks_file):
        return _other_code(worker, driver)
    reasons = (_other_plugin(name, worker, driver) for name in driver.plugins)
    return next(filter(None, reasons), None)


def _other_code(worker: WorkerInfo, driver: WorkerInfo) -> str:
    if worker.host != driver.host:
        return (
            f"The node {worker.host} has other code in {worker.tasks_file} than this process in {driver.tasks_file}: "
            "bring all nodes to the same commit, or send the code with 'symbench submit'."
        )
    return (
        f"Workers import the tasks of {worker.tasks_file} and this process those of {driver.tasks_file}: "
        "start symbench from another folder, or remove the other 'tasks' from the Python path."
    )


def _other_plugin(name: str, worker: WorkerInfo, driver: WorkerInfo) -> str | None:
    expected, found = driver.plugins[name], worker.plugins.get(name)
    same_host = worker.host == driver.host
    where = "A worker on this machine" if same_host else f"The node {worker.host}"
    remedy = "install the same package on all nodes, or send it with 'symbench submit'"
    if found is None:
        return f"{where} lacks the plug-in {name} {expected.version}, which the runs use: {remedy}."
    if found.same(expected.version, expected.digest) or (same_host and found.roots == expected.roots):
        return None
    return (
        f"{where} has other code of the plug-in {name} ({found.version}, {found.digest[:12]}) than this process "
        f"({expected.version}, {expected.digest[:12]}): {remedy}."
    )
