"""The setting-up of ``.venv``, which needs nothing but Python."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The bootstrap over a project of its own, with an installer that only makes the environment."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / ".ci" / "bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text(name)
    venv = tmp_path / ".venv"
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", venv)
    monkeypatch.setattr(module, "STAMP", venv / ".stamp")
    monkeypatch.setattr(module, "UNFINISHED", venv / ".unfinished")
    return module


class Calls:
    """Stands in for subprocess.run: makes what is asked for, and can fail or be interrupted at the installation."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.environment: dict[str, str] = {}
        self.fail: BaseException | None = None

    def __call__(self, command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        self.seen.append(command)
        if command[1:3] == ["-m", "venv"]:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True, exist_ok=True)
            (Path(command[-1]) / ".unfinished").unlink(missing_ok=True)
            python.touch()
        elif command[1] == "-c":
            there = Path(command[0]).exists()
            return subprocess.CompletedProcess(command, 0, str(sys.version_info[:2]) if there else "", "")
        else:
            self.environment = options["env"]  # type: ignore[assignment]
            if self.fail:
                raise self.fail
        return subprocess.CompletedProcess(command, 0, "", "")

    @property
    def made(self) -> int:
        return sum(command[1:3] == ["-m", "venv"] for command in self.seen)

    @property
    def installed(self) -> list[list[str]]:
        return [command for command in self.seen if "install" in command]


@pytest.fixture
def calls(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr(bootstrap.subprocess, "run", calls)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    return calls


def test_an_environment_is_made_once_for_each_state_of_the_pins(bootstrap: ModuleType, calls: Calls) -> None:
    assert bootstrap.main() is None
    assert bootstrap.main() is None
    assert (calls.made, len(calls.installed)) == (1, 1)
    assert calls.installed[0][-4:] == ["-c", "constraints.txt", "-e", ".[test]"]
    (bootstrap.ROOT / "constraints.txt").write_text("changed")
    assert bootstrap.main() is None
    assert (calls.made, len(calls.installed)) == (1, 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), subprocess.CalledProcessError(1, "pip")])
def test_what_was_broken_off_is_begun_afresh(bootstrap: ModuleType, calls: Calls, error: BaseException) -> None:
    calls.fail = error
    assert bootstrap.main()
    assert not bootstrap.STAMP.exists()
    calls.fail = None
    assert bootstrap.main() is None
    assert (calls.made, len(calls.installed)) == (2, 2)
    assert bootstrap.main() is None
    assert len(calls.installed) == 2


def test_uv_is_used_where_it_is_and_told_of_local_wheels(
    bootstrap: ModuleType, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: "/usr/bin/uv")
    monkeypatch.setenv("PIP_FIND_LINKS", "/one /two")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    assert bootstrap.main() is None
    assert calls.installed[0][:3] == ["uv", "pip", "install"]
    assert calls.environment["UV_FIND_LINKS"] == "/one,/two"


def test_an_old_python_is_told_what_to_do(bootstrap: ModuleType, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 10, 4))
    sentence = bootstrap.main()
    assert "Python 3.11 or newer and this is 3.10.4" in sentence
    assert calls.seen == []


def test_an_old_python_can_read_the_bootstrap() -> None:
    ast.parse((ROOT / ".ci" / "bootstrap.py").read_text(), feature_version=(3, 7))


def test_two_starts_wait_for_each_other(tmp_path: Path) -> None:
    """Two processes over one project: the installer runs once, and the second finds its work done."""
    project = tmp_path / "project"
    (project / ".ci").mkdir(parents=True)
    (project / ".ci" / "bootstrap.py").write_text((ROOT / ".ci" / "bootstrap.py").read_text())
    for name in ("pyproject.toml", "constraints.txt"):
        (project / name).write_text("")
    tools = tmp_path / "tools"
    tools.mkdir()
    uv = tools / "uv"
    uv.write_text(f"#!/bin/sh\nsleep 1\necho installed >> {tmp_path}/log\n")
    uv.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, str(project / ".ci" / "bootstrap.py")]
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert (tmp_path / "log").read_text() == "installed\n"
    assert sorted(bool(text) for text in said) == [False, True]
