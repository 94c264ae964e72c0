"""Where a record says it comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.records import provenance as module
from harness.records.provenance import git_state, peak_rss_bytes, provenance, reset_peak_rss
from harness.registry import resolve
from harness.spec import Job, Resources


@pytest.fixture(autouse=True)
def fresh_git_state() -> Iterator[None]:
    git_state.cache_clear()
    yield
    git_state.cache_clear()


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "checkout" / "harness"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "first")
    return package


def test_a_clean_checkout_and_one_with_changed_code(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_state(checkout) == (commit, False)
    (checkout.parent / "notes.txt").write_text("nothing that runs")
    git_state.cache_clear()
    assert git_state(checkout) == (commit, False)
    (checkout / "new_method.py").write_text("x = 1")
    git_state.cache_clear()
    assert git_state(checkout) == (commit, True)


def test_an_installed_copy_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    installed = checkout.parent / "site-packages" / "harness"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert git_state(installed) == (None, None)


def test_no_checkout_and_no_git(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert git_state(tmp_path) == (None, None)
    monkeypatch.setenv("PATH", "")
    assert git_state(checkout) == (None, None)


def test_what_a_record_says() -> None:
    job = Job(spec=resolve("nbody", "egnn", "quick", 7), suite="s", resources=Resources(cpus=0.5, timeout=9.0))
    found = provenance(job, wall_seconds=1.5, command=["symbench", "run", "quick"])
    assert found == json.loads(json.dumps(found))
    assert found["packages"]["torch"] == version("torch")
    assert found["seeds"] == {"run": 7, "data_seed": 43}
    assert found["resources"] == asdict(Resources(cpus=0.5, timeout=9.0))
    assert found["command"] == ["symbench", "run", "quick"]
    assert found["wall_seconds"] == 1.5
    assert found["peak_rss_bytes"] > 10**7
    assert found["threads"] > 0
    assert found["device"] and found["host"]


def test_versions_are_known_without_importing_the_packages() -> None:
    code = "import sys; from harness.records import provenance as p; p._packages(); print({'ray', 'mlflow'} & set(sys.modules))"  # noqa: E501
    root = Path(module.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a process's peak")
def test_the_peak_is_that_of_the_run_and_not_of_an_earlier_one() -> None:
    size = 200 * 1024**2
    reset_peak_rss()
    before = peak_rss_bytes()
    block = bytearray(b"x") * size
    assert peak_rss_bytes() - before > 0.9 * size
    del block
    reset_peak_rss()
    assert peak_rss_bytes() - before < 0.5 * size
