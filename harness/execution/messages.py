"""What the driver of a launch and its workers send to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.plugins.plugin_file import PluginFile
from harness.records.plugin_code import PluginCode
from harness.records.record import Status

if TYPE_CHECKING:
    from harness.tracking import TrackerHandle


@dataclass(frozen=True, kw_only=True)
class WorkerInfo:
    """Where a process runs, and its code.

    Attributes:
        pid: The process id.
        host: The name of its machine.
        tasks_file: The file from which it imports ``tasks``.
        code: Its :func:`~harness.records.provenance.code_digest`.
        plugins: The code of its plug-ins, by name.
    """

    pid: int
    host: str
    tasks_file: str
    code: str
    plugins: Mapping[str, PluginCode] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """The settings that all workers of a launch share.

    Attributes:
        root: The address of the store.
        launch_id: The id of the launch.
        executor: The function that runs a spec, as ``module:function``.
        command: The command line of the launch.
        driver: The code of the driver, with the plug-ins that the runs use (``None``: it is not compared).
        tracker: The MLflow run of the launch (``None``: runs are not mirrored).
        plugin_files: The plug-in files of the driver, which a worker registers before anything else.
    """

    root: Path | str
    launch_id: str
    executor: str
    command: Sequence[str]
    driver: WorkerInfo | None = None
    tracker: TrackerHandle | None = None
    plugin_files: Sequence[PluginFile] = ()


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended; its record is in the store. ``sentence`` is the reason of a failure."""

    status: Status
    sentence: str | None
