"""The pages for parts of a reader's own do what they say: the commands are run in order, in a folder with the files."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import symbench
from harness.execution import launch
from harness.execution.run_job import run_job
from harness.records.store import Store
from harness.spec import Job
from tasks.symmetry.names import space_of
from tests.distributions import found_in
from tests.pages import ROOT, blocks, files, write_files
from tests.plugin_files import forgotten

DOCS = ROOT / "docs"
PAGES = ("my-model.md", "my-dataset.md", "my-sampler.md")
NAMED = re.compile(r"`([^`]+)`")
Call = Callable[..., tuple[int, str, str]]


def launch_in_this_process(jobs: Sequence[Job], store: Store, *, progress: Any, **_: Any) -> None:
    """Runs all jobs, without Ray."""
    for job in jobs:
        progress.started(job)
        record = run_job(job, store, None)
        progress.finished(job, record.status, record.failure and record.failure.sentence)


def commands(page: Path) -> Iterator[list[str]]:
    for text in blocks(page, "bash"):
        for line in text.splitlines():
            yield shlex.split(line)


@pytest.mark.parametrize("name", PAGES)
def test_its_commands_say_what_the_page_says(
    name: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generated_data: Path
) -> None:
    page, said = DOCS / name, ""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "launch", launch_in_this_process)
    write_files(page, tmp_path)
    for program, *words in commands(page):
        if program == "symbench":
            with found_in(tmp_path, monkeypatch), forgotten():
                code, out, error = call(*words)
            assert code == int("FAILED" in out), (words, out, error)
        else:
            code, out, error = in_another_process(program, words, tmp_path)
            assert code == 0, (words, out, error)
        said += out
    promised = [line for text in blocks(page, "text") for line in text.splitlines()]
    assert promised and [line for line in promised if line not in said] == []


def in_another_process(program: str, words: Sequence[str], folder: Path) -> tuple[int, str, str]:
    module = {"python": (), "pytest": ("-m", "pytest", "-q")}[program]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *module, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout, done.stderr


def test_the_molecules_of_the_page_are_those_of_the_tutorial() -> None:
    assert files(DOCS / "my-dataset.md")["molecules.py"] == (DOCS / "tutorials" / "molecules.py").read_text()


def rows_of_samplers() -> Iterator[Any]:
    section = (DOCS / "my-model.md").read_text().partition("## Groups and samplers")[2].partition("\n##")[0]
    cells = [row.strip("|").split("|") for row in section.splitlines() if row.startswith("|")]
    names = [NAMED.findall(cell) for cell in cells[0]]
    for groups, inputs, *answers in cells[2:]:
        for group in NAMED.findall(groups):
            fits = {sampler: answer.strip() for (sampler,), answer in zip(names[2:], answers, strict=True)}
            yield pytest.param(group, NAMED.findall(inputs)[0], fits, id=f"{group} on {inputs.strip()}")


@pytest.mark.parametrize(("group", "role", "fits"), list(rows_of_samplers()))
def test_the_table_of_samplers_is_right(group: str, role: str, fits: dict[str, str]) -> None:
    dimension = max(space_of(name) for name in group.split(" x ")) or 4
    inputs = {role: torch.randn(2, 4, dimension)}
    if role == "adjacency":
        inputs = {role: (inputs[role] + inputs[role].mT > 0).float()}
    found = {}
    for sampler in fits:
        try:
            symbench.symmetrize(torch.nn.Flatten(), group, sampler, inputs=inputs)
            found[sampler] = "yes"
        except symbench.errors.DoesNotFit:
            found[sampler] = "no"
    assert found == fits
