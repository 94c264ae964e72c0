"""The one training loop: any model on any supervised task."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from baselines.model import Model
from harness.training import checkpoint
from harness.training.analysis import entropy_of_mean_permutation, mean_gradient_norm
from harness.training.distributed import SINGLE_PROCESS, ProcessGroup
from harness.training.evaluate import batches, predict
from harness.training.examples import prepared
from harness.training.finite import training_fault, validation_fault
from harness.training.monitor import Monitor
from harness.training.results import Hooks
from harness.training.schedule import Budget
from harness.training.seeds import derive, generator, reseed
from tasks.protocol import Protocol
from tasks.symmetry.noise import Generator
from tasks.symmetry.structure import Structure
from tasks.task import SupervisedTask

CHECKPOINT_SECONDS = 30.0
FUSED = ("cpu", "cuda")  # devices on which torch has Adam as one kernel
LOSS = Monitor()

_log = logging.getLogger(__name__)


@dataclass
class FitState:
    """What a run carries from epoch to epoch beside the weights."""

    epoch: int = 0
    best_score: float | None = None
    best_epoch: int = -1
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    train_seconds: float = 0.0
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def keep(self, score: float, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """These are the best weights so far."""
        self.best_score, self.best_epoch, self.best_weights = score, epoch, weights

    def out_of_patience(self, protocol: Protocol) -> bool:
        if protocol.patience is None or self.best_epoch < 0:
            return False
        checks = (self.epoch - 1 - self.best_epoch) // protocol.validate_every
        return checks >= protocol.patience


class Fit:
    """Trains ``model`` by ``protocol``, keeping the weights of the epoch that is best by ``monitor``.

    With a ``path`` the state is saved there every ``checkpoint_seconds`` at the end of an epoch, and a run whose
    state lies there goes on from it, to the same numbers as without the interruption. Who watches it may set
    ``stopped`` from a hook: the epoch that was logged is then the last.
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
        monitor: Monitor = LOSS,
        chunk: int | None = None,
        path: Path | None = None,
        digest: str = "",
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        processes: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.model, self.task, self.protocol = model, task, protocol
        self.seed, self.device, self.hooks, self.monitor, self.chunk = seed, device, hooks, monitor, chunk
        self.path, self.digest, self.checkpoint_seconds = path, digest, checkpoint_seconds
        self.train = prepared(task, "train", protocol.train_size, model, device, dtype)
        self.validation = prepared(task, "validation", protocol.valid_size, model, device, dtype)
        self.processes = processes
        processes.check(len(self.train), protocol.batch_size)
        processes.prepare(model)
        self.budget = Budget(protocol, len(self.train))
        self.optimizer = optimizer(model.parameters(), protocol)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.budget.learning_rate_factor)
        self.progress = FitState()
        self.stopped = False

    def run(self) -> FitState:
        """Trains to the end (or to where patience ends) and leaves the best weights in the model.

        Raises :class:`~harness.training.results.NotFinite` where training leaves the finite numbers, or validation
        never sees them.
        """
        self._resume()
        self._analyse_initialised()
        saved = time.monotonic()
        while not (self.stopped or self.finished):
            self._epoch()
            self.progress.epoch += 1
            if self.path and self.processes.rank == 0 and time.monotonic() - saved > self.checkpoint_seconds:
                checkpoint.save(self.path, self._state())
                saved = time.monotonic()
        if fault := validation_fault(self.progress.history, self.monitor.name):
            raise fault
        self.model.load_state_dict(self.progress.best_weights or self.model.state_dict())
        return self.progress

    @cached_property
    def noise(self) -> torch.Generator:
        """The generator of all noise, which is drawn of one stream after another."""
        return torch.Generator(self.device)

    @property
    def finished(self) -> bool:
        """Whether the budget is spent or patience has ended."""
        return self.trained_steps >= self.budget.steps or self.progress.out_of_patience(self.protocol)

    @property
    def trained_steps(self) -> int:
        """Steps behind us."""
        return self.budget.steps_before(self.progress.epoch)

    def _epoch(self) -> None:
        epoch = self.progress.epoch
        start = time.perf_counter()
        values = self._train_epoch(epoch)
        self.progress.train_seconds += time.perf_counter() - start
        if self.budget.validates(epoch):
            values |= self._validate(epoch)
        values |= self._analyse(epoch + 1)
        self.progress.history.append((epoch, values))
        self.hooks.log(epoch, values)

    def _analyse_initialised(self) -> None:
        """What is asked for of the weights before the first epoch stands a step before it."""
        if self.progress.history or not (values := self._analyse(0)):
            return
        self.progress.history.append((-1, values))
        self.hooks.log(-1, values)

    def _analyse(self, epochs: int) -> dict[str, float]:
        """What ``analysis_epochs`` ask for after so many epochs; nothing that comes later is changed by it."""
        protocol = self.protocol
        if epochs not in protocol.analysis_epochs:
            return {}
        norm = mean_gradient_norm(self.model, self.task, self.train, protocol.train_samples, self.seed, self.chunk)
        noise = reseed(self.noise, self.seed, "permutations")
        entropy = entropy_of_mean_permutation(
            self.model, self.validation.inputs, protocol.batch_size, noise, self.chunk
        )
        found = {"train/gradient_norm": norm}
        return found if entropy is None else found | {"validation/permutation_entropy": entropy}

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        self.model.train()
        torch.manual_seed(derive(self.seed, "dropout", epoch, *([] if self.processes.alone else [self.processes.rank])))
        noise = reseed(self.noise, self.seed, "noise", epoch)
        order = epoch_order(len(self.train), self.seed, epoch).to(self.device)
        steps = self.budget.steps_in(epoch)
        totals: dict[str, torch.Tensor] = {}
        for part in batches(len(self.train), self.protocol.batch_size)[:steps]:
            for name, value in self.step(self.train[order[part]], noise).items():
                totals[name] = totals.get(name, torch.zeros((), device=self.device)) + value
        means = {f"train/{name}": (total / steps).item() for name, total in totals.items()}
        if fault := training_fault(means["train/loss"], epoch):
            raise fault
        return means | {"train/lr": self.optimizer.param_groups[0]["lr"]}

    def step(self, batch: tuple[Structure, torch.Tensor], noise: Generator) -> dict[str, torch.Tensor]:
        """One step of the optimiser; nothing in it waits for the device."""
        inputs, targets = batch
        samples, processes = self.protocol.train_samples, self.processes
        drawn, share = self.model.noise(inputs, samples, noise), processes.share(len(targets))
        prediction = self.model.from_noise(inputs[share], tuple(part[share] for part in drawn), samples, self.chunk)
        loss = self.task.loss(processes.all_gather(prediction.value, len(targets)), targets)
        weighted = prediction.weighted((share.stop - share.start) / len(targets))
        objective = weighted.objective(loss)
        optimizer_step(self.optimizer, objective, self.model.parameters(), self.protocol.clip_norm, processes)
        self.schedule.step()
        return {"loss": loss.detach()} | {name: processes.total(value) for name, value in weighted.statistics.items()}

    def _validate(self, epoch: int) -> dict[str, float]:
        """Validation draws the same group elements at every epoch, so that epochs compare by weights alone."""
        protocol = self.protocol
        noise = reseed(self.noise, self.seed, "validation")
        inputs, targets = self.validation.inputs, self.validation.targets[:]
        predictions = predict(
            self.model, inputs, protocol.valid_samples, protocol.batch_size, noise, self.chunk, self.processes
        )
        values = {"loss": self.task.loss(predictions, targets).item()} | self.task.metrics(predictions, targets)
        score = self.processes.broadcast(values[self.monitor.name])
        if self.monitor.better(score, self.progress.best_score):
            weights = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.progress.keep(score, epoch, weights)
        return {f"validation/{name}": value for name, value in values.items()}

    def _state(self) -> checkpoint.State:
        return {
            "digest": self.digest,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "progress": {**vars(self.progress)},
        }

    def _resume(self) -> None:
        state = checkpoint.load(self.path, self.digest) if self.path else None
        state = self.processes.broadcast(state)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.schedule.last_epoch = state["schedule"]["last_epoch"]
        self.progress = FitState(**state["progress"])
        _log.info("resumed at epoch %d", self.progress.epoch)
        for epoch, values in self.progress.history:
            self.hooks.log(epoch, values)


def epoch_order(size: int, seed: int, epoch: int) -> torch.Tensor:
    """The order in which an epoch takes ``size`` examples, on the CPU: the same on every device."""
    return torch.randperm(size, generator=generator(torch.device("cpu"), seed, "order", epoch))


def optimizer_step(
    optimizer: torch.optim.Optimizer,
    objective: torch.Tensor,
    parameters: Iterable[torch.Tensor],
    clip_norm: float | None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> None:
    """One step of ``optimizer`` down the gradient of ``objective``, of at most this norm over all ``parameters``."""
    parameters = list(parameters)
    optimizer.zero_grad(set_to_none=True)
    objective.backward()
    processes.add_gradients(parameters)
    if clip_norm is not None:
        clip_grad_norm_(parameters, clip_norm)
    optimizer.step()


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Takes over ``state``, which may be of another device: whether one kernel steps is for this device to say."""
    groups = zip(state["param_groups"], optimizer.param_groups, strict=True)
    kept = [{**saved, "fused": own["fused"]} for saved, own in groups]
    optimizer.load_state_dict({**state, "param_groups": kept})


def optimizer(parameters: Iterable[torch.Tensor], protocol: Protocol) -> torch.optim.Optimizer:
    """As one kernel for all weights where the device has one; on an accelerator it keeps its step counters there."""
    parameters = list(parameters)
    kinds: Mapping[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    fused = all(parameter.device.type in FUSED for parameter in parameters) or None
    return kinds[protocol.optimizer](parameters, lr=protocol.lr, weight_decay=protocol.weight_decay, fused=fused)
