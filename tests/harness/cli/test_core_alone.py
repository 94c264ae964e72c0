"""The command line where no extra is installed: what works, and the sentence of what does not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records.store import Store
from tests.harness.synthetic import demo_records, write
from tests.hiding import HIDING

ROOT = Path(__file__).resolve().parents[3]
STORE, NOW = "mine", "2026-01-01T00:00:00+00:00"
WORKING = (
    "tasks",
    "methods",
    "show egnn --task nbody",
    "show vit-ps",
    "schema --search",
    "plan quick",
    "plan shapes",
    "plan paper",
    "check egnn --task nbody --samples 1,2",
    f"plan quick --store {STORE} --cost",
    f"collate --store {STORE}",
    f"compare mlp-ps mlp-ga --store {STORE}",
    f"status --store {STORE}",
    f"compact --store {STORE}",
    f"export out.zip --store {STORE}",
    "import out.zip --store theirs",
    "doctor",
)
REFUSED = {
    "run quick": ("cluster", "symbench run"),
    "search nbody_egnn": ("search", "symbench search"),
    "submit quick --address http://127.0.0.1:9 --store s3://bucket/store": ("cluster", "symbench submit"),
    "jobs --address http://127.0.0.1:9": ("cluster", "The job server of a cluster"),
    f"report --store {STORE}": ("report", "symbench report"),
    f"figure --store {STORE}": ("report", "symbench figure"),
    f"ui --store {STORE}": ("cluster", "symbench ui"),
    f"sync --store {STORE}": ("cluster", "symbench sync"),
    "collate --store s3://bucket/store": ("cluster", "--store s3://bucket/store"),
    "check mlp-ga --task graph8c": ("graphs", "The task graph8c"),
    "check set_transformer-ga --task shapes_o3": ("vision", "The task shapes_o3"),
    "check vit-ga --task pattern": ("vision", "The method vit-ga"),
}
PROGRAM = """
import contextlib, io, json, sys
from harness.cli import main

ended = {}
for command in json.loads(sys.argv[1]):
    sys.argv = ["symbench", *command.split()]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as exit:
            code = exit.code or 0
    ended[command] = code, out.getvalue(), err.getvalue()
print(json.dumps(ended))
"""
Ended = dict[str, tuple[int, str, str]]


def ended(folder: Path, commands: list[str], hidden: str = "") -> Ended:
    words = [sys.executable, "-c", HIDING + hidden + PROGRAM, json.dumps(commands)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: Ended = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def core_alone(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("core")
    write(Store(folder / STORE).root, *demo_records())
    launch = {"id": "1", "suite": "demo", "status": "succeeded", "started": NOW, "finished": NOW, "digests": []}
    Store(folder / STORE).write_launch("1", launch)
    found = ended(folder, [*WORKING, *REFUSED])
    assert {path.name for path in folder.iterdir()} == {STORE, "theirs", "out.zip"}  # a refused run makes no store
    return found


@pytest.mark.parametrize("command", WORKING)
def test_what_the_core_can_do(command: str, core_alone: Ended) -> None:
    code, out, err = core_alone[command]
    assert (code, err) == (0, "") and out


@pytest.mark.parametrize("command", REFUSED)
def test_what_needs_an_extra_says_so_in_one_sentence(command: str, core_alone: Ended) -> None:
    extra, what = REFUSED[command]
    sentence = f"{what} needs the extra '{extra}': pip install 'symbench[{extra}]'\n"
    assert core_alone[command] == [2, "", sentence]


def test_the_doctor_lists_the_extras(core_alone: Ended) -> None:
    lines = [re.split(r" {2,}", line, maxsplit=2) for line in core_alone["doctor"][1].splitlines()]
    found = {name: text for status, name, text in lines}
    assert found["extra graphs"].startswith("not installed (no pynauty, pysat) -> pip install 'symbench[gra")
    assert {name for name in found if name.startswith("extra ")} == {
        f"extra {extra}" for extra in ("graphs", "report", "cluster", "search", "vision")
    }


def test_a_run_whose_data_needs_an_extra_is_refused_before_anything_starts(tmp_path: Path) -> None:
    hidden = "HIDDEN &= {'pynauty', 'trimesh'}\n"
    code, out, err = ended(tmp_path, ["run quick"], hidden)["run quick"]
    assert (code, out) == (2, "")
    assert err == "The task graph8c needs the extra 'graphs': pip install 'symbench[graphs]'\n"
    assert not list(tmp_path.rglob("*.json*"))
