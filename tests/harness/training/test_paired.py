"""Reliable paired comparisons: the test's level and power, what is separated, what chance and memory cannot fake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch
from scipy.stats import binom, f, ncf
from torch import Tensor

from baselines.build import build
from baselines.model import Model
from harness.registry import method
from harness.training import paired
from harness.training.checkpoint import Checkpoint, State
from harness.training.context import RunContext
from harness.training.hotelling import critical_value, t_squared
from harness.training.paired import PairedComparisons, siamese_loss
from harness.training.results import NotFinite
from tasks.graphs import constant_and_degree
from tasks.protocol import Protocol
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import PairedTask
from tests.harness.training.small_device import with_room_for

CPU = torch.device("cpu")
LEVEL = 0.05
UNLIKELY = 1e-4


def gaussians(trials: int, q: int, d: int, seed: int) -> Tensor:
    """``[trials, q, d]`` with mean zero and a covariance of no special form."""
    noise = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=noise, dtype=torch.float64)
    return torch.randn(trials, q, d, generator=noise, dtype=torch.float64) @ mixing


def test_the_published_threshold() -> None:
    assert critical_value(32, 16, LEVEL) == pytest.approx(72.34, abs=0.005)  # Wang and Zhang's constant
    with pytest.raises(ValueError, match="more than 16"):
        critical_value(16, 16, LEVEL)


@pytest.mark.parametrize(("q", "d"), [(32, 16), (12, 3)])
def test_the_level_is_kept_and_the_law_is_f(q: int, d: int) -> None:
    trials = 2000
    found = torch.tensor([t_squared(values, size=1.0) for values in gaussians(trials, q, d, seed=q)])
    for level in (LEVEL, 0.2, 0.5):
        rejected = int((found > critical_value(q, d, level)).sum())
        assert binom.ppf(UNLIKELY, trials, level) <= rejected <= binom.isf(UNLIKELY, trials, level)
    scaled = found * (q - d) / (d * (q - 1))
    assert scaled.median().item() == pytest.approx(f.median(d, q - d), rel=0.08)


def test_the_power_is_that_of_the_noncentral_law() -> None:
    q, d, trials, shift = 32, 4, 1000, 0.6
    values = torch.randn(trials, q, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values[..., 0] += shift
    threshold = critical_value(q, d, LEVEL)
    expected = ncf.sf(threshold * (q - d) / (d * (q - 1)), d, q - d, q * shift**2)
    rejected = sum(t_squared(one, size=1.0) > threshold for one in values)
    assert 0.5 < expected < 0.95
    assert binom.ppf(UNLIKELY, trials, expected) <= rejected <= binom.isf(UNLIKELY, trials, expected)


def test_t_squared_is_its_formula_whatever_the_units() -> None:
    values = gaussians(1, 20, 3, seed=4)[0] + 0.3
    mean, covariance = values.mean(0), torch.cov(values.T)
    expected = 20 * mean @ torch.linalg.inv(covariance) @ mean
    assert t_squared(values, size=1.0) == pytest.approx(expected.item(), rel=1e-9)
    other = torch.randn(3, 3, dtype=torch.float64)
    assert t_squared(values @ other, size=1.0) == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_no_difference_and_a_constant_is_one(dtype: torch.dtype) -> None:
    threshold, size = critical_value(32, 16, LEVEL), 50.0
    biased = torch.full((32, 16), 2 * torch.finfo(dtype).eps * size, dtype=dtype)  # the same rounding in every copy
    assert t_squared(biased, size) < threshold
    assert t_squared(torch.zeros(32, 16, dtype=dtype), size=0.0) == 0.0
    assert t_squared(torch.full((32, 16), 1e-3 * size, dtype=dtype), size) > 100 * threshold


HARD = {
    "two triangles": (nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))),
    "prism": (nx.circular_ladder_graph(3), nx.complete_bipartite_graph(3, 3)),
}
EASY = {"star": (nx.path_graph(6), nx.star_graph(5))}
SAME = {"itself": (nx.lollipop_graph(4, 3), nx.relabel_nodes(nx.lollipop_graph(4, 3), lambda node: (3 * node) % 7))}


class FewPairs(PairedTask):
    """Pairs of graphs by category."""

    relabellings, level = 32, LEVEL

    def __init__(self, pairs: Mapping[str, Any]) -> None:
        self.graphs = list(pairs.values())
        self.categories = list(pairs)
        self.signature = self.signature_of(self.pair(0))

    def pair(self, index: int) -> Structure:
        graphs = [nx.to_numpy_array(graph, nodelist=sorted(graph)) for graph in self.graphs[index]]
        return constant_and_degree(torch.stack([torch.from_numpy(graph).float() for graph in graphs]))

    def signature_of(self, pair: Structure) -> Signature:
        return Signature.of(pair, Representation.GRAPH_SCALARS, 16)

    def structures(self) -> Structure:
        raise AssertionError("a comparison looks at one pair at a time")


def comparisons(name: str, pairs: Mapping[str, Any], path: Path | None = None, **settings: Any) -> PairedComparisons:
    card = method(name)
    params = {**card.base.params, **{"width": 16, "widths": [32]}}
    params = {key: params[key] for key in card.base.params}
    sampler = card.sampler.params if card.sampler else {}
    protocol = Protocol(
        **{"epochs": 0, "batch_size": 16, "test_samples": 2, "train_samples": 2, "lr": 1e-2, **settings}
    )

    def new(signature: Signature) -> Model:
        return build(card, signature, ("S_n",), params, sampler)

    context = RunContext(dtype=torch.float64, checkpoint=Checkpoint(path, "one", 0.0) if path else None)
    return PairedComparisons(new, FewPairs(pairs), group(("S_n",)), protocol, context, seed=0)


@pytest.mark.parametrize(("name", "separated"), [("gin", {"star"}), ("ppgn", {"star", "two triangles", "prism"})])
@pytest.mark.parametrize("epochs", [0, 3])
def test_networks_separate_what_they_can_and_reliably(name: str, separated: set[str], epochs: int) -> None:
    """Training changes weights, not what colour refinement bounds; isomorphic graphs are never apart."""
    found = comparisons(name, HARD | EASY | SAME, epochs=epochs).metrics()
    assert {of for of in HARD | EASY | SAME if found[f"separated_{of}"]} == separated
    assert found["separated"] == len(separated) and found["unreliable"] == 0 and found["pairs"] == 4


def test_chance_separates_at_the_level_of_the_test() -> None:
    """One random permutation for each embedding: both tests err on isomorphic graphs as often as they may."""
    pairs = {f"copy {number}": SAME["itself"] for number in range(150)}
    counted = comparisons("gin_id-ga", pairs, test_samples=1)
    found = counted.metrics()
    most = binom.isf(UNLIKELY, 150, 1.5 * LEVEL)  # of 32 embeddings that are not Gaussian
    assert found["unreliable"] <= most and found["separated"] <= most
    assert sum(apart > 10 for apart, _ in counted.statistics) > 100  # noise it is, not an exact symmetry


def test_what_is_memorised_separates_nothing() -> None:
    """A network without symmetry parts the copies that it is shown, of isomorphic graphs: fresh copies it does not."""
    pairs = {f"copy {number}": SAME["itself"] for number in range(20)}
    counted = comparisons("mlp-none", pairs, epochs=30)
    pair = counted.task.pair(0).to(CPU, torch.float64)
    model = counted.model(pair, 0).eval()

    @torch.no_grad()
    def loss(*purposes: str) -> float:
        copies = [counted._copies(pair[which : which + 1], 0, purpose) for which, purpose in enumerate(purposes)]
        return siamese_loss(model(Structure.cat(copies), 1).value).item()

    assert loss("train 0", "train 1") < 0.02 < 0.1 < loss("first", "second")
    assert counted.metrics()["separated"] <= binom.isf(UNLIKELY, 20, 1.5 * LEVEL)


def test_the_loss_falls_where_embeddings_part() -> None:
    embeddings = torch.randn(8, 5, dtype=torch.float64)
    apart = torch.cat([embeddings, -embeddings])
    assert siamese_loss(apart).item() == pytest.approx(0.0)
    assert siamese_loss(torch.cat([embeddings, embeddings])).item() == pytest.approx(1.0)
    shifted = siamese_loss(torch.cat([embeddings, embeddings + 0.1]) + 1e3).item()
    assert shifted < 1.0  # a common offset does not hide a difference


def test_the_loss_looks_at_what_embeddings_do_not_have_in_common() -> None:
    embeddings = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    common, sizes = torch.full((5,), 100.0).double(), torch.arange(1.0, 6.0).double()
    torch.testing.assert_close(siamese_loss(common + 1e3 * sizes * embeddings), siamese_loss(1e3 * embeddings))


@pytest.mark.parametrize("scale", [1.0, 1e8])
def test_rounding_of_large_embeddings_separates_nothing(scale: float) -> None:
    """Of one graph with itself under another numbering, by a network that is symmetric to rounding."""
    run = comparisons("gin", SAME)
    build = run.build

    def scaled(signature: Signature) -> Model:
        network = build(signature)
        last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
        with torch.no_grad():
            last.weight.mul_(scale)
        return network

    run.build = scaled
    assert run.metrics()["separated"] == run.metrics()["unreliable"] == 0
    assert max(run.statistics[0]) < 0.1 * run.threshold


def test_a_run_goes_on_where_it_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = HARD | EASY | SAME
    whole = comparisons("gin_id-ga", pairs, epochs=1)
    expected = whole.metrics()
    cut = comparisons("gin_id-ga", pairs, tmp_path / "state", epochs=1)
    save = Checkpoint.save

    def once(checkpoint: Checkpoint, state: State) -> None:
        save(checkpoint, state)
        if len(state["statistics"]) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", once)
    with pytest.raises(KeyboardInterrupt):
        cut.metrics()
    again = comparisons("gin_id-ga", pairs, tmp_path / "state", epochs=1)
    assert again.metrics() == expected
    assert again.statistics == whole.statistics
    assert again.train_seconds > 0


def test_only_what_is_told_apart_reliably_counts() -> None:
    """Of either test only what exceeds the threshold; a category counts its own."""
    pairs = {f"{category} {number}": EASY["star"] for category in "ab" for number in range(3)}
    counted = comparisons("gin", pairs)
    counted.categories = ["a", "a", "a", "b", "b", "b"]
    limit = counted.threshold
    beyond = 2 * limit
    counted.statistics = [(beyond, limit), (beyond, beyond), (limit, 0.0), (beyond, 0.0), (0.0, beyond), (0.0, 0.0)]
    found = counted._counts()
    assert found["separated"] == 2 and found["unreliable"] == 2 and found["pairs"] == 6
    assert found["separated_a"] == found["separated_b"] == 1


def test_the_clock_is_read_once_the_device_has_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def clock() -> float:
        order.append("clock")
        return float(len(order))

    monkeypatch.setattr(paired.time, "perf_counter", clock)
    monkeypatch.setattr(paired, "synchronize", lambda device: order.append(f"wait for {device}"))
    comparisons("gin", EASY).metrics()
    assert order == ["clock", "wait for cpu", "clock"]


def test_fewer_pairs_are_the_first() -> None:
    found = comparisons("gin", HARD | EASY | SAME, test_size=3).metrics()
    assert found["pairs"] == 3 and "separated_itself" not in found


def test_embeddings_that_are_not_finite_say_so() -> None:
    counted = comparisons("gin", EASY)
    broken = counted.build

    def new(signature: Signature) -> Model:
        model = broken(signature)
        next(model.parameters()).data.fill_(torch.nan)
        return model

    counted.build = new
    with pytest.raises(NotFinite, match=r"pair 0 \(star\)"):
        counted.metrics()


def test_only_reliable_pairs_count_as_separated() -> None:
    """A network that tells a graph from its own copy tells nothing; at the threshold a test says neither."""
    counted = comparisons("gin", HARD | EASY | SAME)
    high, bound = counted.threshold + 1, counted.threshold
    counted.statistics = [(high, 0.0), (high, high), (bound, 0.0), (high, bound)]
    found = counted.metrics()
    assert (found["separated"], found["unreliable"], found["pairs"]) == (2, 1, 4)
    assert [found[f"separated_{of}"] for of in counted.categories] == [1, 0, 0, 1]


def test_a_device_that_is_out_of_memory_is_so_for_all_pairs_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = comparisons("gin_id-ga", EASY | SAME, epochs=1, test_samples=6)
    expected = whole.metrics()
    tried, short = with_room_for(2, monkeypatch), comparisons("gin_id-ga", EASY | SAME, epochs=1, test_samples=6)
    assert short.metrics() == expected
    assert [size for size in tried if size > 2] == [6, 3]
    assert short.chunks.notes(4) == ("out of memory in evaluation: chunk 1 instead of 4",)
