"""Several processes train a run as one would: the same gradients, weights and history on the same global batch."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from baselines.build import build
from baselines.layers.batch_norm import BatchNorm
from baselines.model import Model
from harness.registry import method
from harness.training.checkpoint import Checkpoint
from harness.training.context import RunContext
from harness.training.distributed import SINGLE_PROCESS, ProcessGroup
from harness.training.fit import Fit
from harness.training.results import NotFinite
from harness.training.seeds import derive
from tasks.protocol import Protocol
from tests.harness.training.small_problems import EdgeCount

PROTOCOL = Protocol(
    epochs=3, batch_size=7, train_samples=2, valid_samples=3, clip_norm=0.1, warmup_epochs=1, test_samples=2
)
TINY = {"width": 12, "layers": 1, "widths": [8], "heads": 2, "dropout": 0.0}


class Weighted(EdgeCount):
    """A loss that is no mean of examples' losses, as where classes are weighted by how often a batch has them."""

    def loss(self, predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        weight = targets.abs() / targets.abs().sum()
        return ((predictions - targets).square() * weight).sum()


class Unvalidated(Weighted):
    """Its loss is not a number where it is validated."""

    def loss(self, predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return super().loss(predictions, targets) * (1 if predictions.requires_grad else math.nan)


class Rows:
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))


def model(name: str) -> Model:
    card, task = method(name), Weighted({})
    torch.manual_seed(derive(0, "initialisation"))
    params = [card.base.params, card.sampler.params if card.sampler else {}]
    tiny = [{**own, **{key: value for key, value in TINY.items() if key in own}} for own in params]
    symmetry = () if "S_n" in card.base.respects else ("S_n",)
    return build(card, task.signature, symmetry, *tiny).double()


def train(name: str, processes: ProcessGroup, path: Path | None = None, **settings: Any) -> tuple[Model, Rows]:
    network, rows = model(name), Rows()
    checkpoint = Checkpoint(path, "d", 0.0) if path else None
    context = RunContext(dtype=torch.float64, hooks=rows, checkpoint=checkpoint, processes=processes)
    Fit(network, Weighted({}), Protocol(**{**vars(PROTOCOL), **settings}), context, seed=3).run()
    return network, rows


def failure(processes: ProcessGroup) -> str:
    """What a run says that validates nothing."""
    fit = Fit(model("gin"), Unvalidated({}), PROTOCOL, RunContext(dtype=torch.float64, processes=processes), seed=3)
    with pytest.raises(NotFinite) as failed:
        fit.run()
    return str(failed.value)


def worker(rank: int, size: int, port: int, name: str, folder: Path, settings: dict[str, Any]) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=size)
    processes = ProcessGroup.current()
    network, rows = train(name, processes, folder / "state.pt", **settings)
    said = failure(processes)
    torch.save({"rows": rows.rows, "weights": network.state_dict(), "failure": said}, folder / f"{rank}.pt")
    dist.destroy_process_group()


def together(name: str, folder: Path, size: int = 2, **settings: Any) -> list[dict[str, Any]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    mp.spawn(worker, args=(size, port, name, folder, settings), nprocs=size)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(size)]


@pytest.mark.parametrize("name", ["gin", "mlp-ps", "gin_id-canonical"])
def test_two_processes_end_where_one_does(name: str, tmp_path: Path) -> None:
    """With batch norms over all of a batch, penalties, odd batches that two cannot halve, clipped gradients.

    And where one fails, both do: none waits for the other.
    """
    network, expected = train(name, SINGLE_PROCESS)
    said = failure(SINGLE_PROCESS)
    assert said.startswith("No validation loss is finite, from epoch 0 to 2")
    for found in together(name, tmp_path):
        assert found["failure"] == said
        assert [step for step, _ in found["rows"]] == [step for step, _ in expected.rows]
        for (_, ours), (_, alone) in zip(found["rows"], expected.rows, strict=True):
            assert ours == pytest.approx(alone, rel=1e-8)
        for key, value in network.state_dict().items():
            torch.testing.assert_close(found["weights"][key], value, rtol=1e-7, atol=1e-9)


def test_two_processes_go_on_from_their_checkpoint(tmp_path: Path) -> None:
    expected = together("mlp-ga", tmp_path)
    resumed = tmp_path / "resumed"
    resumed.mkdir()
    together("mlp-ga", resumed, epochs=2, warmup_epochs=1)
    assert torch.load(resumed / "state.pt", weights_only=True)["progress"]["epoch"] == 2
    found = together("mlp-ga", resumed)
    for ours, whole in zip(found, expected, strict=True):
        for key, value in whole["weights"].items():
            assert torch.equal(ours["weights"][key], value)


@pytest.mark.parametrize(("count", "size"), [(7, 2), (5, 3), (8, 4), (3, 3)])
def test_shares_cover_a_batch_once(count: int, size: int) -> None:
    shares = [ProcessGroup(rank, size).shard(count) for rank in range(size)]
    assert [place for share in shares for place in range(count)[share]] == list(range(count))
    assert max(share.stop - share.start for share in shares) == math.ceil(count / size)


def test_what_cannot_be_shared_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"A batch of 1 examples cannot be shared by 2 workers"):
        ProcessGroup(0, 2).check(15, 7)
    ProcessGroup(0, 2).check(14, 7)
    with pytest.raises(ValueError, match="BatchNorm1d cannot be shared by several workers"):
        ProcessGroup(0, 2).prepare(nn.Sequential(nn.BatchNorm1d(3)))
    ProcessGroup(0, 2).prepare(norm := BatchNorm(3))
    assert norm.total is not None
