"""What the experiments of protocol ``paper`` need of a device's memory, counted where there is no device.

A step of training and a batch of evaluation run on the device ``meta``, which holds no numbers, in the shapes that an
accelerator would have. Counted are the bytes of all tensors alive at once and those of the largest tensor of indices.
Networks compute in single precision and lay attention out, so that bfloat16 and fused attention take less; what
libraries take for themselves, and what lies unused between tensors, is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from baselines.bases import vit_weights
from baselines.bases.vit import VisionTransformer
from baselines.model import Model
from baselines.samplers import minimal_frames
from baselines.symmetrized import Symmetrized
from harness.registry import method, task
from harness.spec import Job, RunSpec
from harness.suites.loading import load
from harness.training.device import DTYPES
from harness.training.from_spec import new_model
from harness.training.memory import Allocations
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

CPU, META = torch.device("cpu"), torch.device("meta")
SUITES: Mapping[str, tuple[str, ...]] = {"paper": (), "brec": ("protocol=paper",), "paper_sample_complexity": ()}
# Node scalars, points, vectors, edge scalars, dimension, channels put out, whether structures are padded.
SHAPES: Mapping[str, tuple[int, int, int, int, int, int, bool]] = {
    "graph8c": (2, 0, 0, 1, 0, 10, False),
    "exp": (2, 0, 0, 1, 0, 10, True),
    "exp_classify": (2, 0, 0, 1, 0, 1, True),
    "brec": (2, 0, 0, 1, 0, 16, False),
    "nbody": (0, 1, 1, 2, 3, 1, False),
    "pattern": (3, 0, 0, 1, 0, 2, True),
    "peptides_func": (50, 0, 0, 8, 0, 10, True),
    "peptides_struct": (50, 0, 0, 8, 0, 11, True),
    "pcqm_contact": (68, 0, 0, 7, 0, 1, True),
}
LISTS_OF_EDGES = ("gated_gcn", "gps")  # these look at numbers, so that one and two structures are computed on the CPU
NEIGHBOURS: Mapping[str, int] = {"graph8c": 6, "brec": 30, "pattern": 72}  # of a node of the largest graphs
OF_A_MOLECULE = 4
SUMS = (torch.ops.aten.scatter_add, torch.ops.aten.scatter_add_, torch.ops.aten.index_add)
COPIES = 5  # of the weights: themselves, their gradients, the two means of Adam, the best so far


@dataclass(frozen=True)
class Need:
    """Bytes of all tensors alive at once, and of the largest one of indices."""

    memory: int
    index: int = 0

    def __add__(self, other: Need) -> Need:
        """Of two that are there together."""
        return Need(self.memory + other.memory, max(self.index, other.index))

    @staticmethod
    def of(action: Callable[[], object]) -> Need:
        with Watch() as watch:
            action()
        return Need(watch.peak, watch.index)

    @staticmethod
    def of_many(one: Need, two: Need, size: int) -> Need:
        """Of ``size`` structures, by what two take more than one: it grows by as much with each."""
        return Need(*(a + (b - a) * (size - 1) for a, b in ((one.memory, two.memory), (one.index, two.index))))


class Watch(Allocations):
    """Looks at indices too; a sum over an index counts as one of its size, which deterministic kernels sort."""

    index = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in SUMS:
            self.index = max(self.index, args[2].numel() * args[2].element_size())
        return super().__torch_dispatch__(func, types, args, kwargs)

    def _follow(self, value: Tensor, counts: bool) -> None:
        super()._follow(value, counts)
        if counts and value.dtype is torch.int64:
            self.index = max(self.index, value.untyped_storage().nbytes())


@dataclass(frozen=True)
class Experiment:
    """What a step of training (``None``: nothing is trained) and a batch of evaluation need."""

    job: Job
    step: Need | None
    evaluation: Need


Key = tuple[str, str, str]
"""A suite, a task and a method."""


def jobs() -> dict[Key, Job]:
    """Every pair of a task and a method of each suite, with the most samples in training."""
    found: dict[Key, Job] = {}
    with patch.object(vit_weights, "at_hand", lambda checkpoint: False):
        for suite, changes in SUITES.items():
            runs = load(suite, changes).expand().jobs
            for job in sorted(runs, key=lambda job: -job.spec.settings.train_samples):
                found.setdefault((suite, job.spec.task, job.spec.method), job)
    return found


def experiments() -> list[Experiment]:
    """The large network is computed once with hard permutations and once with soft ones; no sampler brings more."""
    every = jobs()
    found = {key: measured(job) for key, job in every.items() if not computed_by(job)}
    for key, job in every.items():
        if method := computed_by(job):
            network, own = found[*key[:2], method], sampler(job)
            step = network.step + own if network.step else None
            found[key] = Experiment(job, step, network.evaluation + own)
    return list(found.values())


def computed_by(job: Job) -> str | None:
    """The method that computes the same network on as many elements or more, where this one need not."""
    base, _, kind = job.spec.method.partition("-")
    if base != "vit" or kind in ("ga", "ps"):
        return None
    return f"{base}-{'ps' if kind == 'canonical' else 'ga'}"


def measured(job: Job) -> Experiment:
    """The need of a run with the ``chunk`` of its suite."""
    spec, chunk, size = job.spec, job.resources.chunk, batch_size(job.spec)
    trained = spec.settings.epochs > 0
    if task(spec.task).form == "separation":
        chunk = chunk or spec.settings.test_samples
    if spec.method in LISTS_OF_EDGES:
        one, two = (Batch(spec, chunk, count, CPU) for count in (1, 2))
        step = Need.of_many(one.step(), two.step(), size) if trained else None
        return Experiment(job, step, Need.of_many(one.evaluation(), two.evaluation(), size))
    with looked_at_nothing():
        batch = Batch(spec, chunk, size, META)
        step, evaluation = batch.step() if trained else None, batch.evaluation()
    own = individualisation(spec)
    return Experiment(job, step + own if step else None, evaluation + own)


def sampler(job: Job) -> Need:
    """What the group elements of a batch take, as in training."""
    with looked_at_nothing():
        batch = Batch(job.spec, None, batch_size(job.spec), META)
        return batch.elements(job.spec.settings.train_samples) + individualisation(job.spec)


def batch_size(spec: RunSpec) -> int:
    return spec.settings.batch_size * (2 if task(spec.task).form == "paired" else 1)


def looked_at_nothing() -> AbstractContextManager[object]:
    """Minimal frames take any order, where they would look at numbers: see :func:`individualisation`."""
    return patch.object(minimal_frames, "individualised", lambda colours, alike, mask, noise: noise.argsort(-1))


class Batch:
    """One batch of a run on one device."""

    def __init__(self, spec: RunSpec, chunk: int | None, size: int, device: torch.device) -> None:
        self.spec, self.chunk = spec, chunk
        dtype = DTYPES[spec.settings.precision]
        with META if "weights" in spec.base else nullcontext():  # a large one; others read numbers at their start
            model = new_model(spec, signature(spec.task))
        self.model: Model = model.to(device, dtype)
        self.model.mixed_precision = False  # the device has no autocast
        for part in self.model.modules():
            if isinstance(part, VisionTransformer) and part.dropout_drawn:
                part.patch_dropout = 0.0  # the most that a step can be drawn to keep
        self.x = structures(spec.task, size, device).to(device, dtype)
        self.weights = Need(sum(map(_size, self.model.state_dict().values())))
        self.there = Need(sum(map(_size, vars(self.x).values())))

    def step(self) -> Need:
        """With a chunk that of two chunks, and for the other samples what their group elements take."""
        samples, model = self.spec.settings.train_samples, self.model.train()
        taken = min(samples, 2 * (self.chunk or samples))
        need = Need.of(partial(self._descend, taken)) + self._kept(COPIES - 1)
        model.zero_grad()
        return need + self.elements(samples) if taken < samples else need

    def elements(self, samples: int) -> Need:
        """Group elements alone."""
        model = self.model
        assert isinstance(model, Symmetrized)
        return Need.of(lambda: model.sampler(self.x, model.noise(self.x, samples, None)))

    def evaluation(self) -> Need:
        """That of one chunk, beside the noise of all samples and their predictions, twice where they are joined."""
        samples, model = most_samples(self.spec), self.model.eval()
        taken = min(samples, self.chunk or samples)
        with torch.no_grad():
            need = Need.of(lambda: model.draws(self.x, taken, None)) + self._kept(COPIES)
            noise = sum(map(_size, model.noise(self.x, samples, None))) if taken < samples else 0
        predictions = 0 if model.fixed_samples else 2 * samples * self._prediction_size()
        return need + Need(noise + predictions)

    def _descend(self, samples: int) -> None:
        prediction = self.model(self.x, samples, None, self.chunk)
        prediction.objective(prediction.value.square().mean()).backward()

    def _kept(self, copies: int) -> Need:
        """The batch, and the weights so many times where they are trained."""
        return self.there + Need(self.weights.memory * (copies if self.spec.settings.epochs else 1))

    def _prediction_size(self) -> int:
        """Bytes of one prediction for every structure."""
        shape = signature(self.spec.task)
        nodes = {Representation.GRAPH_SCALARS: 1, Representation.EDGE_SCALARS: shape.nodes**2}
        numbers = nodes.get(shape.output, shape.nodes) * max(shape.dimension, 1) * shape.output_channels
        return len(self.x) * numbers * self.x.edge_scalars.element_size()


def most_samples(spec: RunSpec) -> int:
    """More group samples are not evaluated at once; the curve draws those of all its repeats together."""
    protocol = spec.settings
    curve = protocol.curve_repeats * max(protocol.curve_samples)
    return max(protocol.valid_samples, protocol.test_samples, curve, *protocol.variance_samples)


def signature(name: str) -> Signature:
    card = task(name)
    scalars, points, vectors, edges, dimension, channels, padded = SHAPES[name]
    return Signature(
        nodes=card.max_nodes_of(card.params),
        node_scalars=scalars,
        points=points,
        vectors=vectors,
        edge_scalars=edges,
        dimension=dimension,
        output=Representation(card.output),
        output_channels=channels,
        padded=padded,
    )


def structures(name: str, size: int, device: torch.device) -> Structure:
    """Those of the largest kind; all their nodes differ, and each has :data:`NEIGHBOURS`, in a circle."""
    shape = signature(name)

    def numbers(*axes: int) -> Tensor:
        return torch.rand(size, shape.nodes, *axes, device=device)

    place = torch.arange(shape.nodes, device=device)
    apart = (place[:, None] - place).abs()
    near = torch.minimum(apart, shape.nodes - apart)
    joined = (near > 0) & (near <= NEIGHBOURS.get(name, OF_A_MOLECULE) // 2)
    return Structure.build(
        torch.ones(size, shape.nodes, dtype=torch.bool, device=device),
        node_scalars=numbers(shape.node_scalars),
        points=numbers(shape.dimension, shape.points),
        vectors=numbers(shape.dimension, shape.vectors),
        edge_scalars=numbers(shape.nodes, shape.edge_scalars) * joined[..., None],
    )


def individualisation(spec: RunSpec) -> Need:
    """What minimal frames take where they look at numbers; elsewhere nothing."""
    permutes = "S_n" in method(spec.method).symmetrized_group(task(spec.task), spec.task_params)
    if not spec.method.endswith("mfa") or not permutes:
        return Need(0)
    one, two = (_individualised(spec.task, count) for count in (1, 2))
    return Need.of_many(one, two, batch_size(spec))


@cache
def _individualised(name: str, count: int) -> Need:
    x = structures(name, count, CPU)
    colours, alike = torch.rand(2, count, x.nodes, x.nodes).mul(1 << 40).long()
    noise = torch.rand(count, 1, x.nodes)
    return Need.of(lambda: minimal_frames.individualised(colours[:, 0], alike, x.mask, noise))


def _size(value: Tensor) -> int:
    return value.numel() * value.element_size()


HEAD = (
    "| task | network | batch | k, training | GiB | k, evaluation | GiB | chunk | largest index, MiB |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)
LEAST = 1 << 30


def table(found: Sequence[Experiment]) -> list[str]:
    """A row for every network on a task that needs a GiB: the largest need of any sampler, and the most samples."""
    networks: dict[tuple[str, str, int | None], list[Experiment]] = {}
    for one in found:
        base = one.job.spec.method.partition("-")[0]
        networks.setdefault((one.job.spec.task, base, one.job.resources.chunk), []).append(one)
    large = (of for of in networks.values() if max(map(_memory, of)) >= LEAST)
    return sorted(map(_row, large))


def _memory(one: Experiment) -> int:
    return max(need.memory for need in (one.step, one.evaluation) if need)


def _row(of: Sequence[Experiment]) -> str:
    specs, chunk = [one.job.spec for one in of], of[0].job.resources.chunk
    steps = [one.step for one in of if one.step]
    index = max(need.index for one in of for need in (one.step, one.evaluation) if need)
    training = [max(spec.settings.train_samples for spec in specs), _gib(steps)] if steps else ["-", "-"]
    evaluation = [max(map(most_samples, specs)), _gib([one.evaluation for one in of])]
    base = specs[0].method.partition("-")[0]
    cells = [specs[0].task, base, batch_size(specs[0]), *training, *evaluation, chunk or "all", round(index / 2**20)]
    return f"| {' | '.join(map(str, cells))} |"


def _gib(needs: Sequence[Need]) -> str:
    return f"{max(need.memory for need in needs) / 2**30:.1f}"
