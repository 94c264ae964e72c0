"""What travels to a cluster when a suite is submitted from outside: code, plug-ins, the suite's file, the command."""

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
from harness.errors import SymbenchError
from harness.records.plugin_code import PluginCode, plugin_code
from harness.records.provenance import ORIGIN, git_state
from harness.suites.yaml_source import Unusable, parse

CODE = ("harness", "baselines", "tasks", "ray_configs", "pyproject.toml", "constraints.txt")
"""Of the checkout or of an installation, as far as they are there."""

METADATA = ("METADATA", "entry_points.txt", "top_level.txt")
"""Of an installed package."""

LEFT = ("__pycache__", ".git*", ".rayignore")
"""Of a package: what Ray leaves out of a working directory is written in such files."""

SUITE_FOLDER = "submitted"
TAKEN = frozenset({*CODE, SUITE_FOLDER})
STOP_SECONDS = 30
"""How long a job that is stopped may take to end its workers and to say that it was interrupted."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The file of a suite for ``symbench run`` on the cluster, or of a search for ``symbench search``.

    All nodes see ``store``.
    """

    file: Path
    store: str
    overrides: Sequence[str] = ()
    only: Sequence[str] = ()
    slots: int | None = None
    search: bool = False

    def __post_init__(self) -> None:
        if not self.store.startswith("/") and "://" not in self.store:
            raise SymbenchError(
                f"--store {self.store or 'is missing'}: name a folder that every node of the cluster sees by its "
                "whole path, or an address such as s3://bucket/store."
            )

    @property
    def entrypoint(self) -> str:
        """A shell command, for the folder that :func:`travelling` gives."""
        command = "search" if self.search else "run"
        words = ["python", "-m", "harness.cli", command, f"{SUITE_FOLDER}/{self.file.name}"]
        words += ["--address", "auto", "--store", self.store]
        words += [word for override in self.overrides for word in ("--set", override)]
        words += [word for item in self.only for word in ("--only", item)]
        words += ["--slots", str(self.slots)] if self.slots is not None else []
        return f"exec {shlex.join(words)}"


@contextlib.contextmanager
def travelling(submission: Submission, plugins: Iterable[PluginCode] = ()) -> Iterator[Path]:
    """A folder with all that the job needs: code, plug-ins, the suite's file, and which commit it is (no git goes).

    Raises :class:`SymbenchError` for a plug-in that cannot be sent.
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
        commit, dirty = git_state(root / "harness")
        (folder / ORIGIN).write_text(json.dumps({"commit": commit, "dirty": dirty}), encoding="utf-8")
        yield folder


def sendable(used: Mapping[str, PluginCode]) -> list[PluginCode]:
    """The plug-ins that go along: all that can, since one may name another.

    Raises :class:`SymbenchError` for the first of those in ``used`` that cannot.
    """
    for plugin in used.values():
        if reason := _rooted(plugin):
            raise SymbenchError(
                f"The plug-in {plugin.distribution} {plugin.version} cannot be sent along: {reason}. Install it on the "
                "cluster and start the suite there ('symbench run'), or install it here as a folder."
            )
    return [plugin for plugin in plugin_code().values() if _rooted(plugin) is None]


def _rooted(plugin: PluginCode) -> str | None:
    """Why it stays here, in one clause; ``None`` where it can be sent."""
    try:
        distribution(plugin.distribution)
    except PackageNotFoundError:
        return "its metadata has no name"
    if not plugin.roots:
        return "its modules are not found"
    for root in plugin.roots:
        if root.module.partition(".")[0] in TAKEN:
            return f"its module {root.module} has the name of a folder of ours"
        if not root.path.is_dir() and not root.path.name.endswith(tuple(all_suffixes())):
            return f"its module {root.module} lies in the archive {root.path}"
    return None


def _pack(plugin: PluginCode, folder: Path) -> None:
    """Puts the code of a plug-in into ``folder``, and of its metadata what says that it is registered."""
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
        raise SymbenchError(f"The plug-in {plugin.distribution} cannot be sent along: {error}.") from error


def runtime_environment(path: Path | None) -> dict[str, Any]:
    """Ray's ``env_vars``, ``pip``, ... of a YAML file. Raises :class:`SymbenchError` where it holds no such mapping."""
    values: Any = {}
    if path is not None:
        try:
            values, _ = parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SymbenchError(f"--runtime-env {path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise SymbenchError(f"--runtime-env {path} is no UTF-8 text (byte {error.start}).") from error
        except Unusable as error:
            line = f", line {error.line}" if error.line else ""
            raise SymbenchError(f"--runtime-env {path}{line}: {error}.") from error
    if not isinstance(values, Mapping) or "working_dir" in values:
        raise SymbenchError(
            f"--runtime-env {path}: write a mapping such as 'env_vars: {{SYMBENCH_DATA: /data}}', and no working_dir."
        )
    variables = values.get("env_vars") or {}
    if not isinstance(variables, Mapping) or not all(isinstance(value, str) for value in variables.values()):
        raise SymbenchError(f"--runtime-env {path}: env_vars is a mapping of names to texts (put numbers in quotes).")
    return {**values, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), **variables}}
