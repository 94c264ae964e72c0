"""What travels to a cluster when a suite is submitted from outside: the code, the suite's file and the command."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import harness
from harness.errors import SymbenchError
from harness.records.provenance import ORIGIN, git_state
from harness.suite import locate

CODE = ("harness", "baselines", "tasks", "ray_configs", "pyproject.toml", "constraints.txt")
"""Of the checkout or of an installation, as far as they are there."""

SUITE_FOLDER = "submitted"
STOP_SECONDS = 30
"""How long a job that is stopped may take to end its workers and to say that it was interrupted."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A suite for ``symbench run`` on the cluster: ``suite`` is a path or a bundled name, all nodes see ``store``."""

    suite: str
    store: str
    overrides: Sequence[str] = ()
    only: Sequence[str] = ()
    slots: int | None = None

    def __post_init__(self) -> None:
        if not self.store.startswith("/") and "://" not in self.store:
            raise SymbenchError(
                f"--store {self.store or 'is missing'}: name a folder that every node of the cluster sees by its "
                "whole path, or an address such as s3://bucket/store."
            )

    @property
    def entrypoint(self) -> str:
        """A shell command, for the folder that :func:`travelling` gives."""
        words = ["python", "-m", "harness.cli", "run", f"{SUITE_FOLDER}/{locate(self.suite).name}"]
        words += ["--address", "auto", "--store", self.store]
        words += [word for override in self.overrides for word in ("--set", override)]
        words += [word for item in self.only for word in ("--only", item)]
        words += ["--slots", str(self.slots)] if self.slots is not None else []
        return f"exec {shlex.join(words)}"


@contextlib.contextmanager
def travelling(submission: Submission) -> Iterator[Path]:
    """A folder with all that the job needs: code, the suite's file, and which commit it is (no git goes along)."""
    root = Path(harness.__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory(prefix="symbench-submit-") as name:
        folder = Path(name)
        for part in CODE:
            if (root / part).is_dir():
                shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (root / part).is_file():
                shutil.copy(root / part, folder)
        suite = locate(submission.suite)
        (folder / SUITE_FOLDER).mkdir()
        shutil.copy(suite, folder / SUITE_FOLDER / suite.name)
        commit, dirty = git_state(root / "harness")
        (folder / ORIGIN).write_text(json.dumps({"commit": commit, "dirty": dirty}), encoding="utf-8")
        yield folder


def runtime_environment(path: Path | None) -> dict[str, Any]:
    """Ray's ``env_vars``, ``pip``, ... of a YAML file. Raises :class:`SymbenchError` where it holds no such mapping."""
    values: Any = {}
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SymbenchError(f"--runtime-env {path} cannot be read: {error.strerror}.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise SymbenchError(f"--runtime-env {path} is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, Mapping) or "working_dir" in values:
        raise SymbenchError(
            f"--runtime-env {path}: write a mapping such as 'env_vars: {{SYMBENCH_DATA: /data}}', and no working_dir."
        )
    variables = values.get("env_vars") or {}
    if not isinstance(variables, Mapping) or not all(isinstance(value, str) for value in variables.values()):
        raise SymbenchError(f"--runtime-env {path}: env_vars is a mapping of names to texts (put numbers in quotes).")
    return {**values, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), **variables}}
