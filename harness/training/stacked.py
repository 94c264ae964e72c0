"""Training of several seeds of one setting in a stack: their networks are one batch (``torch.func``).

A small network leaves most of an accelerator idle, and one step of a stack launches as many kernels as one step of a
single run. Every seed keeps its own random streams, so its numbers are those of a single run, to float tolerance.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from baselines.model import Model
from harness.training.attention import without_fast_attention
from harness.training.context import RunContext
from harness.training.evaluate import batches
from harness.training.examples import prepared
from harness.training.finite import training_error, validation_error
from harness.training.fit import LOSS, FitState, epoch_order, optimizer
from harness.training.monitor import Monitor
from harness.training.results import NotFinite
from harness.training.schedule import Budget
from harness.training.seeds import derive, reseed
from harness.training.stacked_dropout import Streams, with_streams
from tasks.protocol import Protocol
from tasks.symmetry.noise import Noise
from tasks.symmetry.structure import Structure
from tasks.task import SupervisedTask

Arrays = tuple[Tensor, ...]  # the fields of a structure, since vmap takes tuples
NORM_FLOOR = 1e-6  # as in torch.nn.utils.clip_grad_norm_


class StackedFit:
    """Trains ``models[s]`` by ``protocol`` with ``seeds[s]``, all in one batch, as :class:`~harness.training.fit.Fit`.

    The models differ only by their tensors. A seed whose patience ends keeps its best weights, and one whose loss is
    not finite fails alone; both stay in the batch until all have ended. There are no checkpoints, since stacks are for
    small runs. Of the ``contexts``, one for each seed, device and dtype are those of the first, and ``chunk`` is not
    used. If torch cannot compute the models in one batch, it raises an error at the first step.
    """

    def __init__(
        self,
        models: Sequence[Model],
        task: SupervisedTask,
        protocol: Protocol,
        contexts: Sequence[RunContext],
        *,
        seeds: Sequence[int],
        monitor: Monitor = LOSS,
    ) -> None:
        self.models, self.task, self.protocol, self.contexts = models, task, protocol, contexts
        self.seeds, self.monitor, self.device = seeds, monitor, contexts[0].device
        self.train = prepared(task, "train", protocol.train_size, models[0], contexts[0])
        self.validation = prepared(task, "validation", protocol.valid_size, models[0], contexts[0])
        self.budget = Budget(protocol, len(self.train))
        self.streams = Streams(self.device)
        self.template = with_streams(_FromNoise(copy.deepcopy(models[0])), self.streams).to("meta")
        self.parameters, self.buffers = stack_module_state([_FromNoise(model) for model in models])
        self.optimizer = optimizer(self.parameters.values(), protocol)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.budget.learning_rate_factor)
        self.states = [FitState() for _ in seeds]
        self.noises = [torch.Generator(self.device) for _ in seeds]
        self.failures: dict[int, NotFinite] = {}

    def run(self) -> list[FitState | NotFinite]:
        """Trains until every seed has ended, and loads the best weights into each model.

        Returns:
            The state of each seed, or the error that ended it.
        """
        epoch = 0
        while running := self._running():
            self._epoch(epoch, running)
            epoch += 1
        for place, (model, state) in enumerate(zip(self.models, self.states, strict=True)):
            if error := validation_error(state.history, self.monitor.name):
                self.failures.setdefault(place, error)
            model.load_state_dict(state.best_weights or self._weights(place))
        return [self.failures.get(place, state) for place, state in enumerate(self.states)]

    def _running(self) -> list[int]:
        """The places of the seeds that have not ended."""
        return [
            place
            for place, state in enumerate(self.states)
            if place not in self.failures
            and self.budget.steps_before(state.epoch) < self.budget.steps
            and not state.out_of_patience(self.protocol)
        ]

    def _epoch(self, epoch: int, running: Sequence[int]) -> None:
        start = time.perf_counter()
        trained = self._train_epoch(epoch)
        share = (time.perf_counter() - start) / len(running)
        validated = self._validate(epoch, running) if self.budget.validates(epoch) else {}
        for place in running:
            values = {name: means[place] for name, means in trained.items()}
            if error := training_error(values["train/loss"], epoch):
                self.failures[place] = error
                continue
            values |= {"train/lr": self.optimizer.param_groups[0]["lr"]} | validated.get(place, {})
            state = self.states[place]
            state.train_seconds += share
            state.history.append((epoch, values))
            self.contexts[place].hooks.log(epoch, values)
            state.epoch += 1

    def _train_epoch(self, epoch: int) -> dict[str, list[float]]:
        self.template.train()
        self.streams.seed([derive(seed, "dropout", epoch) for seed in self.seeds])
        noises = self._noise_for("noise", epoch)
        orders = torch.stack([epoch_order(len(self.train), seed, epoch) for seed in self.seeds]).to(self.device)
        steps = self.budget.steps_in(epoch)
        totals: dict[str, Tensor] = {}
        for part in batches(len(self.train), self.protocol.batch_size)[:steps]:
            for name, value in self._step(orders[:, part], noises).items():
                totals[name] = totals.get(name, torch.zeros(len(self.seeds), device=self.device)) + value
        return {f"train/{name}": (total / steps).tolist() for name, total in totals.items()}

    def _step(self, index: Tensor, noises: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """One step of every seed on its own examples ``index`` ``[S, B]``; returns the logged values ``[S]``."""
        inputs, targets = self.train[index.flatten()]
        arrays = tuple(values.unflatten(0, index.shape) for values in _arrays(inputs))
        samples = self.protocol.train_samples
        noise = self._noise([_structure(arrays, place) for place in range(len(self.seeds))], samples, noises)
        totals, values = vmap(self._loss)(
            self.parameters, self.buffers, arrays, targets.unflatten(0, index.shape), noise
        )
        self.optimizer.zero_grad(set_to_none=True)
        totals.sum().backward()
        if self.protocol.clip_norm is not None:
            clip_each([p.grad for p in self.parameters.values() if p.grad is not None], self.protocol.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        return values

    def _loss(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], arrays: Arrays, targets: Tensor, noise: Noise
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective of one seed, and its logged values."""
        samples = self.protocol.train_samples
        prediction = functional_call(self.template, (parameters, buffers), (Structure(*arrays), noise, samples))
        loss = self.task.loss(prediction.value, targets)
        return prediction.objective(loss), {"loss": loss.detach(), **prediction.statistics}

    def _validate(self, epoch: int, running: Sequence[int]) -> dict[int, dict[str, float]]:
        predictions, targets = self._predictions(), self.validation.targets[:]
        validated = {}
        for place in running:
            loss = self.task.loss(predictions[place], targets).item()
            values = {"loss": loss} | self.task.metrics(predictions[place], targets)
            score = values[self.monitor.name]
            if self.monitor.better(score, self.states[place].best_score):
                self.states[place].keep(score, epoch, self._weights(place))
            validated[place] = {f"validation/{name}": value for name, value in values.items()}
        return validated

    def _noise_for(self, *purpose: str | int) -> list[torch.Generator]:
        """The generators of all seeds, where their streams for one purpose begin."""
        pairs = zip(self.noises, self.seeds, strict=True)
        return [reseed(generator, seed, *purpose) for generator, seed in pairs]

    @torch.no_grad()
    def _predictions(self) -> Tensor:
        """``[S, M, ...]`` on the validation set."""
        self.template.eval()
        samples = self.protocol.valid_samples
        noises = self._noise_for("validation")

        def predicted(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], arrays: Arrays, noise: Noise
        ) -> Tensor:
            state = (parameters, buffers)
            value: Tensor = functional_call(self.template, state, (Structure(*arrays), noise, samples)).value
            return value

        parts = []
        batched = vmap(predicted, in_dims=(0, 0, None, 0))
        for part in batches(len(self.validation), self.protocol.batch_size):
            x = self.validation.inputs[part]
            noise = self._noise([x] * len(self.seeds), samples, noises)
            with without_fast_attention():
                parts.append(batched(self.parameters, self.buffers, _arrays(x), noise))
        return torch.cat(parts, 1)

    def _noise(self, inputs: Sequence[Structure], samples: int, noises: Sequence[torch.Generator]) -> Noise:
        """The noise of every seed, each part ``[S, B, K, ...]``."""
        drawn = [model.noise(x, samples, noise) for model, x, noise in zip(self.models, inputs, noises, strict=True)]
        return tuple(torch.stack(parts) for parts in zip(*drawn, strict=True))

    def _weights(self, place: int) -> dict[str, Tensor]:
        """A copy of one seed's ``state_dict``."""
        state = self.parameters | self.buffers
        return {name: state[f"model.{name}"][place].detach().clone() for name in self.models[place].state_dict()}


class _FromNoise(nn.Module):
    """A model as a function of its input and of noise."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Structure, noise: Noise, samples: int) -> object:
        return self.model.from_noise(x, noise, samples)


@torch.no_grad()
def clip_each(gradients: Sequence[Tensor], largest: float) -> None:
    """Scales the gradients ``[S, ...]`` of each of S networks in place, to a norm of at most ``largest``."""
    norms = torch.stack(
        [torch.linalg.vector_norm(gradient.reshape(len(gradient), -1), dim=1) for gradient in gradients], 1
    )
    factor = (largest / (torch.linalg.vector_norm(norms, dim=1) + NORM_FLOOR)).clamp_max(1)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))


def _arrays(x: Structure) -> Arrays:
    return tuple(getattr(x, item.name) for item in fields(x))


def _structure(arrays: Arrays, place: int) -> Structure:
    return Structure(*(values[place] for values in arrays))
