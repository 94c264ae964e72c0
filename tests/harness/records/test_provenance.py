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
import torch

from harness.records import provenance as module
from harness.records.provenance import git_state, provenance
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


def test_a_record_of_an_accelerator_says_what_its_numbers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = resolve("nbody", "egnn", "quick", 7)
    on_cpu = provenance(Job(spec=spec, suite="s"), wall_seconds=1.0, command=[])
    assert on_cpu["accelerator"] == {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    job = Job(spec=spec, suite="s", resources=Resources(gpus=0.5))
    found = provenance(job, wall_seconds=1.0, command=[])
    assert (found["device"], found["device_type"]) == ("a card", "cuda")
    assert set(found["accelerator"]) == {"driver", "cuda", "cudnn", "tf32_matmul", "tf32_cudnn"}
    assert found["accelerator"]["cudnn"] == 91002
    assert (found["accelerator"]["tf32_matmul"], found["accelerator"]["tf32_cudnn"]) == (False, False)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 UTC 2023\nGCC 11", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs)\n", "570.86.15"),
        ("something else\n", None),
        (None, None),
    ],
)
def test_the_driver_is_the_version_that_the_kernel_names(text: str | None, version: str | None, tmp_path: Path) -> None:
    path = tmp_path / "version"
    if text is not None:
        path.write_text(text)
    assert module._driver(str(path)) == version


def test_versions_are_known_without_importing_the_packages() -> None:
    code = "import sys; from harness.records import provenance as p; p._packages(); print({'ray', 'mlflow'} & set(sys.modules))"  # noqa: E501
    root = Path(module.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a process's peak")
def test_the_peak_is_that_of_the_run_and_not_of_an_earlier_one() -> None:
    # In a process of its own: pages that other tests left in this one may be given back while it is measured.
    code = """
from harness.records.provenance import peak_rss_bytes, reset_peak_rss
size = 200 * 1024**2
reset_peak_rss()
before = peak_rss_bytes()
block = bytearray(b"x") * size
reached = peak_rss_bytes()
del block
reset_peak_rss()
print((reached - before) / size, (peak_rss_bytes() - before) / size)
"""
    root = Path(module.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    reached, forgotten = map(float, done.stdout.split())
    assert reached > 0.9
    assert forgotten < 0.5
