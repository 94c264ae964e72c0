"""Workers and the driver of a launch run the same code, wherever each of them found it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

from harness.errors import SymbenchError
from harness.execution.dispatch import _Dispatcher
from harness.execution.messages import WorkerConfig, WorkerInfo
from harness.execution.same_code import worker_info
from harness.records.plugin_code import PluginCode, Root
from harness.records.provenance import code_digest
from harness.registry import resolve
from harness.spec import Job
from harness.training.device_errors import DeviceFailed, MemoryFull
from tests.distributions import both, found_in, put

ROOT = Path(__file__).resolve().parents[3]
ASK = "from harness.records.provenance import code_digest; print(code_digest())"


def digest_in(folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", ASK]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_a_copy_is_the_same_code_until_a_line_of_it_changes(tmp_path: Path) -> None:
    for name in ("harness", "baselines", "tasks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    same = digest_in(tmp_path)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("harness", "baselines", "tasks"):
        (tmp_path / name).rename(moved / name)
    assert digest_in(moved) == same
    with (moved / "baselines" / "symmetrized.py").open("a") as file:
        file.write("# \n")
    assert digest_in(moved) != same


def welcome(theirs: WorkerInfo, ours: WorkerInfo | None = None) -> None:
    dispatcher = _Dispatcher.__new__(_Dispatcher)
    dispatcher._driver = ours or worker_info()
    dispatcher._check_code(theirs)


def test_who_is_welcome() -> None:
    ours = worker_info()
    assert ours.code == code_digest()
    welcome(ours)
    welcome(replace(ours, tasks_file="/elsewhere/tasks/__init__.py"))  # a copy, as each node has of a job's code
    welcome(replace(ours, code="edited meanwhile"))
    welcome(replace(ours, host="n2", tasks_file="/elsewhere/tasks/__init__.py"))
    other = replace(ours, code="other")
    with pytest.raises(SymbenchError, match=r"Workers import the tasks of /elsewhere/.*: start symbench from another"):
        welcome(replace(other, tasks_file="/elsewhere/tasks/__init__.py"))
    with pytest.raises(SymbenchError, match=r"The node n2 has other code in .*: bring all nodes to the same commit"):
        welcome(replace(other, host="n2"))


OTHER = PluginCode(distribution="other", version="1.0", digest="a" * 64, roots=(Root(module="o", path=Path("/a/o")),))
UNUSED = replace(OTHER, distribution="unused")


@pytest.mark.parametrize("host", ["here", "n2"])
def test_the_plug_ins_that_runs_use_are_the_drivers_too(host: str) -> None:
    ours = replace(worker_info(), host="here", plugins={"other": OTHER})
    theirs = replace(ours, host=host, plugins={"other": replace(OTHER, roots=()), "unused": UNUSED})
    where = "A worker on this machine" if host == "here" else "The node n2"
    welcome(theirs, ours)  # the same code, though it lies elsewhere, and one more that no run uses
    with pytest.raises(SymbenchError, match=rf"{where} lacks the plug-in other 1\.0, which the runs use: install the"):
        welcome(replace(theirs, plugins={"unused": UNUSED}), ours)
    for change in ({"version": "1.1"}, {"digest": "b" * 64}):
        changed = replace(OTHER, roots=(), **change)
        with pytest.raises(SymbenchError, match=rf"{where} has other code of the plug-in other \(1.*'symbench submit'"):
            welcome(replace(theirs, plugins={"other": changed}), ours)
    edited = replace(theirs, plugins={"other": replace(OTHER, digest="edited meanwhile")})
    if host == "here":
        welcome(edited, ours)  # the same file of this machine
    else:
        with pytest.raises(SymbenchError, match="other code of the plug-in"):
            welcome(edited, ours)


def test_a_process_greets_with_all_and_a_driver_with_those_of_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("other", "third"):
        put(tmp_path, name, both(name))
    with found_in(tmp_path, monkeypatch):
        assert worker_info().plugins.keys() == {"other", "third"}
        assert worker_info([resolve("nbody", "third_egnn", "quick", 0)]).plugins.keys() == {"third"}
        assert worker_info([resolve("nbody", "egnn", "quick", 0)]).plugins == {}


def test_a_process_of_a_run_with_several_is_checked_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.execution import data_parallel

    driver = replace(worker_info(), host="n1", plugins={"other": OTHER})
    config = WorkerConfig(root=tmp_path, launch_id="one", executor="json:loads", command=[], driver=driver)
    monkeypatch.setattr(data_parallel.ProcessGroup, "current", lambda: None)
    job = Job(spec=resolve("nbody", "egnn", "quick", 0), suite="s")
    with pytest.raises(SymbenchError, match="lacks the plug-in other") as raised:
        data_parallel._train_loop({"job": job, "config": config})
    wrapped = UserExceptionWithTraceback(raised.value, "a stack")
    assert data_parallel._reason(wrapped) is raised.value
    assert data_parallel._reason(UserExceptionWithTraceback(ValueError("x"), "a stack")) is None


@pytest.mark.parametrize("error", [DeviceFailed("CUDA error: unspecified launch failure"), MemoryFull("It is full.")])
def test_what_one_of_several_processes_says_of_its_device_is_the_sentence(error: Exception) -> None:
    from harness.execution import data_parallel

    said = data_parallel._reason(UserExceptionWithTraceback(error, "a stack"))
    assert isinstance(said, SymbenchError) and str(said) == str(error)
