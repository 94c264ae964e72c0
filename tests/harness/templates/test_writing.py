"""Packages that are written from templates: they check, plan and run as they are, and are tidy."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness import registry
from harness.cli import main
from harness.errors import SettingsError
from harness.suites.loading import load
from harness.templates.writing import KINDS, write
from tests.distributions import found_in

ROOT = Path(__file__).resolve().parents[3]
LONGEST = {"task": 90, "sampler": 70}  # a third of which are names that are imported, and the card
SHORT = 60  # lines


def installed(folder: Path) -> None:
    """Puts entry points beside a package, as its installation in place does."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in found.items())
        for group, found in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("".join(points))


def ran(folder: Path, *words: str) -> str:
    """What a Python program prints in ``folder``, with symbench and the folder importable."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=list(KINDS))
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    kind = str(request.param)
    return kind, write(kind, f"written-{kind}", tmp_path_factory.mktemp("written"))


def test_its_own_tests_pass(package: tuple[str, Path]) -> None:
    """Each property is a test of its own, without an installation."""
    _, folder = package
    said = ran(folder, "pytest", "-q", "-p", "no:cacheprovider")
    assert "passed" in said and int(said.split(" passed")[0].split()[-1]) > 8


def test_it_is_found_by_its_entry_point_and_planned(package: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    kind, folder = package
    installed(folder)
    name = f"written_{kind}"
    with found_in(folder, monkeypatch):
        assert [(plugin.name, plugin.fault) for plugin in registry.plugins()] == [(name, None)]
        jobs, misfits = load(folder / "suite.yaml").expand()
    used = {job.spec.task for job in jobs} | {job.spec.method for job in jobs}
    assert any(name in one.split("-") for one in used)
    assert misfits == []


def test_its_suite_is_planned_and_it_is_checked_by_the_command_line(package: tuple[str, Path]) -> None:
    kind, folder = package
    name = f"written_{kind}"
    assert name in ran(folder, "harness.cli", "tasks" if kind == "task" else "methods")
    assert name in ran(folder, "harness.cli", "plan", "suite.yaml")
    method = {"base": f"{name}-ga", "sampler": f"mlp-{name}", "network": name, "task": "mlp-ga"}[kind]
    task = name if kind == "task" else "teacher_graph_invariant"
    assert "passed" in ran(folder, "harness.cli", "check", method, "--task", task)


def test_it_is_short_and_tidy(package: tuple[str, Path]) -> None:
    kind, folder = package
    lengths = {path.name: len(path.read_text().splitlines()) for path in folder.rglob("*.py")}
    assert max(lengths.values()) <= LONGEST.get(kind, SHORT), lengths
    assert len((folder / "README.md").read_text().splitlines()) <= 12
    sources = [str(path) for path in folder.rglob("*.py")]
    for words in (("check", "--no-cache"), ("format", "--check", "--no-cache")):
        ran(folder, "ruff", *words, "--config", str(ROOT / "pyproject.toml"), *sources)


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("tusk", "mine", "There is no template 'tusk': choose one of task, base, sampler, network."),
        ("base", "my net", "'my net' cannot be a Python package"),
        ("base", "3d", "'3d' cannot be a Python package"),
        ("base", "class", "'class' cannot be a Python package"),
        ("base", "../mine", "cannot be a Python package"),
        ("base", "", "cannot be a Python package"),
        ("task", "nbody", "'nbody' is a name that symbench uses"),
        ("base", "gin-id", "'gin_id' is a name that symbench uses"),
        ("sampler", "haar", "'haar' is a name that symbench uses"),
        ("base", "torch", "There is a Python package 'torch' already"),
        ("base", "tests", "There is a Python package 'tests' already"),
        ("base", "taken", "exists: choose another name, or another --folder"),
    ],
)
def test_what_cannot_be_written_is_one_sentence_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    name: str,
    sentence: str,
) -> None:
    (tmp_path / "taken").mkdir()
    monkeypatch.setattr(sys, "argv", ["symbench", "new", kind, name, "--folder", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert sentence in said and len(said.splitlines()) == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]


def test_the_command_says_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["symbench", "new", "network", "my-net", "--folder", str(tmp_path / "new")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "my_net/network.py" in capsys.readouterr().out
    assert (tmp_path / "new" / "my-net" / "my_net" / "network.py").is_file()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["my-net"]


def test_a_second_package_of_a_name_is_refused(tmp_path: Path) -> None:
    write("base", "mine", tmp_path)
    with pytest.raises(SettingsError, match="exists: choose another name"):
        write("task", "mine", tmp_path)
    assert not (tmp_path / "mine" / "mine" / "task.py").exists()
