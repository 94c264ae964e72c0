"""Reliable paired comparisons: does a model trained on one pair of structures tell it apart? (Wang and Zhang 2023)

Embeddings of relabelled copies are compared by a T^2 test: of the two structures (is the pair separated?) and of one
structure with itself (is the answer reliable?). The authors test the copies that were trained on, and a pair counts as
separated whatever the second test says. Here both tests are on fresh copies, so that what a model without symmetry has
memorised separates nothing, and only a pair that passes both counts.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, cosine_embedding_loss

from baselines.model import Model
from baselines.out_of_memory import Chunks
from harness.training import checkpoint
from harness.training.device import synchronize
from harness.training.evaluate import batches, predict
from harness.training.finite import REMEDY, finite
from harness.training.fit import CHECKPOINT_SECONDS, optimizer, optimizer_step
from harness.training.results import Hooks, NotFinite
from harness.training.seeds import derive, generator
from harness.verification.hotelling import critical_value, t_squared
from tasks.protocol import Protocol
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Signature, Structure
from tasks.task import PairedTask


class PairedComparisons:
    """Compares the first ``test_size`` pairs, each by a model of its own; an example is one copy of both structures.

    Of the protocol, the constant ``lr``, ``weight_decay``, ``clip_norm``, ``epochs``, ``batch_size`` and the numbers of
    samples are read; without epochs weights stay as they are drawn. With a ``path`` what is known is saved there, and a
    run goes on from it to the same numbers: a pair's chance depends on the seed and the pair alone.
    """

    def __init__(
        self,
        build: Callable[[Signature], Model],
        task: PairedTask,
        group: Group,
        protocol: Protocol,
        *,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        hooks: Hooks,
        chunk: int | None = None,
        path: Path | None = None,
        digest: str = "",
    ) -> None:
        self.build, self.task, self.group, self.protocol, self.seed = build, task, group, protocol, seed
        self.device, self.dtype, self.hooks, self.chunk = device, dtype, hooks, chunk
        self.path, self.digest = path, digest
        self.categories = list(task.categories[: protocol.test_size])
        self.threshold = critical_value(task.relabellings, task.signature.output_channels, task.level)
        self.statistics: list[tuple[float, float]] = []
        self.train_seconds = 0.0
        self.chunks = Chunks()

    def metrics(self) -> dict[str, float]:
        """How many pairs were compared, ``separated`` (in each category too), and ``unreliable``."""
        self._resume()
        saved = time.monotonic()
        for index in range(len(self.statistics), len(self.categories)):
            self.statistics.append(self.statistics_of(index))
            self.hooks.log(index, self._counts())
            if self.path and time.monotonic() - saved > CHECKPOINT_SECONDS:
                checkpoint.save(self.path, self._state())
                saved = time.monotonic()
        return self._counts()

    def statistics_of(self, index: int) -> tuple[float, float]:
        """T^2 of the two structures of a pair, and of the first with itself.

        Raises :class:`~harness.training.results.NotFinite` where these, or embeddings, are not finite.
        """
        pair = self.task.pair(index).to(self.device, self.dtype)
        model = self.model(pair, index)
        first, second, again = (
            self._embed(model, self._copies(pair[which], index, purpose), index, purpose)
            for which, purpose in ((slice(0, 1), "first"), (slice(1, 2), "second"), (slice(0, 1), "again"))
        )
        size = first.double().square().sum(-1).mean().sqrt().item()
        found = t_squared(first - second, size), t_squared(first - again, size)
        if not all(map(math.isfinite, found)):  # of embeddings whose squares are beyond all numbers
            raise NotFinite(f"T^2 of pair {index} ({self.categories[index]}) is not finite: {REMEDY}.")
        return found

    def model(self, pair: Structure, index: int) -> Model:
        """The model of a pair, trained by the protocol."""
        torch.manual_seed(derive(self.seed, "initialisation", index))
        model = self.build(self.task.signature_of(pair)).to(self.device, self.dtype)
        model.chunks = self.chunks  # what was too much for one model is so for all
        start = time.perf_counter()
        self._train(model, pair, index)
        synchronize(self.device)
        self.train_seconds += time.perf_counter() - start
        return model

    def _train(self, model: Model, pair: Structure, index: int) -> None:
        protocol = self.protocol
        model.train()
        descent = optimizer(model.parameters(), protocol)
        noise = generator(self.device, self.seed, "noise", index)
        own = (self._copies(pair[which : which + 1], index, f"train {which}") for which in (0, 1))
        first, second = map(model.prepared, own)
        for _ in range(protocol.epochs):
            for part in batches(len(first), protocol.batch_size):
                both = Structure.cat([first[part], second[part]])
                prediction = model(both, protocol.train_samples, noise, self.chunk)
                loss = siamese_loss(prediction.value)
                optimizer_step(descent, prediction.objective(loss), model.parameters(), protocol.clip_norm)

    def _copies(self, structure: Structure, index: int, purpose: str) -> Structure:
        chance = generator(self.device, self.seed, "relabelling", purpose, index)
        return structure.acted(self.group.random(structure, self.task.relabellings, chance))

    def _embed(self, model: Model, copies: Structure, index: int, purpose: str) -> Tensor:
        protocol = self.protocol
        noise = generator(self.device, self.seed, "test", purpose, index)
        embeddings = predict(model, copies, protocol.test_samples, protocol.batch_size, noise, self.chunk)
        return finite(embeddings, f"embeddings ({purpose}) of pair {index} ({self.categories[index]})")

    def _counts(self) -> dict[str, float]:
        compared = list(zip(self.categories, self.statistics, strict=False))
        separated = Counter(of for of, (apart, alike) in compared if apart > self.threshold >= alike)
        return {
            "separated": float(separated.total()),
            "unreliable": float(sum(alike > self.threshold for _, (_, alike) in compared)),
            "pairs": float(len(compared)),
            **{f"separated_{of}": float(separated[of]) for of in sorted(set(self.categories))},
        }

    def _state(self) -> checkpoint.State:
        return {"digest": self.digest, "statistics": self.statistics, "train_seconds": self.train_seconds}

    def _resume(self) -> None:
        state = checkpoint.load(self.path, self.digest) if self.path else None
        if state is not None:
            self.statistics, self.train_seconds = list(state["statistics"]), state["train_seconds"]


def siamese_loss(embeddings: Tensor) -> Tensor:
    """The positive part of the cosine between both halves of ``[2B, C]``, pair by pair, on average.

    Embeddings are normalised over the batch, as the authors' networks end: what all have in common hides what differs.
    """
    first, second = batch_norm(embeddings, None, None, training=True).chunk(2)
    return cosine_embedding_loss(first, second, first.new_full(first.shape[:1], -1.0))
