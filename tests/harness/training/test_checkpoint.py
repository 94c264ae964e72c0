"""A checkpoint survives a power cut: it replaces the one before it once it is on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.training.checkpoint import Checkpoint
from harness.training.fit import load_optimizer, optimizer
from tasks.protocol import Protocol
from tests.harness.disk import Disk


def test_a_checkpoint_is_synced_before_it_replaces_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, disk = tmp_path / "run.pt", Disk(tmp_path, monkeypatch)
    for number in range(2):
        Checkpoint(path, "run").save({"number": number})
    assert disk.events == ["sync run.pt*", "move run.pt", "sync ."] * 2
    assert disk.unsafe() == []
    assert Checkpoint(path, "run").load() == {"digest": "run", "number": 1}
    assert Checkpoint(path, "another").load() is None


def test_what_cannot_be_saved_leaves_the_state_before_it(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    Checkpoint(path, "run").save({"number": 0})
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        Checkpoint(path, "run").save({"number": lambda: 1})
    assert [one.name for one in tmp_path.iterdir()] == ["run.pt"]
    assert Checkpoint(path, "run").load() == {"digest": "run", "number": 0}


def test_step_counters_of_a_resumed_run_stay_on_the_cpu(tmp_path: Path) -> None:
    settings = Protocol()
    trained = torch.nn.Linear(2, 1)
    descent = optimizer(trained.parameters(), settings)
    trained(torch.ones(3, 2)).sum().backward()
    descent.step()
    checkpoint = Checkpoint(tmp_path / "state", "run")
    checkpoint.save({"optimizer": descent.state_dict()})
    state = checkpoint.load()
    assert state is not None

    elsewhere = torch.nn.Linear(2, 1, device="meta")
    resumed = optimizer(elsewhere.parameters(), settings)
    load_optimizer(resumed, state["optimizer"])
    for parameter in elsewhere.parameters():
        values = resumed.state[parameter]
        assert values["step"].device.type == "cpu"
        assert values["step"].item() == 1
        assert values["exp_avg"].device.type == values["exp_avg_sq"].device.type == "meta"
