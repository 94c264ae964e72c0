"""The training loop of a single run: any model on any supervised task."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from baselines.model import Model
from harness.training.analysis import entropy_of_mean_permutation, mean_gradient_norm
from harness.training.checkpoint import State
from harness.training.context import RunContext
from harness.training.distributed import SINGLE_PROCESS, ProcessGroup
from harness.training.evaluate import batches, predict
from harness.training.examples import prepared
from harness.training.finite import training_error, validation_error
from harness.training.monitor import Monitor
from harness.training.schedule import Budget
from harness.training.seeds import derive, generator, reseed
from tasks.protocol import Protocol
from tasks.symmetry.noise import Generator
from tasks.symmetry.structure import Structure
from tasks.task import SupervisedTask

FUSED = ("cpu", "cuda")  # devices on which torch has Adam as one kernel
LOSS = Monitor()

_log = logging.getLogger(__name__)


@dataclass
class FitState:
    """The state of a training beside the weights and the optimizer.

    Attributes:
        epoch: The number of finished epochs.
        best_score: The monitored number of the best validation so far (``None``: there is none).
        best_epoch: The epoch of that validation (-1: there is none).
        best_weights: A copy of the weights of that epoch.
        train_seconds: The time of the training steps.
        history: Each epoch with its values by name.
    """

    epoch: int = 0
    best_score: float | None = None
    best_epoch: int = -1
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    train_seconds: float = 0.0
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def keep(self, score: float, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Keeps these weights as the best so far."""
        self.best_score, self.best_epoch, self.best_weights = score, epoch, weights

    def out_of_patience(self, protocol: Protocol) -> bool:
        """Whether the last ``patience`` validations were no better than the best one."""
        if protocol.patience is None or self.best_epoch < 0:
            return False
        checks = (self.epoch - 1 - self.best_epoch) // protocol.validate_every
        return checks >= protocol.patience


class Fit:
    """Trains ``model`` by ``protocol`` and keeps the weights of the epoch that is best by ``monitor``.

    The state is saved to the context's checkpoint at the end of an epoch, and a run resumes from it with the same
    numbers as without the interruption. A hook can set ``stopped``: the epoch that was logged is then the last.
    """

    def __init__(
        self,
        model: Model,
        task: SupervisedTask,
        protocol: Protocol,
        context: RunContext,
        *,
        seed: int,
        monitor: Monitor = LOSS,
    ) -> None:
        self.model, self.task, self.protocol, self.context = model, task, protocol, context
        self.seed, self.monitor = seed, monitor
        self.device, self.chunk, self.processes = context.device, context.chunk, context.processes
        self.train = prepared(task, "train", protocol.train_size, model, context)
        self.validation = prepared(task, "validation", protocol.valid_size, model, context)
        self.processes.check(len(self.train), protocol.batch_size)
        self.processes.prepare(model)
        self.budget = Budget(protocol, len(self.train))
        self.optimizer = optimizer(model.parameters(), protocol)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.budget.learning_rate_factor)
        self.state = FitState()
        self.stopped = False

    def run(self) -> FitState:
        """Trains until the budget is spent or patience ends, and loads the best weights into the model.

        Raises:
            NotFinite: A training loss is not finite, or no validation is.
        """
        self._resume()
        self._analyse_initial_weights()
        checkpoint = self.context.checkpoint
        while not (self.stopped or self.finished):
            self._epoch()
            self.state.epoch += 1
            if checkpoint and self.processes.rank == 0:
                checkpoint.save_if_due(self._saved_state)
        if error := validation_error(self.state.history, self.monitor.name):
            raise error
        self.model.load_state_dict(self.state.best_weights or self.model.state_dict())
        return self.state

    @cached_property
    def noise(self) -> torch.Generator:
        """The generator of all group samples, which is seeded again for each stream."""
        return torch.Generator(self.device)

    @property
    def finished(self) -> bool:
        """Whether the budget is spent or patience has ended."""
        return self.trained_steps >= self.budget.steps or self.state.out_of_patience(self.protocol)

    @property
    def trained_steps(self) -> int:
        """The number of finished steps."""
        return self.budget.steps_before(self.state.epoch)

    def _epoch(self) -> None:
        epoch = self.state.epoch
        start = time.perf_counter()
        values = self._train_epoch(epoch)
        self.state.train_seconds += time.perf_counter() - start
        if self.budget.validates(epoch):
            values |= self._validate(epoch)
        values |= self._analyse(epoch + 1)
        self.state.history.append((epoch, values))
        self.context.hooks.log(epoch, values)

    def _analyse_initial_weights(self) -> None:
        """Logs the analysis of the weights before the first epoch, at step -1."""
        if self.state.history or not (values := self._analyse(0)):
            return
        self.state.history.append((-1, values))
        self.context.hooks.log(-1, values)

    def _analyse(self, epochs: int) -> dict[str, float]:
        """What is measured after so many ``epochs`` if they are in ``analysis_epochs``; it does not affect training."""
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
        rank = [] if self.processes.single else [self.processes.rank]
        torch.manual_seed(derive(self.seed, "dropout", epoch, *rank))
        noise = reseed(self.noise, self.seed, "noise", epoch)
        order = epoch_order(len(self.train), self.seed, epoch).to(self.device)
        steps = self.budget.steps_in(epoch)
        totals: dict[str, torch.Tensor] = {}
        for part in batches(len(self.train), self.protocol.batch_size)[:steps]:
            for name, value in self.step(self.train[order[part]], noise).items():
                totals[name] = totals.get(name, torch.zeros((), device=self.device)) + value
        means = {f"train/{name}": (total / steps).item() for name, total in totals.items()}
        if error := training_error(means["train/loss"], epoch):
            raise error
        return means | {"train/lr": self.optimizer.param_groups[0]["lr"]}

    def step(self, batch: tuple[Structure, torch.Tensor], noise: Generator) -> dict[str, torch.Tensor]:
        """Trains on one batch without waiting for the device.

        Args:
            batch: Inputs and targets, the whole batch in every process.
            noise: The generator of the group samples.

        Returns:
            The loss and the model's statistics.
        """
        inputs, targets = batch
        samples, processes = self.protocol.train_samples, self.processes
        drawn, shard = self.model.noise(inputs, samples, noise), processes.shard(len(targets))
        prediction = self.model.from_noise(inputs[shard], tuple(part[shard] for part in drawn), samples, self.chunk)
        loss = self.task.loss(processes.all_gather(prediction.value, len(targets)), targets)
        weighted = prediction.weighted((shard.stop - shard.start) / len(targets))
        objective = weighted.objective(loss)
        optimizer_step(self.optimizer, objective, self.model.parameters(), self.protocol.clip_norm, processes)
        self.schedule.step()
        statistics = {name: processes.all_reduce(value) for name, value in weighted.statistics.items()}
        return {"loss": loss.detach()} | statistics

    def _validate(self, epoch: int) -> dict[str, float]:
        """The same group samples are drawn at every epoch, so that epochs differ only by their weights."""
        protocol = self.protocol
        noise = reseed(self.noise, self.seed, "validation")
        inputs, targets = self.validation.inputs, self.validation.targets[:]
        predictions = predict(
            self.model, inputs, protocol.valid_samples, protocol.batch_size, noise, self.chunk, self.processes
        )
        values = {"loss": self.task.loss(predictions, targets).item()} | self.task.metrics(predictions, targets)
        score = self.processes.broadcast(values[self.monitor.name])
        if self.monitor.better(score, self.state.best_score):
            weights = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.state.keep(score, epoch, weights)
        return {f"validation/{name}": value for name, value in values.items()}

    def _saved_state(self) -> State:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "progress": {**vars(self.state)},
        }

    def _resume(self) -> None:
        checkpoint = self.context.checkpoint
        state = self.processes.broadcast(checkpoint.load() if checkpoint else None)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.schedule.last_epoch = state["schedule"]["last_epoch"]
        self.state = FitState(**state["progress"])
        _log.info("resumed at epoch %d", self.state.epoch)
        for epoch, values in self.state.history:
            self.context.hooks.log(epoch, values)


def epoch_order(size: int, seed: int, epoch: int) -> torch.Tensor:
    """Returns the order of ``size`` examples in an epoch, drawn on the CPU so that it is the same on every device."""
    return torch.randperm(size, generator=generator(torch.device("cpu"), seed, "order", epoch))


def optimizer_step(
    optimizer: torch.optim.Optimizer,
    objective: torch.Tensor,
    parameters: Iterable[torch.Tensor],
    clip_norm: float | None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> None:
    """Takes one step of ``optimizer``.

    Args:
        optimizer: The optimizer of ``parameters``.
        objective: The scalar to minimise.
        parameters: The weights whose gradients are summed over ``processes`` and clipped.
        clip_norm: The largest norm of the gradient (``None``: it is not clipped).
        processes: The processes that computed parts of the gradient.
    """
    parameters = list(parameters)
    optimizer.zero_grad(set_to_none=True)
    objective.backward()
    processes.all_reduce_gradients(parameters)
    if clip_norm is not None:
        clip_grad_norm_(parameters, clip_norm)
    optimizer.step()


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Loads a saved ``state``, possibly of another device; whether the kernel is fused is not taken from it."""
    groups = zip(state["param_groups"], optimizer.param_groups, strict=True)
    loaded = [{**saved, "fused": own["fused"]} for saved, own in groups]
    optimizer.load_state_dict({**state, "param_groups": loaded})


def optimizer(parameters: Iterable[torch.Tensor], protocol: Protocol) -> torch.optim.Optimizer:
    """Returns the protocol's optimizer, with one fused kernel for all weights if the device has one."""
    parameters = list(parameters)
    kinds: Mapping[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    fused = all(parameter.device.type in FUSED for parameter in parameters) or None
    return kinds[protocol.optimizer](parameters, lr=protocol.lr, weight_decay=protocol.weight_decay, fused=fused)
