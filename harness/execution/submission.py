"""What is sent to a cluster when a suite is submitted: code, plug-ins, the suite's file and the command."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import harness
from harness import registry
from harness.errors import ClusterError, PluginError
from harness.plugins.plugin_file import PluginFile
from harness.records.plugin_code import PluginCode, plugin_code
from harness.records.provenance import ORIGIN, git_state
from harness.suites.yaml_source import Unusable, parse

CODE = ("harness", "baselines", "tasks", "ray_configs", "pyproject.toml", "constraints.txt")
"""What is sent of the checkout or the installation, if it exists."""

METADATA = ("METADATA", "entry_points.txt", "top_level.txt")
"""What is sent of an installed package's metadata."""

LEFT = ("__pycache__", ".git*", ".rayignore")
"""What is not sent of a package; the last two would make Ray leave out files."""

SUITE_FOLDER = "submitted"
PLUGIN_FOLDER = "plugin_files"
TAKEN = frozenset({*CODE, SUITE_FOLDER, PLUGIN_FOLDER})
STOP_SECONDS = 30
"""How long a stopped job may take to end its workers and to write that it was interrupted."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The file of a suite for ``symbench run`` on the cluster, or of a search for ``symbench search``.

    Attributes:
        file: The file of the suite or search.
        store: A folder that all nodes see, or an address.
        overrides: The values of ``--set``.
        only: The values of ``--only``.
        slots: The value of ``--slots``.
        search: Whether it is a search.
        plugin_files: The plug-in files that it needs, which replace those that it names.
    """

    file: Path
    store: str
    overrides: Sequence[str] = ()
    only: Sequence[str] = ()
    slots: int | None = None
    search: bool = False
    plugin_files: Sequence[PluginFile] = ()

    def __post_init__(self) -> None:
        if not self.store.startswith("/") and "://" not in self.store:
            raise ClusterError(
                f"--store {self.store or 'is missing'}: name a folder that every node of the cluster sees by its "
                "whole path, or an address such as s3://bucket/store."
            )

    @property
    def entrypoint(self) -> str:
        """The shell command of the job, run in the folder of :func:`job_folder`."""
        command = "search" if self.search else "run"
        words = ["python", "-m", "harness.cli", command, f"{SUITE_FOLDER}/{self.file.name}"]
        words += ["--address", "auto", "--store", self.store]
        words += [word for override in self.overrides for word in ("--set", override)]
        words += [word for item in self.only for word in ("--only", item)]
        words += ["--slots", str(self.slots)] if self.slots is not None else []
        words += ["--set", "plugins=[]"] if self.plugin_files else []
        words += [word for file in self.plugin_files for word in ("--plugin", f"{PLUGIN_FOLDER}/{file.name}")]
        return f"exec {shlex.join(words)}"


@contextlib.contextmanager
def job_folder(submission: Submission, plugins: Iterable[PluginCode] = ()) -> Iterator[Path]:
    """Yields a temporary folder with the code, the plug-ins, the suite's file and the name of the commit.

    Raises:
        SymbenchError: A plug-in cannot be sent.
    """
    root = Path(harness.__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory(prefix="symbench-submit-") as name:
        folder = Path(name)
        for part in CODE:
            if (root / part).is_dir():
                shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (root / part).is_file():
                shutil.copy(root / part, folder)
        for plugin in plugins:
            _pack(plugin, folder)
        (folder / SUITE_FOLDER).mkdir()
        shutil.copy(submission.file, folder / SUITE_FOLDER)
        (folder / PLUGIN_FOLDER).mkdir()
        for file in submission.plugin_files:
            (folder / PLUGIN_FOLDER / file.name).write_bytes(file.content)
        commit, dirty = git_state(root / "harness")
        (folder / ORIGIN).write_text(json.dumps({"commit": commit, "dirty": dirty}), encoding="utf-8")
        yield folder


def sendable(used: Mapping[str, PluginCode]) -> list[PluginCode]:
    """Returns all packages that can be sent, since one may need another. Plug-in files are sent apart from them.

    Raises:
        SymbenchError: A package in ``used`` cannot be sent.
    """
    files = {file.name for file in registry.files()}
    for name, plugin in used.items():
        if name not in files and (reason := _rooted(plugin)):
            raise PluginError(
                f"The plug-in {plugin.distribution} {plugin.version} cannot be sent along: {reason}. Install it on the "
                "cluster and start the suite there ('symbench run'), or install it here as a folder."
            )
    return [plugin for plugin in plugin_code().values() if _rooted(plugin) is None]


def _rooted(plugin: PluginCode) -> str | None:
    """Why the plug-in cannot be sent, in one clause; None if it can."""
    try:
        distribution(plugin.distribution)
    except PackageNotFoundError:
        return "its metadata has no name"
    if not plugin.roots:
        return "its modules are not found"
    for root in plugin.roots:
        if root.module.partition(".")[0] in TAKEN:
            return f"its module {root.module} has the name of a folder of symbench"
        if not root.path.is_dir() and not root.path.name.endswith(tuple(all_suffixes())):
            return f"its module {root.module} is in the archive {root.path}"
    return None


def _pack(plugin: PluginCode, folder: Path) -> None:
    """Copies the code of a plug-in and its entry points into ``folder``."""
    name, version = (re.sub(r"[^\w.+!]+", "_", text) for text in (plugin.distribution, plugin.version))
    info = folder / f"{name}-{version}.dist-info"
    try:
        for root in plugin.roots:
            target = folder / root.module.replace(".", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if root.path.is_dir():
                shutil.copytree(root.path, target, ignore=shutil.ignore_patterns(*LEFT), dirs_exist_ok=True)
            else:
                shutil.copy(root.path, target.with_name(root.path.name))
        info.mkdir()
        for file in METADATA:
            if (text := distribution(plugin.distribution).read_text(file)) is not None:
                (info / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PluginError(f"The plug-in {plugin.distribution} cannot be sent along: {error}.") from error


def runtime_environment(path: Path | None) -> dict[str, Any]:
    """Returns Ray's ``env_vars``, ``pip``, ... of a YAML file.

    Raises:
        SymbenchError: The file cannot be read or has no such mapping.
    """
    values: Any = {}
    if path is not None:
        try:
            values, _ = parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ClusterError(f"--runtime-env {path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ClusterError(f"--runtime-env {path} is no UTF-8 text (byte {error.start}).") from error
        except Unusable as error:
            line = f", line {error.line}" if error.line else ""
            raise ClusterError(f"--runtime-env {path}{line}: {error}.") from error
    if not isinstance(values, Mapping) or "working_dir" in values:
        raise ClusterError(
            f"--runtime-env {path}: write a mapping such as 'env_vars: {{SYMBENCH_DATA: /data}}', and no working_dir."
        )
    variables = values.get("env_vars") or {}
    if not isinstance(variables, Mapping) or not all(isinstance(value, str) for value in variables.values()):
        raise ClusterError(f"--runtime-env {path}: env_vars is a mapping of names to texts (put numbers in quotes).")
    return {**values, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), **variables}}
