"""GRAPH8c, MLP with probabilistic symmetrization, against the plain way: ratios within one process, printed.

Seconds are the processor's on one thread: what else the machine does at the time counts less.

``pytest -m benchmark -s tests/benchmarks/test_separation_cost.py``
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.bases.mlp import MLP
from baselines.build import build
from baselines.model import Model
from baselines.q_networks.gin import GINScorer
from baselines.samplers.probabilistic import TIE_NOISE, GraphQ, ProbabilisticSymmetrization
from baselines.symmetrized import Symmetrized
from harness.registry import method, resolve, task
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.memory import keep_freed_memory, peak_memory
from harness.training.seeds import generator
from harness.training.separation import Separation, Unseparated
from tasks.graph8c import Graph8c
from tasks.settings import NoSettings
from tasks.symmetry.groups import group
from tasks.symmetry.noise import Noise
from tasks.symmetry.structure import Structure

pytestmark = pytest.mark.benchmark
CPU = torch.device("cpu")
SIZE, INITIALISATIONS = 400, 3
ALL, ALL_INITIALISATIONS = 11_117, 100


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class SomeOfGraph8c(Graph8c):
    """Structures spread over all of them."""

    size = SIZE

    def structures(self) -> Structure:
        whole = super().structures()
        return whole[torch.linspace(0, len(whole) - 1, self.size).long()]


def spec_of(initialisations: int) -> RunSpec:
    return resolve("graph8c", "mlp-ps", "paper", 0, settings={"initialisations": initialisations})


def separation(initialisations: int, dtype: torch.dtype, size: int = SIZE) -> Separation:
    spec, card, problem = spec_of(initialisations), method("mlp-ps"), SomeOfGraph8c(NoSettings())
    problem.size = size

    def new() -> Model:
        return build(card, problem.signature, task("graph8c").group, spec.base, spec.sampler)

    return Separation(new, problem, group(("S_n",)), spec.settings, RunContext(dtype=dtype), seed=0)


def plain_scores(scorer: GINScorer, features: Tensor, adjacency: Tensor) -> Tensor:
    """GIN with a virtual node on graphs ``[M, N, C]``, every sample a graph of its own."""
    count, nodes, _ = features.shape
    h = scorer.embed(torch.cat([features, scorer.virtual_node.expand(count, 1, -1)], 1))
    joined = torch.ones(count, nodes + 1, nodes + 1, dtype=h.dtype)
    joined[:, :nodes, :nodes] = adjacency
    for layer in scorer.layers:
        h = joined @ h + (1 + layer.eps) * h
        for block in layer.mlp:
            h = nn.functional.linear(h, block.linear.weight, block.linear.bias)
            norm = block.norm
            h = (h - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
            h = h.relu()
    return scorer.head(h)[:, :nodes, 0]


def plain_permutations(scores: Tensor, params: Mapping[str, Any]) -> Tensor:
    """P_hard - P_soft + P_soft: SoftSort, ``sinkhorn_steps`` normalisations of logarithms."""
    scores = scores / scores.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    in_order, order = scores.sort(dim=-1, descending=True, stable=True)
    logits = -(scores[:, None, :] - in_order[:, :, None]).abs() / params["temperature"]
    for _ in range(params["sinkhorn_steps"]):
        logits = logits - logits.logsumexp(-1, keepdim=True)
        logits = logits - logits.logsumexp(-2, keepdim=True)
    soft = logits.exp()
    hard = nn.functional.one_hot(order, scores.shape[-1]).to(scores.dtype)
    return hard - soft + soft


@torch.no_grad()
def plain_embeddings(model: Model, x: Structure, noise: Noise, params: Mapping[str, Any]) -> Tensor:
    features, ties = noise
    batch, samples = ties.shape[:2]
    assert isinstance(model, Symmetrized) and isinstance(model.base, MLP)
    assert isinstance(model.sampler, ProbabilisticSymmetrization) and isinstance(model.sampler.network, GraphQ)
    adjacency = x.adjacency.repeat_interleave(samples, 0)
    noisy = (x.node_scalars[:, None] + params["noise_scale"] * features).flatten(0, 1)
    scores = plain_scores(model.sampler.network.scorer, noisy, adjacency)
    matrix = plain_permutations(scores + TIE_NOISE * ties.flatten(0, 1), params)
    moved = matrix @ adjacency @ matrix.mT
    return model.base.layers(moved.flatten(1)).unflatten(0, (batch, samples)).mean(1)


def plain_run(run: Separation, params: Mapping[str, Any]) -> tuple[dict[str, float], float, float]:
    """The metrics, and the seconds for embeddings and for distances."""
    close = torch.ones(len(run.structures), len(run.structures), dtype=torch.bool)
    fooled = torch.zeros(len(run.structures), dtype=torch.bool)
    embedding = comparing = 0.0
    for initialisation, model in run.models():
        start = time.process_time()
        both = []
        for structures, purpose in ((run.structures, "structures"), (run.relabelled, "copies")):
            chance, parts = generator(CPU, 0, purpose, initialisation), []
            for first in range(0, len(structures), run.protocol.batch_size):
                x = structures[first : first + run.protocol.batch_size]
                noise = model.noise(x, run.protocol.test_samples, chance)
                parts.append(plain_embeddings(model.eval(), x, noise, params))
            both.append(torch.cat(parts))
        embedding += time.process_time() - start
        start = time.process_time()
        own, copies = both
        close &= (own[:, None] - own[None]).abs().sum(-1) <= run.threshold
        fooled |= (own - copies).abs().sum(-1) > run.threshold
        counts = {
            "unseparated": float(close.triu(1).sum()),
            "false_separations": float(fooled.sum()),
            "unseparated_sound": float((close | fooled | fooled[:, None]).triu(1).sum()),
        }
        comparing += time.process_time() - start
    return counts, embedding, comparing


def seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


@pytest.mark.usefixtures("one_thread")
def test_the_same_counts_in_less_time_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    params = spec_of(1).sampler
    doubled = separation(INITIALISATIONS, torch.float64)
    for initialisation, model in doubled.models():
        noise = model.noise(doubled.structures, 10, generator(CPU, 0, "check", initialisation))
        with torch.no_grad():
            ours = model.eval().from_noise(doubled.structures, noise, 10).value
        plain = plain_embeddings(model, doubled.structures, noise, params)
        torch.testing.assert_close(ours, plain, atol=1e-8, rtol=1e-8)
    assert doubled.metrics() == plain_run(doubled, params)[0]

    keep_freed_memory()
    run = separation(INITIALISATIONS, torch.float32)
    run.metrics()
    fast = seconds(run.metrics)
    _, embedding, comparing = plain_run(run, params)
    whole = separation(2, torch.float32, ALL)
    one_by_one = seconds(whole.metrics) / whole.embedded
    large = peak_memory(lambda: plain_run(run, params), CPU)
    small = peak_memory(whole.metrics, CPU)
    curve = seconds(whole.curve) / 2 * ALL_INITIALISATIONS
    scale = ALL / SIZE
    plainly = (embedding * scale + comparing * scale**2) * ALL_INITIALISATIONS / INITIALISATIONS
    array = ALL**2 * run.channels * 4
    constant = Unseparated(ALL, run.threshold, CPU)
    worst = peak_memory(lambda: constant.add(torch.ones(ALL, run.channels)), CPU)
    assert len(constant) == ALL * (ALL - 1) // 2
    with capsys.disabled():
        print(f"\n{SIZE} graphs, {INITIALISATIONS} initialisations: ", end="")
        print(f"{embedding + comparing:.2f} s plainly, {fast:.2f} s ours, {(embedding + comparing) / fast:.1f} times")
        print(f"{ALL:,} graphs, {ALL_INITIALISATIONS} initialisations: {plainly:.0f} s plainly; ours at most ", end="")
        print(f"{2 * ALL * ALL_INITIALISATIONS * one_by_one:.0f} s, were all embedded; the curve {curve:.0f} s")
        print(f"tensors at once: {large / 2**20:.0f} MiB plainly on {SIZE} graphs, {array / 2**20:.0f} MiB ", end="")
        print(f"for one array of all differences on {ALL:,}; ours {small / 2**20:.0f} MiB on these, ", end="")
        print(f"{worst / 2**20:.0f} MiB while nothing is separated")
    assert max(small, worst) < 2**31
