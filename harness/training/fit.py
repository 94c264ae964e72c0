"""The one training loop: any model on any supervised task."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.nn.utils import clip_grad_norm_

from baselines.model import Model
from harness.training import checkpoint
from harness.training.evaluate import batches, predict
from harness.training.outcome import Hooks
from harness.training.seeds import derive, generator
from tasks.protocol import Protocol
from tasks.symmetry.noise import Generator
from tasks.symmetry.structure import Structure
from tasks.task import SupervisedTask

CHECKPOINT_SECONDS = 30.0

_log = logging.getLogger(__name__)


class NotFinite(RuntimeError):
    """Training has left the finite numbers."""


@dataclass
class Progress:
    """What a run carries from epoch to epoch beside the weights."""

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    train_seconds: float = 0.0
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)


class Fit:
    """Trains ``model`` by ``protocol``, keeping the weights of the epoch with the lowest validation loss.

    With a ``path`` the state is saved there every ``checkpoint_seconds`` at the end of an epoch, and a run whose
    state lies there goes on from it, to the same numbers as without the interruption.
    """

    def __init__(
        self,
        model: Model,
        task: SupervisedTask,
        protocol: Protocol,
        *,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        hooks: Hooks,
        chunk: int | None = None,
        path: Path | None = None,
        digest: str = "",
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self.model, self.task, self.protocol = model, task, protocol
        self.seed, self.device, self.hooks, self.chunk = seed, device, hooks, chunk
        self.path, self.digest, self.checkpoint_seconds = path, digest, checkpoint_seconds
        self.train = task.data("train").first(protocol.train_size).to(device, dtype)
        self.validation = task.data("validation").first(protocol.valid_size).to(device, dtype)
        if protocol.drop_last and len(self.train) < protocol.batch_size:
            raise ValueError(
                f"drop_last leaves no batch: {len(self.train)} training examples, batch {protocol.batch_size}"
            )
        self.optimizer = _optimizer(model, protocol)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._learning_rate_factor)
        self.progress = Progress()

    def run(self) -> Progress:
        """Trains to the end (or to where patience ends) and leaves the best weights in the model."""
        self._resume()
        saved = time.monotonic()
        while self.trained_steps < self.steps and not self._out_of_patience():
            self._epoch()
            self.progress.epoch += 1
            if self.path and time.monotonic() - saved > self.checkpoint_seconds:
                checkpoint.save(self.path, self._state())
                saved = time.monotonic()
        self.model.load_state_dict(self.progress.best_weights or self.model.state_dict())
        return self.progress

    @property
    def steps_per_epoch(self) -> int:
        whole, rest = divmod(len(self.train), self.protocol.batch_size)
        return whole if self.protocol.drop_last or not rest else whole + 1

    @property
    def steps(self) -> int:
        """Steps of the whole budget; the last epoch ends where it does."""
        steps = self.protocol.epochs * self.steps_per_epoch
        return steps if self.protocol.max_steps is None else min(steps, self.protocol.max_steps)

    @property
    def trained_steps(self) -> int:
        """Steps behind us."""
        return min(self.progress.epoch * self.steps_per_epoch, self.steps)

    def _epoch(self) -> None:
        epoch = self.progress.epoch
        start = time.perf_counter()
        values = self._train_epoch(epoch)
        self.progress.train_seconds += time.perf_counter() - start
        last = (epoch + 1) * self.steps_per_epoch >= self.steps
        if (epoch + 1) % self.protocol.validate_every == 0 or last:
            values |= self._validate(epoch)
        self.progress.history.append((epoch, values))
        self.hooks.log(epoch, values)

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        self.model.train()
        torch.manual_seed(derive(self.seed, "dropout", epoch))
        noise = generator(self.device, self.seed, "noise", epoch)
        order = torch.randperm(len(self.train), generator=generator(torch.device("cpu"), self.seed, "order", epoch))
        order = order.to(self.device)
        steps = min(self.steps_per_epoch, self.steps - self.trained_steps)
        totals: dict[str, torch.Tensor] = {}
        for part in batches(len(self.train), self.protocol.batch_size)[:steps]:
            for name, value in self.step(self.train[order[part]], noise).items():
                totals[name] = totals.get(name, torch.zeros((), device=self.device)) + value
        means = {f"train/{name}": (total / steps).item() for name, total in totals.items()}
        if not math.isfinite(means["train/loss"]):
            raise NotFinite(
                f"The training loss is {means['train/loss']} in epoch {epoch}: try a lower lr or clip_norm."
            )
        return means | {"train/lr": self.optimizer.param_groups[0]["lr"]}

    def step(self, batch: tuple[Structure, torch.Tensor], noise: Generator) -> dict[str, torch.Tensor]:
        """One step of the optimiser; nothing in it waits for the device."""
        inputs, targets = batch
        prediction = self.model(inputs, self.protocol.train_samples, noise, self.chunk)
        loss = self.task.loss(prediction.value, targets)
        total = loss if prediction.penalty is None else loss + prediction.penalty
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        if self.protocol.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.protocol.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        return {"loss": loss.detach(), **prediction.statistics}

    def _validate(self, epoch: int) -> dict[str, float]:
        """Validation draws the same group elements at every epoch, so that epochs compare by weights alone."""
        protocol = self.protocol
        noise = generator(self.device, self.seed, "validation")
        inputs, targets = self.validation.inputs, self.validation.targets[:]
        predictions = predict(self.model, inputs, protocol.valid_samples, protocol.batch_size, noise, self.chunk)
        loss = self.task.loss(predictions, targets).item()
        if loss < self.progress.best_loss:
            weights = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.progress.best_loss, self.progress.best_epoch, self.progress.best_weights = loss, epoch, weights
        metrics = self.task.metrics(predictions, targets)
        return {"validation/loss": loss} | {f"validation/{name}": value for name, value in metrics.items()}

    def _out_of_patience(self) -> bool:
        if self.protocol.patience is None or self.progress.best_epoch < 0:
            return False
        checks = (self.progress.epoch - 1 - self.progress.best_epoch) // self.protocol.validate_every
        return checks >= self.protocol.patience

    def _learning_rate_factor(self, step: int) -> float:
        warmup = self.protocol.warmup_epochs * self.steps_per_epoch + self.protocol.warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        if self.protocol.schedule == "constant":
            return 1.0
        return max(0.0, (self.steps - step) / max(1, self.steps - warmup))

    def _state(self) -> checkpoint.State:
        return {
            "digest": self.digest,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "progress": {**vars(self.progress)},
        }

    def _resume(self) -> None:
        state = checkpoint.load(self.path, self.digest, self.device) if self.path else None
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.last_epoch = state["schedule"]["last_epoch"]
        self.progress = Progress(**state["progress"])
        _log.info("resumed at epoch %d", self.progress.epoch)
        for epoch, values in self.progress.history:
            self.hooks.log(epoch, values)


def _optimizer(model: Model, protocol: Protocol) -> torch.optim.Optimizer:
    kinds: Mapping[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[protocol.optimizer](model.parameters(), lr=protocol.lr, weight_decay=protocol.weight_decay)
