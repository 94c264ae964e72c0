"""The streams of chance in a run, as its model meets them: what is drawn afresh, what again, and what is shared."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.training import from_spec, scoring
from harness.training.context import RunContext
from harness.training.execute import execute
from harness.training.fit import Fit
from harness.training.paired import PairedComparisons
from harness.training.seeds import generator, reseed
from harness.training.separation import Separation
from harness.verification.equivariance import coordinates
from tasks.protocol import Protocol
from tasks.symmetry.element import Element
from tasks.symmetry.groups import Group, group
from tasks.symmetry.structure import Signature, Structure
from tasks.task import MOST_EXAMPLES
from tests.harness.training.small_problems import EdgeCount, particles_spec
from tests.harness.training.test_paired import EASY, HARD, FewPairs
from tests.harness.training.test_separation import FewGraphs
from tests.harness.training.witness import Pass, Witness, count, numbers

pytestmark = pytest.mark.usefixtures("generated_data")
CPU = torch.device("cpu")
BATCHES = 4  # of 10 examples in an epoch
DOUBLE = RunContext(dtype=torch.float64)


def trained(seed: int, epochs: int = 3) -> list[Pass]:
    seen: list[Pass] = []
    task = EdgeCount()
    protocol = Protocol(epochs=epochs, batch_size=10, train_samples=2, valid_samples=3)
    Fit(Witness(task.signature, seen).double(), task, protocol, DOUBLE, seed=seed).run()
    return seen


def split_of(one: Pass) -> str:
    (place,) = {key // MOST_EXAMPLES for key in one.keys}
    return ("train", "validation", "test")[place]


def by_epoch(passes: list[Pass], size: int) -> list[list[Pass]]:
    return [passes[start : start + size] for start in range(0, len(passes), size)]


def assert_apart(streams: Mapping[object, list[Pass]]) -> None:
    """No number of a stream is drawn twice, and none is another's."""
    for name, passes in streams.items():
        assert len(numbers(passes)) == count(passes) > 0, name
    for (name, ours), (other, theirs) in combinations(streams.items(), 2):
        assert not numbers(ours) & numbers(theirs), (name, other)


def test_training_has_fresh_chance_at_every_epoch_and_validation_the_same() -> None:
    seen = trained(seed=3)
    training = [one for one in seen if one.training]
    validation = by_epoch([one for one in seen if not one.training], 2)
    assert {split_of(one) for one in training} == {"train"} and len(training) == 3 * BATCHES
    assert {split_of(one) for epoch in validation for one in epoch} == {"validation"} and len(validation) == 3
    assert_apart({"training": training, "validation": validation[0]})
    for epoch in validation[1:]:
        assert [one.noise.tolist() for one in epoch] == [one.noise.tolist() for one in validation[0]]
        assert [one.keys for one in epoch] == [one.keys for one in validation[0]]


def test_every_epoch_takes_every_example_once_in_an_order_of_its_own() -> None:
    epochs = by_epoch([one for one in trained(seed=3) if one.training], BATCHES)
    orders = [[key for one in epoch for key in one.keys] for epoch in epochs]
    assert all(sorted(order) == list(range(40)) for order in orders)
    assert all(first != second for first, second in combinations([*orders, list(range(40))], 2))


def test_dropout_changes_from_step_to_step_and_from_epoch_to_epoch() -> None:
    seen = trained(seed=3)
    masks = [tuple(one.dropped.tolist()) for one in seen if one.training]
    assert len(set(masks)) == len(masks) == 3 * BATCHES
    assert all(one.dropped.eq(1).all() for one in seen if not one.training)


def test_two_seeds_share_no_chance() -> None:
    first, second = (trained(seed) for seed in (3, 4))
    for training in (True, False):
        ours, theirs = ([one for one in seen if one.training is training] for seen in (first, second))
        assert not numbers(ours) & numbers(theirs)
        if training:
            assert not {tuple(one.dropped.tolist()) for one in ours} & {tuple(one.dropped.tolist()) for one in theirs}
            assert [one.keys for one in ours] != [one.keys for one in theirs]


class Recording:
    """A group that remembers the elements that were drawn."""

    def __init__(self, known: Group, drawn: list[Tensor]) -> None:
        self._group, self._drawn = known, drawn

    def random(self, x: Structure, samples: int, generator: torch.Generator) -> Element:
        found = self._group.random(x, samples, generator)
        self._drawn.append(coordinates(found))
        return found


def executed(
    seed: int, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> tuple[list[Pass], list[Tensor], Mapping[str, float]]:
    """A run's passes, the elements that moved its test set, and its metrics."""
    seen: list[Pass] = []
    drawn: list[Tensor] = []
    known = from_spec.group_of(particles_spec("egnn"))
    monkeypatch.setattr(from_spec, "new_model", lambda spec, signature: Witness(signature, seen))
    monkeypatch.setattr(scoring, "group_of", lambda spec: Recording(known, drawn))
    spec = particles_spec("egnn", seed, **{"epochs": 2, "test_repeats": 3, "curve_size": 20, **settings})
    metrics = execute(spec).metrics
    return seen, drawn, metrics


def streams(seen: list[Pass]) -> dict[object, list[Pass]]:
    """The passes of a run by what they are for; validation's of the first epoch alone."""
    end = next(place for place, one in enumerate(seen) if one.draws)
    found: dict[object, list[Pass]] = {
        "training": [one for one in seen if one.training],
        "validation": [one for one in seen if split_of(one) == "validation"][:2],
        "cost": [one for one in seen[end:] if not one.draws],
    }
    tests = [one for one in seen[:end] if split_of(one) == "test"]
    for place, passes in enumerate(by_epoch(tests, 2)):
        found["test", place // 2, "moved" if place % 2 else "plain"] = passes
    for place, passes in enumerate(by_epoch([one for one in seen if one.draws], 2)):
        found["curve", "moved" if place else "plain"] = passes
    return found


def points(passes: list[Pass]) -> Tensor:
    return torch.cat([one.inputs.points for one in passes])


def test_training_validation_tests_and_curve_share_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do the repeats of a test, plain and moved inputs, or what is timed."""
    seen, _, metrics = executed(0, monkeypatch)
    found = streams(seen)
    assert len(found) == 3 + 3 * 2 + 2
    assert_apart(found)
    assert metrics["mse_std"] > 0 and metrics["mse_transformed_std"] > 0
    other = streams(executed(1, monkeypatch)[0])
    for name, passes in found.items():
        assert not numbers(passes) & numbers(other[name]), name
    assert not {one.weight.item() for one in seen} & {one.weight.item() for one in executed(2, monkeypatch)[0]}


def test_the_test_set_is_moved_by_elements_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every repeat sees one moved set, the curve another, and no two examples are moved alike."""
    seen, (tested, curve), _ = executed(0, monkeypatch)
    found = streams(seen)
    plain, *others = (points(found["test", repeat, "plain"]) for repeat in range(3))
    moved, *moved_others = (points(found["test", repeat, "moved"]) for repeat in range(3))
    assert all(torch.equal(other, plain) for other in (*others, points(found["curve", "plain"])))
    assert all(torch.equal(other, moved) for other in moved_others)
    on_curve = points(found["curve", "moved"])
    for first, second in combinations((plain, moved, on_curve), 2):
        assert (first - second).abs().flatten(1).amax(1).min() > 1e-3
    elements = torch.cat([tested, curve])[:, 0]
    assert elements.unique(dim=0).shape == elements.shape
    again = executed(1, monkeypatch)[1]
    assert torch.cat([elements, *(one[:, 0] for one in again)]).unique(dim=0).shape[0] == 2 * len(elements)


def test_a_run_takes_the_first_so_many_examples_and_so_many_samples_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes and numbers of samples all differ; the last batch of each is incomplete and counts."""
    sizes = {"train": 25, "validation": 17, "test": 13, "curve": 11}
    names = {"train": "train_size", "validation": "valid_size", "test": "test_size", "curve": "curve_size"}
    samples = {"train_samples": 2, "valid_samples": 3, "test_samples": 5, "curve_samples": (1, 4), "curve_repeats": 3}
    settings = {**samples, **{names[name]: size for name, size in sizes.items()}, "drop_last": False}
    seen, _, _ = executed(0, monkeypatch, **settings)
    found = streams(seen)
    of = {"train": found["training"][:3], "validation": found["validation"], "test": found["test", 0, "plain"]}
    for place, (name, passes) in enumerate(of.items()):
        keys = [key - place * MOST_EXAMPLES for one in passes for key in one.keys]
        assert sorted(keys) == list(range(sizes[name])), name
        assert {one.noise.shape[1] for one in passes} == {(2, 3, 5)[place]}
    for kind in ("plain", "moved"):
        passes = found["curve", kind]
        assert [key - 2 * MOST_EXAMPLES for one in passes for key in one.keys] == list(range(sizes["curve"]))
        assert {one.noise.shape[1] for one in passes} == {3 * 4}
    assert {one.noise.shape[1] for one in found["test", 1, "moved"]} == {5}


def separated(seed: int) -> tuple[dict[object, list[Pass]], Tensor]:
    """The passes of a separation run over structures, copies and curve for each initialisation; and the copies."""
    seen: list[Pass] = []
    task = FewGraphs()
    task.threshold = 1e9  # pairs that were separated are not looked at again
    protocol = Protocol(initialisations=3, test_samples=2, batch_size=60, curve_size=20, curve_samples=(1, 2))
    run = Separation(lambda: Witness(task.signature, seen), task, group(("S_n",)), protocol, DOUBLE, seed=seed)
    run.metrics()
    run.curve()
    assert not any(one.training for one in seen)
    embedded, curve = [one for one in seen if not one.draws], [one for one in seen if one.draws]
    for place, one in enumerate(curve):
        assert torch.equal(one.weight, embedded[2 * place].weight)  # the curve is that of the same models
    names = [(purpose, turn) for turn in range(3) for purpose in ("structures", "copies")]
    found: dict[object, list[Pass]] = {name: [one] for name, one in zip(names, embedded, strict=True)}
    return found | {("curve", turn): [one] for turn, one in enumerate(curve)}, run.relabelled.edge_scalars


def test_no_two_seeds_of_a_separation_run_share_an_initialisation_or_noise() -> None:
    found = {seed: separated(seed) for seed in range(3)}
    assert_apart({(seed, *name): passes for seed in found for name, passes in found[seed][0].items()})  # type: ignore
    weights = [found[seed][0]["structures", turn][0].weight for seed in found for turn in range(3)]
    assert torch.stack(weights).unique().numel() == 9 * weights[0].numel()
    for (_, ours), (_, theirs) in combinations(found.values(), 2):
        assert (ours != theirs).any()


def compared(seed: int) -> list[Pass]:
    seen: list[Pass] = []

    def new(signature: Signature) -> Witness:
        return Witness(signature, seen)

    protocol = Protocol(epochs=2, batch_size=32, test_samples=2, train_samples=2)
    pairs = {**HARD, **EASY}
    run = PairedComparisons(new, FewPairs(pairs), group(("S_n",)), protocol, DOUBLE, seed=seed)
    run.metrics()
    return seen


def test_every_pair_has_its_own_model_noise_and_copies() -> None:
    """The copies that are tested are others than those trained on; no two seeds share anything."""
    runs = {seed: compared(seed) for seed in (0, 1)}
    by_pair = {(seed, pair): seen[5 * pair : 5 * pair + 5] for seed, seen in runs.items() for pair in range(3)}
    streams = {(*of, place): [one] for of, passes in by_pair.items() for place, one in enumerate(passes)}
    assert_apart(streams)
    starts = torch.stack([passes[0].weight for passes in by_pair.values()])
    assert starts.unique().numel() == starts.numel()
    for of, (train, again, first, _second, once_more) in by_pair.items():
        assert train.training and again.training and not first.training, of
        assert torch.equal(train.inputs.edge_scalars, again.inputs.edge_scalars)  # the same copies at every epoch
        copies = [train.inputs.edge_scalars[:32], first.inputs.edge_scalars, once_more.inputs.edge_scalars]
        for ours, theirs in pairwise([*copies, copies[0]]):
            assert not torch.equal(ours, theirs), of


@pytest.mark.parametrize("drawn", [0, 1, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_generator_that_is_kept_draws_what_a_new_one_would(drawn: int, dtype: torch.dtype) -> None:
    """Whatever was drawn of the stream before: normal numbers come in pairs, of which one may be left over."""
    kept = torch.Generator()
    for purpose in ("noise", "validation", "noise"):
        torch.randn(drawn, generator=kept, dtype=dtype)
        reseed(kept, 3, purpose, 1)
        new = generator(CPU, 3, purpose, 1)
        for draw in (torch.randn, torch.rand):
            assert torch.equal(draw(5, generator=kept, dtype=dtype), draw(5, generator=new, dtype=dtype))


def test_one_generator_serves_all_epochs_of_a_training() -> None:
    task = EdgeCount()
    fit = Fit(Witness(task.signature, []).double(), task, Protocol(epochs=2, batch_size=10), DOUBLE, seed=0)
    kept = fit.noise
    fit.run()
    assert fit.noise is kept
