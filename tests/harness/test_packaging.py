"""What is installed, pinned and shipped, and the setting-up that needs nothing but Python."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("harness", "baselines", "tasks")
CUDA = re.compile(r"(nvidia-(?!ml-py$)|cuda-|triton)")
FOLDERS = {".ci", "baselines", "docs", "harness", "ray_configs", "results", "tasks", "tests"}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split("\n")
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return listed.stdout.splitlines()


def needed(names: list[str]) -> dict[str, Requirement]:
    """The requirements, and those of what they require, but for the parts of CUDA that torch may bring."""
    found: dict[str, Requirement] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == "symbench" or name in found or CUDA.match(name):
            continue
        found[name] = requirement
        for text in distribution(requirement.name).requires or []:
            inner = Requirement(text)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return found


def test_constraints_pin_all_that_is_installed_with_the_project() -> None:
    wanted = needed([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]])
    assert sorted(wanted.keys() - pins().keys()) == []
    assert sorted(pins().keys() - wanted.keys()) == []


def test_every_pin_is_exact_plain_and_within_its_range() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line
    for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)], prereleases=True), text


def test_every_import_is_a_stated_dependency() -> None:
    texts = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["vision"]]
    stated = {canonicalize_name(Requirement(text).name) for text in texts}
    provided = packages_distributions()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in imported(path) - set(sys.stdlib_module_names) - set(PACKAGES):
                owners = {canonicalize_name(owner) for owner in provided.get(name, [])}
                assert owners & stated, f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not state"


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_no_folder_beyond_the_agreed_ones() -> None:
    folders = {name.partition("/")[0] for name in tracked() if "/" in name}
    assert folders - FOLDERS == set()


def test_every_folder_with_code_is_a_package() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path.parent


def test_data_files_of_packages_are_shipped(tmp_path: Path) -> None:
    """An installed copy, not only a checkout, has every file that the code reads."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    declared["harness.library.symbench"] = declared.pop("symbench")  # where the checkout has it
    shipped = {
        path
        for package, patterns in declared.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    data = [ROOT / name for name in tracked() if name.startswith(tuple(f"{package}/" for package in PACKAGES))]
    assert [str(path) for path in data if path.suffix not in (".py", ".pyi") and path not in shipped] == []


def test_a_wheel_runs_from_any_folder(tmp_path: Path) -> None:
    """The wheel holds the bundled suites, the types and the licence, and plans a suite without the checkout."""
    source, wheels, installed = tmp_path / "source", tmp_path / "wheels", tmp_path / "installed"
    for name in tracked():
        if name.partition("/")[0] in (*PACKAGES, "ray_configs") or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(source)]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True, cwd=tmp_path)
    assert [package for package in (*PACKAGES, "symbench") if not (installed / package / "py.typed").is_file()] == []
    assert not (installed / "symbench.py").exists() and not (installed / "harness" / "library").exists()
    assert list(installed.glob("symbench-*.dist-info/licenses/LICENSE"))
    command = [sys.executable, "-c", "import harness; from harness.cli import main; print(harness.__file__); main()"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [*command, "plan", "quick"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed)) and "174" in done.stdout
    library = [sys.executable, "-c", "import symbench.errors; print(symbench.errors.SymbenchError, symbench.__file__)"]
    done = subprocess.run(library, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["<class", "'tasks.errors.SymbenchError'>", f"{installed}/symbench/__init__.py"]


def test_a_checkout_that_is_not_installed_has_the_library() -> None:
    program = "import sys, symbench.errors, symbench; print(symbench.__file__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(ROOT / "harness/library/symbench/__init__.py"), "False"], done.stderr


def test_the_library_lists_what_it_has() -> None:
    import symbench

    assert [name for name in symbench.__all__ if not hasattr(symbench, name)] == []
    assert set(symbench.__all__) <= set(dir(symbench))


def test_one_version_and_one_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_pre_commit_runs_the_first_checks_of_make_test() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ntest:")[2].partition("\n\n")[0]
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()[1:]]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = [hook["entry"] for hook in hooks]
    assert entries == commands[: len(entries)]
    assert all(command.startswith(".venv/bin/pytest") for command in commands[len(entries) :])


# The bootstrap


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
