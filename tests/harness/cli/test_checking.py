"""The command check on functions and trained runs: exit codes, what is printed, and mistakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.records.store import Store
from tests.harness.cli.conftest import Call
from tests.harness.trained.kept import trained

MODELS = '''
import torch
from torch import nn


class Distances(nn.Module):
    """Invariant."""

    def forward(self, x, h=None):
        return torch.cdist(x, x).sum((1, 2))


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.dropout = nn.Dropout()  # does nothing in evaluation mode

    def forward(self, x):
        return self.dropout(self.linear(x))


class Sized(nn.Module):
    def __init__(self, width, depth=2):
        super().__init__()


sized = Distances()
number = 3


def noisy(x):
    return x + torch.randn_like(x)


def infinite(x):
    return x / 0
'''


@pytest.fixture(autouse=True)
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module ``own_models`` in the current folder, which is not on the path of Python."""
    (folder / "own_models.py").write_text(MODELS)
    (folder / "own_broken.py").write_text("raise ZeroDivisionError('at import')")
    monkeypatch.delitem(sys.modules, "own_models", raising=False)


def test_a_symmetric_module(call: Call) -> None:
    code, out, err = call("check", "own_models:Distances", "--group", "S_n x E(3)")
    assert code == 0 and err == ""
    assert "own_models:Distances under S_n x E(3)" in out and "exactly equivariant under S_n x E(3)" in out
    code, again, _ = call("check", "own_models:sized", "--group", "E(2)", "--inputs", "positions,node_features:4")
    assert code == 0 and "exactly equivariant under E(2)" in again
    assert not any(str(Path.cwd()) == entry for entry in sys.path)


def test_a_module_that_is_not_symmetric(call: Call) -> None:
    words = ("check", "own_models:Linear", "--group", "S_n x O(3)", "--output", "vectors", "--json")
    code, out, _ = call(*words)
    found = json.loads(out)
    (verdict,) = found["checks"]
    assert code == 1 and found["function"] == "own_models:Linear" and not verdict["passed"]
    numbers = verdict["numbers"]
    assert (
        numbers["verdict"] == "none" and dict(numbers["factors"])["S_n"] < 1e-12 and numbers["precision"] == "float64"
    )
    assert call(*words)[1] == out  # random weights, inputs and elements are the same each time


def test_a_random_function(call: Call) -> None:
    code, out, _ = call("check", "own_models:noisy", "--group", "O(3)", "--output", "vectors", "--samples", "1,2,4")
    assert code == 0
    assert "passed  equivariance: equivariant under O(3) in law: the error falls as 1 / sqrt(k)" in out


def test_outputs_that_are_not_finite_fail(call: Call) -> None:
    code, out, _ = call("check", "own_models:infinite", "--group", "O(3)", "--output", "vectors", "--float32")
    assert code == 1 and out == "FAILED  equivariance: not equivariant under O(3): some outputs are not finite.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "There is nothing to check: write METHOD --task TASK, MODULE:NAME --group GROUP, or --run DIGEST."),
        ("gin", "The method gin needs a task"),
        ("gin --group S_n", "--group does not go with the method gin: write METHOD --task TASK, MODULE:NAME"),
        ("gin --task graph8c --nodes 4", "--nodes does not go with the method gin"),
        ("own_models:Distances", "needs a symmetry to be tested: add --group"),
        ("own_models:Distances --group S_n --task nbody", "--task does not go with own_models:Distances"),
        ("own_models:Distances --group S_n --set base.width=3", "--set does not go with own_models:Distances"),
        ("gin --run abc", "METHOD does not go with --run"),
        ("--run abc --task nbody", "--task does not go with --run"),
        ("--run abc --store nowhere", "There is no store at nowhere"),
        ("own_nothing:Net --group S_n", "own_nothing cannot be imported: ModuleNotFoundError"),
        ("own_broken:Net --group S_n", "own_broken cannot be imported: ZeroDivisionError: at import."),
        ("own_models:Nothing --group S_n", "The module own_models has no 'Nothing'."),
        ("own_models: --group S_n", "'own_models:' names no function"),
        ("own_models:number --group S_n", "own_models:number is int, which is no function, module or class"),
        ("own_models:Sized --group S_n", "needs width: write a line such as 'net = Sized(...)' in own_models"),
        ("own_models:Linear --group O(2)", "does not run with positions [8, 8, 2]: RuntimeError: "),
        ("own_models:Linear --group O(3)", "'graph_features' should have the shape [B, C] or [B], not [8, 8, 3]"),
        ("own_models:Linear --group O(3) --dimension 2", "O(3) acts on R^3, and points and vectors are in R^2"),
        ("own_models:Linear --group O(3) --inputs points", "There is no input 'points'"),
        ("own_models:Linear --group O(3) --inputs positions,positions", "--inputs names positions twice"),
        ("own_models:Linear --group O(3) --inputs positions:many", "write a role, a colon and a number"),
        ("own_models:Linear --group O(3) --inputs mask:2", "the input 'mask' has no channels"),
        ("own_models:Linear --group O(3) --inputs mask", "There are no inputs"),
        ("own_models:Linear --group O(3) --output forces", "There is no output 'forces'"),
        ("own_models:Linear --group Q(3)", "There is no group 'Q(3)'"),
        ("own_models:noisy --group O(3) --output vectors --samples 4", "at least two different whole numbers"),
        ("own_models:noisy --group O(3) --nodes 0", "--nodes"),
    ],
)
def test_mistakes_are_one_sentence(call: Call, words: str, sentence: str) -> None:
    code, out, err = call("check", *words.split())
    assert code == 2 and out == ""
    assert sentence in err and len(err.strip().splitlines()) == 1


def test_a_trained_run(call: Call, folder: Path) -> None:
    record = trained(Store(folder / "kept"))
    code, out, _ = call("check", "--run", record.digest[:10], "--store", "kept", "--json")
    found = json.loads(out)
    assert code == 0 and (found["run"], found["method"], found["task"]) == (record.digest, "egnn", "nbody")
    assert found["checks"][0]["numbers"]["symmetry"] == "exact"
    code, out, _ = call("check", "--run", record.digest, "--store", "kept")
    assert code == 0 and f"egnn on nbody, trained in run {record.digest}" in out
    code, _, err = call("check", "--run", "f" * 16, "--store", "kept")
    assert code == 2 and "There is no run ffffffffffffffff" in err
