"""Reliable paired comparisons: whether a model trained on one pair of structures separates it (Wang and Zhang 2023).

Embeddings of relabelled copies are compared by a T^2 test: of the two structures (is the pair separated?) and of one
structure with itself (is the answer reliable?). The authors test the copies that the model was trained on, and count a
pair as separated regardless of the second test. Here both tests use new copies, so that a model without symmetry cannot
separate by memorising, and only a pair that passes both tests counts.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, cosine_embedding_loss

from baselines.model import Model
from baselines.out_of_memory import Chunks
from harness.spec import RunSpec
from harness.training.checkpoint import State
from harness.training.context import RunContext
from harness.training.device import synchronize
from harness.training.evaluate import batches, cost, predict
from harness.training.finite import REMEDY, check_finite
from harness.training.fit import optimizer, optimizer_step
from harness.training.from_spec import group_of, new_model
from harness.training.hotelling import critical_value, t_squared
from harness.training.kinds import TaskKind
from harness.training.results import NotFinite, NotStacked, Outcome
from harness.training.seeds import derive, generator
from tasks.protocol import Protocol
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Signature, Structure
from tasks.task import PairedTask

METRICS = ("separated", "unreliable", "pairs")


class PairedKind(TaskKind[PairedTask]):
    """Every pair of structures has a model of its own."""

    def run(self, spec: RunSpec, problem: PairedTask, context: RunContext) -> Outcome:
        protocol, device = spec.settings, context.device
        comparisons = PairedComparisons(
            lambda signature: new_model(spec, signature), problem, group_of(spec), protocol, context, seed=spec.seed
        )
        metrics = comparisons.metrics()
        trained = 2 * problem.relabellings * protocol.epochs * len(comparisons.categories)
        pair = problem.pair(0).to(device, context.dtype)
        model = new_model(spec, problem.signature_of(pair)).to(device, context.dtype)
        model.chunks = comparisons.chunks
        return Outcome(
            metrics=metrics,
            cost={
                **cost(model, pair, protocol.test_samples, generator(device, spec.seed, "cost"), context.chunk),
                "train_seconds": comparisons.train_seconds,
                "train_examples_per_second": trained / comparisons.train_seconds if trained else 0.0,
            },
            notes=(
                f"{len(comparisons.categories)} of {len(problem.categories)} pairs; cost is that of the first.",
                *(() if protocol.epochs else ("Nothing was trained: weights are random.",)),
                *comparisons.chunks.notes(context.chunk),
            ),
        )

    def run_stack(
        self, specs: Sequence[RunSpec], problem: PairedTask, contexts: Sequence[RunContext]
    ) -> list[Outcome | Exception]:
        raise NotStacked(f"every pair of {specs[0].task} has a model of its own")

    def inputs(self, problem: PairedTask) -> Structure:
        return problem.structures()

    def metric_names(self, problem: PairedTask) -> Iterable[str]:
        return [*METRICS, *(f"separated_{category}" for category in problem.categories)]


class PairedComparisons:
    """Compares the first ``test_size`` pairs, each by a model of its own; an example is one copy of both structures.

    Of the protocol, the constant ``lr``, ``weight_decay``, ``clip_norm``, ``epochs``, ``batch_size`` and the numbers of
    samples are used; without epochs the weights stay as initialised. The statistics are saved to the context's
    checkpoint, and a run resumes from it with the same numbers: the random streams of a pair depend only on the seed
    and the pair.
    """

    def __init__(
        self,
        build: Callable[[Signature], Model],
        task: PairedTask,
        group: Group,
        protocol: Protocol,
        context: RunContext,
        *,
        seed: int,
    ) -> None:
        self.build, self.task, self.group, self.protocol, self.seed = build, task, group, protocol, seed
        self.device, self.dtype, self.chunk = context.device, context.dtype, context.chunk
        self.hooks, self.checkpoint = context.hooks, context.checkpoint
        self.categories = list(task.categories[: protocol.test_size])
        self.threshold = critical_value(task.relabellings, task.signature.output_channels, task.level)
        self.statistics: list[tuple[float, float]] = []
        self.train_seconds = 0.0
        self.chunks = Chunks()

    def metrics(self) -> dict[str, float]:
        """Returns how many pairs were compared, ``separated`` (also for each category) and ``unreliable``."""
        self._resume()
        for index in range(len(self.statistics), len(self.categories)):
            self.statistics.append(self.statistics_of(index))
            self.hooks.log(index, self._counts())
            if self.checkpoint:
                self.checkpoint.save_if_due(self._state)
        return self._counts()

    def statistics_of(self, index: int) -> tuple[float, float]:
        """Returns T^2 of the two structures of a pair, and of the first with itself.

        Raises:
            NotFinite: A statistic or an embedding is not finite.
        """
        pair = self.task.pair(index).to(self.device, self.dtype)
        model = self.model(pair, index)
        first, second, again = (
            self._embed(model, self._copies(pair[which], index, purpose), index, purpose)
            for which, purpose in ((slice(0, 1), "first"), (slice(1, 2), "second"), (slice(0, 1), "again"))
        )
        size = first.double().square().sum(-1).mean().sqrt().item()
        found = t_squared(first - second, size), t_squared(first - again, size)
        if not all(map(math.isfinite, found)):  # the squares of finite embeddings can overflow
            raise NotFinite(f"T^2 of pair {index} ({self.categories[index]}) is not finite: {REMEDY}.")
        return found

    def model(self, pair: Structure, index: int) -> Model:
        """Returns the model of a pair, trained by the protocol."""
        torch.manual_seed(derive(self.seed, "initialisation", index))
        model = self.build(self.task.signature_of(pair)).to(self.device, self.dtype)
        model.chunks = self.chunks  # a chunk that was too large for one model is too large for all
        start = time.perf_counter()
        self._train(model, pair, index)
        synchronize(self.device)
        self.train_seconds += time.perf_counter() - start
        return model

    def _train(self, model: Model, pair: Structure, index: int) -> None:
        protocol = self.protocol
        model.train()
        own_optimizer = optimizer(model.parameters(), protocol)
        noise = generator(self.device, self.seed, "noise", index)
        copies = (self._copies(pair[which : which + 1], index, f"train {which}") for which in (0, 1))
        first, second = map(model.prepared, copies)
        for _ in range(protocol.epochs):
            for part in batches(len(first), protocol.batch_size):
                both = Structure.cat([first[part], second[part]])
                prediction = model(both, protocol.train_samples, noise, self.chunk)
                loss = siamese_loss(prediction.value)
                optimizer_step(own_optimizer, prediction.objective(loss), model.parameters(), protocol.clip_norm)

    def _copies(self, structure: Structure, index: int, purpose: str) -> Structure:
        noise = generator(self.device, self.seed, "relabelling", purpose, index)
        return structure.acted(self.group.random(structure, self.task.relabellings, noise))

    def _embed(self, model: Model, copies: Structure, index: int, purpose: str) -> Tensor:
        protocol = self.protocol
        noise = generator(self.device, self.seed, "test", purpose, index)
        embeddings = predict(model, copies, protocol.test_samples, protocol.batch_size, noise, self.chunk)
        return check_finite(embeddings, f"embeddings ({purpose}) of pair {index} ({self.categories[index]})")

    def _counts(self) -> dict[str, float]:
        compared = list(zip(self.categories, self.statistics, strict=False))
        separated = Counter(of for of, (pair, itself) in compared if pair > self.threshold >= itself)
        return {
            "separated": float(separated.total()),
            "unreliable": float(sum(itself > self.threshold for _, (_, itself) in compared)),
            "pairs": float(len(compared)),
            **{f"separated_{of}": float(separated[of]) for of in sorted(set(self.categories))},
        }

    def _state(self) -> State:
        return {"statistics": self.statistics, "train_seconds": self.train_seconds}

    def _resume(self) -> None:
        state = self.checkpoint.load() if self.checkpoint else None
        if state is not None:
            self.statistics, self.train_seconds = list(state["statistics"]), state["train_seconds"]


def siamese_loss(embeddings: Tensor) -> Tensor:
    """Returns the mean over pairs of the positive part of the cosine between both halves of ``[2B, C]``.

    Embeddings are normalised over the batch, as at the end of the authors' networks: the mean that all share would hide
    the differences.
    """
    first, second = batch_norm(embeddings, None, None, training=True).chunk(2)
    return cosine_embedding_loss(first, second, first.new_full(first.shape[:1], -1.0))
