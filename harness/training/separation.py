"""Which structures does a randomly initialised model tell apart? (Balcilar et al. 2021; Kim et al. 2023, section 4.1)

A model whose embeddings are random tells even two copies of one structure apart, by chance. The paper counts pairs
that are never separated. Beside it stand the structures that were separated from a relabelled copy of themselves, and
the pairs that were not separated soundly: never, or with such a structure among the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from baselines.model import Model
from baselines.out_of_memory import Chunks
from harness.training.evaluate import batches, draw, estimates
from harness.training.finite import finite
from harness.training.results import CurvePoint, Hooks
from harness.training.seeds import generator
from tasks.protocol import Protocol
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Structure
from tasks.task import SeparationTask

BLOCK = 256  # structures that are compared with all later ones at once
PAIR_BYTES = 16  # of a pair in a list, where one in a matrix takes one
PAIRS_AT_ONCE = 1 << 18


def still_close(pairs: Tensor, embeddings: Tensor, threshold: float) -> Tensor:
    """Those of ``pairs`` ``[P, 2]`` whose embeddings ``[M, C]`` have an L1 distance of at most ``threshold``."""
    parts = []
    for part in pairs.split(PAIRS_AT_ONCE):
        first, second = embeddings[part].unbind(1)
        parts.append(part[(first - second).abs().sum(-1) <= threshold])
    return torch.cat(parts)


class Unseparated:
    """Those of ``pairs`` ``[P, 2]`` (``None``: of all there are) among ``count`` structures that none has separated.

    Where many of a block's pairs are left they are a matrix of booleans, else a list: together never much more than a
    byte for every pair there is, however many are left, and the matrix of all distances is never laid out.
    """

    def __init__(self, count: int, threshold: float, device: torch.device, pairs: Tensor | None = None) -> None:
        self.count, self.threshold = count, threshold
        self.pairs = torch.empty((0, 2), dtype=torch.int64, device=device) if pairs is None else pairs
        starts = range(0, count, BLOCK) if pairs is None else ()
        self.blocks: dict[int, Tensor | None] = dict.fromkeys(starts)  # by first row; None: all pairs

    def __len__(self) -> int:
        """The number of pairs left."""
        return self.among(torch.ones(self.count, dtype=torch.bool, device=self.pairs.device))

    def among(self, sound: Tensor) -> int:
        """The number of pairs left of which both are ``sound`` ``[M]``."""
        if any(block is None for block in self.blocks.values()):
            count = int(sound.sum())
            return count * (count - 1) // 2
        listed = int(sound[self.pairs].all(1).sum())
        blocks = ((start, block) for start, block in self.blocks.items() if block is not None)
        return listed + sum(
            int((block & sound[start : start + BLOCK, None] & sound[start:]).sum()) for start, block in blocks
        )

    def add(self, embeddings: Tensor) -> None:
        """Takes one initialisation's embeddings ``[M, C]`` into account; only those of :meth:`members` are read."""
        values = embeddings.double()
        listed = [still_close(self.pairs, values, self.threshold)]
        for start, before in list(self.blocks.items()):
            close = torch.cdist(values[start : start + BLOCK], values[start:], p=1) <= self.threshold
            close = close.triu(1) if before is None else close & before
            if int(close.sum()) * PAIR_BYTES > close.numel():
                self.blocks[start] = close
            else:
                del self.blocks[start]
                listed.append(close.nonzero() + start)
        self.pairs = torch.cat(listed)

    def members(self) -> Tensor:
        """``[M]``: which structures are in a pair that is left."""
        found = torch.zeros(self.count, dtype=torch.bool, device=self.pairs.device)
        found[self.pairs.flatten()] = True
        for start, block in self.blocks.items():
            if block is None:
                return torch.ones_like(found)
            found[start : start + len(block)] |= block.any(1)
            found[start:] |= block.any(0)
        return found


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
        self.threshold, self.channels = task.threshold, task.signature.output_channels
        self.embedded = 0  # structures, under any initialisation
        self.chunks = Chunks()
        structures = task.structures().to(device, dtype)
        pairs = task.pairs()
        self.pairs = None if pairs is None else pairs.to(device)
        moved = group.random(structures, 1, generator(device, seed, "relabelling"))
        model = build()
        self.structures, self.relabelled = model.prepared(structures), model.prepared(structures.acted(moved))

    def models(self) -> Iterable[tuple[int, Model]]:
        """One model for each initialisation: run seed s stands for seeds s * initialisations and on (0 to 99)."""
        first = self.seed * self.protocol.initialisations
        for initialisation in range(self.protocol.initialisations):
            torch.manual_seed(first + initialisation)
            model = self.build().to(self.device, self.dtype)
            model.chunks = self.chunks  # what was too much for one model is so for all
            yield initialisation, model

    def metrics(self) -> dict[str, float]:
        """``unseparated`` pairs, ``false_separations`` and ``unseparated_sound``, after all initialisations.

        What is separated stays so: only structures that can still change a count are embedded. Raises
        :class:`~harness.training.results.NotFinite` where an embedding is not finite.
        """
        every, left = (self._unseparated(len(self.structures)) for _ in range(2))
        fooled = torch.zeros(len(self.structures), dtype=torch.bool, device=self.device)
        counts: dict[str, float] = {}
        for initialisation, model in self.models():
            wanted = left.members() | ~fooled
            embeddings = self._embed(model, self.structures, wanted, initialisation, "structures")
            copies = self._embed(model, self.relabelled, ~fooled, initialisation, "copies")
            fooled |= (embeddings - copies).abs().sum(-1) > self.threshold
            left.add(embeddings)
            sound = ~fooled
            counts = {
                "unseparated": float(len(left)),
                "false_separations": float(fooled.sum()),
                "unseparated_sound": float(len(every) - every.among(sound) + left.among(sound)),
            }
            self.hooks.log(initialisation, counts)
        return counts

    def _unseparated(self, count: int) -> Unseparated:
        """All pairs of the task among the first ``count`` structures."""
        pairs = None if self.pairs is None else self.pairs[(self.pairs < count).all(1)]
        return Unseparated(count, self.threshold, self.device, pairs)

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
            own = torch.cat([draw(model, part, 1, protocol.batch_size, noise) for _ in range(repeats)], 1)
            self._check(own, "curve", initialisation)
            return dict.fromkeys(protocol.curve_samples, own.movedim(1, 0))
        chunk = self.chunk or protocol.test_samples  # as much memory as the metrics need
        draws = draw(model, part, repeats * max(protocol.curve_samples), protocol.batch_size, noise, chunk)
        self._check(draws, "curve", initialisation)
        return {count: estimates(draws, count)[:repeats] for count in protocol.curve_samples}

    def _curve_point(self, samples: int, embeddings: list[Tensor]) -> CurvePoint:
        repeats = len(embeddings[0])
        counts = []
        for repeat in range(repeats):
            left = self._unseparated(embeddings[0].shape[1])
            for of in embeddings:
                left.add(of[repeat])
            counts.append(len(left))
        values = torch.tensor(counts, dtype=torch.float64)
        variance = torch.stack(embeddings).double().var(1).mean().item() if repeats > 1 else 0.0
        error = values.std().item() / repeats**0.5 if repeats > 1 else 0.0
        return CurvePoint(samples=samples, value=values.mean().item(), value_error=error, variance=variance)

    def _check(self, embeddings: Tensor, purpose: str, initialisation: int) -> None:
        """Raises :class:`~harness.training.results.NotFinite`: no distance from not-a-number exceeds a threshold."""
        finite(embeddings, f"embeddings ({purpose}) of initialisation {initialisation}", "try precision float64")

    @torch.no_grad()
    def _embed(self, model: Model, structures: Structure, wanted: Tensor, initialisation: int, purpose: str) -> Tensor:
        """Embeddings ``[M, C]`` of those ``wanted`` ``[M]``, NaN for the others.

        Noise is drawn for all, so that an embedding does not depend on which others are wanted.
        """
        model.eval()
        protocol, places = self.protocol, wanted.nonzero()[:, 0]
        embeddings = torch.full((len(structures), self.channels), torch.nan, device=self.device, dtype=self.dtype)
        chance = generator(self.device, self.seed, purpose, initialisation)
        drawn = [
            tuple(values[wanted[part]] for values in model.noise(structures[part], protocol.test_samples, chance))
            for part in batches(len(structures), protocol.batch_size)
        ]
        noise = tuple(torch.cat(values) for values in zip(*drawn, strict=True))
        for part in batches(len(places), protocol.batch_size):
            own = tuple(values[part] for values in noise)
            prediction = model.from_noise(structures[places[part]], own, protocol.test_samples, self.chunk)
            embeddings[places[part]] = prediction.value
        self._check(torch.where(wanted[:, None], embeddings, 0.0), purpose, initialisation)
        self.embedded += len(places)
        return embeddings
