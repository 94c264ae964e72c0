"""Which structures does a randomly initialised model tell apart? (Balcilar et al. 2021; Kim et al. 2023, section 4.1)

A model whose embeddings are random tells even two copies of one structure apart, by chance. The paper counts pairs
that are never separated; beside it stands the number of structures separated from a relabelled copy of themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.model import Model
from harness.training.evaluate import draw, estimates, predict
from harness.training.outcome import CurvePoint, Hooks
from harness.training.seeds import generator
from tasks.protocol import Protocol
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Structure
from tasks.task import SeparationTask

BLOCK = 512

_log = logging.getLogger(__name__)


def close_pairs(embeddings: Tensor, threshold: float) -> Tensor:
    """Places ``[P, 2]`` of all pairs with an L1 distance of at most ``threshold`` between embeddings ``[M, C]``.

    Block by block: the matrix of all distances is never laid out.
    """
    values = embeddings.double()
    found = []
    for start in range(0, len(values), BLOCK):
        distances = torch.cdist(values[start : start + BLOCK], values[start:], p=1)
        found.append((distances <= threshold).triu(1).nonzero() + start)
    return torch.cat(found)


def still_close(pairs: Tensor, embeddings: Tensor, threshold: float) -> Tensor:
    """Those of ``pairs`` ``[P, 2]`` that these embeddings do not separate either."""
    first, second = embeddings.double()[pairs].unbind(1)
    return pairs[(first - second).abs().sum(-1) <= threshold]


@dataclass
class Unseparated:
    """The pairs that no initialisation so far has separated."""

    threshold: float
    pairs: Tensor | None = None

    def add(self, embeddings: Tensor) -> int:
        """Takes one initialisation's embeddings ``[M, C]`` into account; returns the number of pairs left."""
        if self.pairs is None:
            self.pairs = close_pairs(embeddings, self.threshold)
        else:
            self.pairs = still_close(self.pairs, embeddings, self.threshold)
        return len(self.pairs)


class Separation:
    """Embeds all structures and a relabelled copy of each under many initialisations, and counts."""

    def __init__(
        self,
        build: Callable[[], Model],
        task: SeparationTask,
        group: Group,
        protocol: Protocol,
        *,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        hooks: Hooks,
        chunk: int | None = None,
    ) -> None:
        self.build, self.protocol, self.seed = build, protocol, seed
        self.device, self.dtype, self.hooks, self.chunk = device, dtype, hooks, chunk
        self.threshold = task.threshold
        self.structures = task.structures().to(device, dtype)
        moved = group.random(self.structures, 1, generator(device, seed, "relabelling"))
        self.relabelled = self.structures.acted(moved)

    def models(self) -> Iterable[tuple[int, Model]]:
        """One model for each initialisation: run seed s stands for seeds s * initialisations and on (0 to 99)."""
        first = self.seed * self.protocol.initialisations
        for initialisation in range(self.protocol.initialisations):
            torch.manual_seed(first + initialisation)
            yield initialisation, self.build().to(self.device, self.dtype)

    def metrics(self) -> dict[str, float]:
        """``unseparated`` pairs and ``false_separations``, after all initialisations."""
        left = Unseparated(self.threshold)
        fooled = torch.zeros(len(self.structures), dtype=torch.bool, device=self.device)
        counts: dict[str, float] = {}
        for initialisation, model in self.models():
            embeddings = self._embed(model, self.structures, initialisation, "structures")
            copies = self._embed(model, self.relabelled, initialisation, "copies")
            fooled |= (embeddings - copies).abs().sum(-1) > self.threshold
            counts = {"unseparated": float(left.add(embeddings)), "false_separations": float(fooled.sum())}
            self.hooks.log(initialisation, counts)
        return counts

    def curve(self) -> tuple[CurvePoint, ...]:
        """Unseparated pairs among the first ``curve_size`` structures against the number of group samples."""
        pool = [self._estimates(model, initialisation) for initialisation, model in self.models()]
        return tuple(self._curve_point(count, [of[count] for of in pool]) for count in self.protocol.curve_samples)

    def _estimates(self, model: Model, initialisation: int) -> dict[int, Tensor]:
        """``[R, M, C]`` independent embeddings for every number of samples."""
        protocol = self.protocol
        part = self.structures[: protocol.curve_size]
        noise = generator(self.device, self.seed, "curve", initialisation)
        repeats = 1 if model.deterministic else protocol.curve_repeats
        if model.fixed_samples is not None:
            own = torch.stack([draw(model, part, 1, protocol.batch_size, noise)[:, 0] for _ in range(repeats)])
            return dict.fromkeys(protocol.curve_samples, own)
        draws = draw(model, part, repeats * max(protocol.curve_samples), protocol.batch_size, noise, self.chunk)
        return {count: estimates(draws, count)[:repeats] for count in protocol.curve_samples}

    def _curve_point(self, samples: int, embeddings: list[Tensor]) -> CurvePoint:
        repeats = len(embeddings[0])
        counts = []
        for repeat in range(repeats):
            left = Unseparated(self.threshold)
            counts.append([left.add(of[repeat]) for of in embeddings][-1])
        values = torch.tensor(counts, dtype=torch.float64)
        variance = torch.stack(embeddings).double().var(1).mean().item() if repeats > 1 else 0.0
        error = values.std().item() / repeats**0.5 if repeats > 1 else 0.0
        return CurvePoint(samples=samples, value=values.mean().item(), value_error=error, variance=variance)

    def _embed(self, model: Model, structures: Structure, initialisation: int, purpose: str) -> Tensor:
        noise = generator(self.device, self.seed, purpose, initialisation)
        return predict(model, structures, self.protocol.test_samples, self.protocol.batch_size, noise, self.chunk)
