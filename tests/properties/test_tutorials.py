"""The code of the tutorials runs, and says what it claims to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from harness import registry
from harness.training.execute import execute
from tests.distributions import found_in, put

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
TINY = {"epochs": 1, "train_size": 32, "valid_size": 8, "test_size": 8, "test_samples": 2, "curve_samples": (1, 2)}
ELSEWHERE = """
import json
from harness.registry import resolve
from harness.training.execute import execute
spec = resolve("alkanes", "egnn", "quick", 0, settings=json.loads('SETTINGS'))
print(json.dumps({"digest": spec.digest, "metrics": execute(spec).metrics}))
"""


@pytest.fixture(scope="module")
def molecules() -> ModuleType:
    spec = spec_from_file_location("molecules", TUTORIALS / "molecules.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_molecules_are_alkanes(molecules: ModuleType) -> None:
    for graph in molecules.alkanes(20):
        carbons, hydrogens = graph.x.sum(0).tolist()
        assert hydrogens == 2 * carbons + 2
        bonds = torch.bincount(graph.edge_index[0], minlength=len(graph.x))
        assert torch.equal(bonds, torch.where(graph.x[:, 0] == 1, 4, 1))
        lengths = (graph.pos[graph.edge_index[0]] - graph.pos[graph.edge_index[1]]).norm(dim=1)
        assert torch.allclose(lengths, torch.full_like(lengths, molecules.BOND_LENGTH))


def test_methods_of_every_kind_fit_molecules(molecules: ModuleType) -> None:
    card = molecules.ALKANES
    fits = {name: registry.method(name).misfit(card, card.params) for name in ("egnn", "mlp-ps", "transformer-fa")}
    assert set(fits.values()) == {None}
    assert registry.method("gin").misfit(card, card.params) == "gin cannot read the points of alkanes"


def test_molecules_in_a_plug_in_are_the_same_task_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"alkanes.py": (TUTORIALS / "molecules.py").read_text()}
    put(tmp_path, "alkanes", "[symbench.tasks]\nalkanes = alkanes:ALKANES\n", source)
    program = ELSEWHERE.replace("SETTINGS", json.dumps(TINY))
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    elsewhere = json.loads(done.stdout)
    with found_in(tmp_path, monkeypatch):
        spec = registry.resolve("alkanes", "egnn", "quick", 0, settings=TINY)
        assert elsewhere["digest"] == spec.digest
        assert elsewhere["metrics"] == pytest.approx(execute(spec).metrics)
    assert elsewhere["metrics"]["mae"] == pytest.approx(elsewhere["metrics"]["mae_transformed"], rel=1e-4)
