"""Which structures a randomly initialised model separates (Balcilar et al. 2021; Kim et al. 2023, section 4.1).

A model with random embeddings separates even two copies of one structure by chance. The paper counts pairs that are
never separated. Two more numbers are counted: structures that were separated from a relabelled copy of themselves, and
pairs that were not soundly separated, which were never separated or have such a structure among the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from baselines.model import Model
from baselines.out_of_memory import Chunks
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.evaluate import batches, cost, draw, estimates
from harness.training.examples import check_inputs
from harness.training.finite import check_finite
from harness.training.from_spec import group_of, new_model
from harness.training.kinds import TaskKind
from harness.training.results import CurvePoint, NotStacked, Outcome
from harness.training.seeds import generator
from tasks.protocol import Protocol
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Structure
from tasks.task import SeparationTask

BLOCK = 256  # structures that are compared with all later ones in one matrix
PAIR_BYTES = 16  # of a pair in a list; in a matrix it takes one byte
PAIRS_AT_ONCE = 1 << 18


def still_close(pairs: Tensor, embeddings: Tensor, threshold: float) -> Tensor:
    """Returns those of ``pairs`` ``[P, 2]`` whose embeddings ``[M, C]`` have an L1 distance up to ``threshold``."""
    parts = []
    for part in pairs.split(PAIRS_AT_ONCE):
        first, second = embeddings[part].unbind(1)
        parts.append(part[(first - second).abs().sum(-1) <= threshold])
    return torch.cat(parts)


class Unseparated:
    """Those of ``pairs`` ``[P, 2]`` (``None``: all pairs) among ``count`` structures that are not separated yet.

    The pairs of a block are a matrix of booleans while many are left, then a list. The memory is never much more than
    one byte for each of all pairs, and the matrix of all distances is never built.
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
        """Removes the pairs that the embeddings ``[M, C]`` of one initialisation separate.

        Only the rows of :meth:`members` are read.
        """
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
        """Returns ``[M]``: which structures are in a pair that is left."""
        found = torch.zeros(self.count, dtype=torch.bool, device=self.pairs.device)
        found[self.pairs.flatten()] = True
        for start, block in self.blocks.items():
            if block is None:
                return torch.ones_like(found)
            found[start : start + len(block)] |= block.any(1)
            found[start:] |= block.any(0)
        return found


METRICS = ("unseparated", "false_separations", "unseparated_sound")


class SeparationKind(TaskKind[SeparationTask]):
    """Nothing is trained: pairs are counted under many initialisations."""

    def run(self, spec: RunSpec, problem: SeparationTask, context: RunContext) -> Outcome:
        protocol, device = spec.settings, context.device
        separation = Separation(
            lambda: new_model(spec, problem.signature), problem, group_of(spec), protocol, context, seed=spec.seed
        )
        start = time.perf_counter()
        metrics = separation.metrics()
        seconds = time.perf_counter() - start
        model = next(iter(separation.models()))[1]
        batch = separation.structures[: protocol.batch_size].unprepared()
        structures = min(protocol.curve_size, len(separation.structures))
        return Outcome(
            metrics=metrics,
            curve=separation.curve(),
            cost={
                **cost(model, batch, protocol.test_samples, generator(device, spec.seed, "cost"), context.chunk),
                "train_seconds": 0.0,
                "embed_seconds": seconds,
                "train_examples_per_second": separation.embedded / seconds,
            },
            notes=(
                f"The curve over group samples counts pairs among the first {structures} structures only.",
                *separation.chunks.notes(context.chunk),
            ),
        )

    def run_stack(
        self, specs: Sequence[RunSpec], problem: SeparationTask, contexts: Sequence[RunContext]
    ) -> list[Outcome | Exception]:
        raise NotStacked(f"nothing is trained on {specs[0].task}")

    def inputs(self, problem: SeparationTask) -> Structure:
        return problem.structures()

    def metric_names(self, problem: SeparationTask) -> Iterable[str]:
        return METRICS

    def check_examples(self, problem: SeparationTask) -> None:
        check_inputs("the task", problem.structures())


class Separation:
    """Embeds all structures and a relabelled copy of each under many initialisations, and counts."""

    def __init__(
        self,
        build: Callable[[], Model],
        task: SeparationTask,
        group: Group,
        protocol: Protocol,
        context: RunContext,
        *,
        seed: int,
    ) -> None:
        self.build, self.protocol, self.context, self.seed = build, protocol, context, seed
        self.device, self.dtype, self.chunk = context.device, context.dtype, context.chunk
        self.threshold, self.channels = task.threshold, task.signature.output_channels
        self.embedded = 0  # structures, under any initialisation
        self.chunks = Chunks()
        structures = task.structures().to(self.device, self.dtype)
        pairs = task.pairs()
        self.pairs = None if pairs is None else pairs.to(self.device)
        moved = group.random(structures, 1, generator(self.device, seed, "relabelling"))
        model = build()
        self.structures, self.relabelled = model.prepared(structures), model.prepared(structures.acted(moved))

    def models(self) -> Iterable[tuple[int, Model]]:
        """Yields each initialisation and its model; run seed s has the torch seeds from s * initialisations on."""
        first = self.seed * self.protocol.initialisations
        for initialisation in range(self.protocol.initialisations):
            torch.manual_seed(first + initialisation)
            model = self.build().to(self.device, self.dtype)
            model.chunks = self.chunks  # a chunk that was too large for one model is too large for all
            yield initialisation, model

    def metrics(self) -> dict[str, float]:
        """Returns ``unseparated``, ``false_separations`` and ``unseparated_sound`` after all initialisations.

        Only structures that can still change a count are embedded.

        Raises:
            NotFinite: An embedding is not finite.
        """
        every, left = (self._unseparated(len(self.structures)) for _ in range(2))
        self_separated = torch.zeros(len(self.structures), dtype=torch.bool, device=self.device)
        counts: dict[str, float] = {}
        for initialisation, model in self.models():
            wanted = left.members() | ~self_separated
            embeddings = self._embed(model, self.structures, wanted, initialisation, "structures")
            copies = self._embed(model, self.relabelled, ~self_separated, initialisation, "copies")
            self_separated |= (embeddings - copies).abs().sum(-1) > self.threshold
            left.add(embeddings)
            sound = ~self_separated
            counts = {
                "unseparated": float(len(left)),
                "false_separations": float(self_separated.sum()),
                "unseparated_sound": float(len(every) - every.among(sound) + left.among(sound)),
            }
            self.context.hooks.log(initialisation, counts)
        return counts

    def _unseparated(self, count: int) -> Unseparated:
        """All pairs of the task among the first ``count`` structures."""
        pairs = None if self.pairs is None else self.pairs[(self.pairs < count).all(1)]
        return Unseparated(count, self.threshold, self.device, pairs)

    def curve(self) -> tuple[CurvePoint, ...]:
        """Returns the unseparated pairs of the first ``curve_size`` structures for each number of group samples."""
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
        chunk = self.chunk or protocol.test_samples  # the memory that the metrics need
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
        """Raises NotFinite: a distance from not-a-number never exceeds a threshold."""
        check_finite(embeddings, f"embeddings ({purpose}) of initialisation {initialisation}", "try precision float64")

    @torch.no_grad()
    def _embed(self, model: Model, structures: Structure, wanted: Tensor, initialisation: int, purpose: str) -> Tensor:
        """Embeddings ``[M, C]`` of those ``wanted`` ``[M]``, NaN for the others.

        Noise is drawn for all structures, so that an embedding does not depend on which others are wanted.
        """
        model.eval()
        protocol, places = self.protocol, wanted.nonzero()[:, 0]
        embeddings = torch.full((len(structures), self.channels), torch.nan, device=self.device, dtype=self.dtype)
        stream = generator(self.device, self.seed, purpose, initialisation)
        drawn = [
            tuple(values[wanted[part]] for values in model.noise(structures[part], protocol.test_samples, stream))
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
