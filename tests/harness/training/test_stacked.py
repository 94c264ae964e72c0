"""Seeds trained in a stack end where each would have ended alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils import clip_grad_norm_

from baselines.build import build
from baselines.model import Model
from harness.registry import method
from harness.training.context import RunContext
from harness.training.execute import execute, execute_stack
from harness.training.fit import LOSS, Fit, FitState
from harness.training.monitor import Monitor
from harness.training.results import Hooks, NotFinite, NotStacked, Outcome
from harness.training.seeds import derive
from harness.training.stacked import StackedFit, clip_each
from harness.training.stacked_dropout import Streams, with_streams
from tasks.catalogue.geometry import NBodySettings
from tasks.nbody import NBody
from tasks.protocol import Protocol
from tasks.task import SupervisedTask
from tests.harness.training.small_problems import EdgeCount, particles_spec

pytestmark = [
    pytest.mark.usefixtures("generated_data"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),  # on the CPU torch batches no attention
]
SEEDS = (3, 0, 7)
CPU = torch.device("cpu")
TINY = {"width": 12, "layers": 1, "widths": [8], "heads": 2, "grid": 3, "weights": "random"}


class Recorder:
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))


def double(hooks: Hooks) -> RunContext:
    return RunContext(dtype=torch.float64, hooks=hooks)


def graphs() -> tuple[SupervisedTask, tuple[str, ...]]:
    return EdgeCount(), ("S_n",)


def particles() -> tuple[SupervisedTask, tuple[str, ...]]:
    return NBody(NBodySettings(train=20, validation=12, test=12, data_seed=0)), ("S_n", "E(3)")


def model(name: str, problem: SupervisedTask, symmetry: tuple[str, ...], seed: int, **sampler: Any) -> Model:
    card = method(name)
    torch.manual_seed(derive(seed, "initialisation"))
    base = card.base.params | {key: value for key, value in TINY.items() if key in card.base.params}
    own = card.sampler.params if card.sampler else {}
    missing = tuple(factor for factor in symmetry if factor not in card.base.respects)
    tiny = {key: value for key, value in TINY.items() if key in own}
    return build(card, problem.signature, missing, base, {**own, **tiny, **sampler}).double()


def protocol(**settings: Any) -> Protocol:
    small = {"epochs": 3, "batch_size": 8, "train_samples": 2, "valid_samples": 3, "clip_norm": 0.1, "warmup_epochs": 1}
    return Protocol(**{**small, **settings})


def alone(
    models: list[Model], problem: SupervisedTask, settings: Protocol, monitor: Monitor = LOSS
) -> tuple[list[FitState | NotFinite], list[Recorder]]:
    hooks = [Recorder() for _ in models]
    ends: list[FitState | NotFinite] = []
    for one, seed, hook in zip(models, SEEDS, hooks, strict=True):
        try:
            ends.append(Fit(one, problem, settings, double(hook), seed=seed, monitor=monitor).run())
        except NotFinite as error:
            ends.append(error)
    return ends, hooks


def stacked(
    models: list[Model], problem: SupervisedTask, settings: Protocol, monitor: Monitor = LOSS
) -> tuple[list[FitState | NotFinite], list[Recorder]]:
    hooks = [Recorder() for _ in models]
    contexts = [double(hook) for hook in hooks]
    return StackedFit(models, problem, settings, contexts, seeds=SEEDS, monitor=monitor).run(), hooks


def assert_same_rows(ours: Recorder, expected: Recorder) -> None:
    assert [step for step, _ in ours.rows] == [step for step, _ in expected.rows]
    for (_, values), (_, others) in zip(ours.rows, expected.rows, strict=True):
        assert values == pytest.approx(others, rel=1e-6)


def assert_same_weights(ours: Model, expected: Model) -> None:
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(
    ("problem", "name", "sampler"),
    [
        (graphs, "gin", {}),
        (graphs, "mlp-ps", {}),  # batch norms on padded graphs, permutations with soft ones behind
        (graphs, "mlp-ps", {"dropout": 0.4, "input_linear": False}),  # dropout on padded graphs
        (graphs, "gin_id-ps", {"fixed_noise": True}),  # a noise of its own in the weights of each seed
        (graphs, "mlp-ga", {}),
        (graphs, "vit-ps", {}),
        (particles, "egnn", {}),
        (particles, "fa_gnn", {}),  # eigenvectors
        (particles, "gnn-ps", {}),  # dropout
        (particles, "transformer-ps", {}),
    ],
)
def test_every_seed_has_the_history_and_the_weights_that_it_has_alone(
    problem: Any, name: str, sampler: dict[str, Any]
) -> None:
    task, symmetry = problem()
    apart, together = ([model(name, task, symmetry, seed, **sampler) for seed in SEEDS] for _ in range(2))
    _, expected = alone(apart, task, protocol())
    _, found = stacked(together, task, protocol())
    for place in range(len(SEEDS)):
        assert_same_rows(found[place], expected[place])
        assert_same_weights(together[place], apart[place])
    assert found[0].rows[-1][1]["train/loss"] != pytest.approx(found[1].rows[-1][1]["train/loss"], rel=1e-3)


@pytest.mark.parametrize("monitor", [LOSS, Monitor("mse", "min"), Monitor("mse", "max")])
def test_patience_ends_each_seed_on_its_own(monitor: Monitor) -> None:
    task, symmetry = graphs()
    settings = protocol(epochs=60, lr=0.05, patience=3, clip_norm=None, optimizer="adamw", weight_decay=0.01)
    apart, together = ([model("gin", task, symmetry, seed) for seed in SEEDS] for _ in range(2))
    ends, expected = alone(apart, task, settings, monitor)
    found_ends, found = stacked(together, task, settings, monitor)
    lasted = [end.epoch for end in ends if isinstance(end, FitState)]
    assert len(set(lasted)) > 1
    assert [end.epoch for end in found_ends if isinstance(end, FitState)] == lasted
    for place in range(len(SEEDS)):
        assert_same_rows(found[place], expected[place])
        assert_same_weights(together[place], apart[place])


def test_a_seed_that_is_not_finite_fails_alone() -> None:
    task, symmetry = graphs()
    apart, together = ([model("mlp-ps", task, symmetry, seed) for seed in SEEDS] for _ in range(2))
    for models in (apart, together):
        with torch.no_grad():
            next(models[1].parameters()).fill_(math.nan)
    ends, expected = alone(apart, task, protocol())
    found_ends, found = stacked(together, task, protocol())
    assert isinstance(ends[1], NotFinite) and isinstance(found_ends[1], NotFinite)
    assert str(found_ends[1]) == str(ends[1])
    assert found[1].rows == []
    for place in (0, 2):
        assert_same_rows(found[place], expected[place])
        assert_same_weights(together[place], apart[place])


@pytest.mark.parametrize("largest", [0.1, 100.0])
def test_gradients_are_clipped_network_by_network(largest: float) -> None:
    gradients = [torch.randn(3, *shape, dtype=torch.float64) for shape in ((4, 5), (), (7,))]
    gradients[1][1] = 50.0
    expected = []
    for place in range(3):
        parameters = [nn.Parameter(torch.zeros_like(gradient[place])) for gradient in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient[place].clone()
        clip_grad_norm_(parameters, largest)
        expected.append([parameter.grad for parameter in parameters])
    clip_each(gradients, largest)
    for place in range(3):
        torch.testing.assert_close([gradient[place] for gradient in gradients], expected[place])


def test_every_network_draws_the_dropout_that_it_draws_alone() -> None:
    networks = [nn.Sequential(nn.Linear(6, 40), nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.2))) for _ in SEEDS]
    x = torch.randn(9, 6)
    expected = []
    for network, seed in zip(networks, SEEDS, strict=True):
        torch.manual_seed(seed)
        expected += [(network(x), network(x))]
    streams = Streams(CPU)
    streams.seed(SEEDS)
    template = with_streams(nn.Sequential(nn.Linear(6, 40), nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.2))), streams)
    parameters, _ = stack_module_state(networks)

    def forward(weights: dict[str, Tensor]) -> Tensor:
        out: Tensor = functional_call(template, weights, (x,))
        return out

    for turn in range(2):
        torch.testing.assert_close(vmap(forward)(parameters), torch.stack([pair[turn] for pair in expected]))
    template.eval()
    torch.testing.assert_close(vmap(forward)(parameters)[0], networks[0].eval()(x))


@pytest.mark.parametrize("name", ["gnn-ps", "transformer-ga"])
def test_a_stack_has_the_outcomes_of_its_runs(name: str) -> None:
    specs = [particles_spec(name, seed, precision="float64", patience=1, validate_every=2) for seed in (0, 1)]
    hooks = [Recorder() for _ in specs]
    results = execute_stack(specs, [RunContext.of(spec, hooks=hook) for spec, hook in zip(specs, hooks, strict=True)])
    for spec, result, hook in zip(specs, results, hooks, strict=True):
        assert isinstance(result, Outcome)
        expected = execute(spec, RunContext.of(spec, hooks=(watcher := Recorder())))
        assert result.metrics == pytest.approx(dict(expected.metrics), rel=1e-6)
        assert [point.value for point in result.curve] == pytest.approx([p.value for p in expected.curve], rel=1e-6)
        assert result.cost.keys() == expected.cost.keys()
        assert result.notes == ("trained in a stack of 2 seeds: train_seconds is this run's share",)
        assert_same_rows(hook, watcher)


def test_what_torch_cannot_stack_is_refused_before_anything_is_logged() -> None:
    """Minimal frames look at their input to know when they are done."""
    specs = [particles_spec("mlp-mfa", seed, epochs=1) for seed in (0, 1)]
    hooks = [Recorder() for _ in specs]
    with pytest.raises(NotStacked, match=r"^vmap"):
        execute_stack(specs, [RunContext.of(spec, hooks=hook) for spec, hook in zip(specs, hooks, strict=True)])
    assert [hook.rows for hook in hooks] == [[], []]


def test_what_fails_midway_takes_the_stack_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run may be to blame: alone the others go on."""
    epoch = StackedFit._epoch

    def fails(fit: StackedFit, number: int, running: list[bool]) -> None:
        if number == 1:
            raise RuntimeError("linalg.eigh: failed to converge")
        epoch(fit, number, running)

    monkeypatch.setattr(StackedFit, "_epoch", fails)
    specs, hooks = [particles_spec("egnn", seed, epochs=3) for seed in (0, 1)], [Recorder(), Recorder()]
    with pytest.raises(NotStacked, match="failed to converge"):
        execute_stack(specs, [RunContext.of(spec, hooks=hook) for spec, hook in zip(specs, hooks, strict=True)])
    assert all(hook.rows for hook in hooks)


def test_a_run_that_fails_in_a_stack_leaves_the_others_alone() -> None:
    specs = [particles_spec("gnn-ga", seed, lr=1e9, epochs=5) for seed in (0, 1)]
    results = execute_stack(specs, [RunContext.of(spec) for spec in specs])
    assert all(isinstance(result, NotFinite) for result in results)
