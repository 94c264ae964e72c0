"""The paper's variances, entropies and gradients: what they are, and that measuring them changes no run."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.build import build
from baselines.model import Model
from baselines.symmetrized import Symmetrized
from harness.registry import method, resolve
from harness.spec import Resources, RunSpec
from harness.training import probabilistic
from harness.training.analysis import entropy_of_mean_permutation, mean_gradient_norm
from harness.training.checkpoint import Checkpoint
from harness.training.context import RunContext
from harness.training.distributed import ProcessGroup
from harness.training.execute import execute, execute_stack, problem_of
from harness.training.fit import Fit
from harness.training.output_variance import repeated, variance_point, variance_points
from harness.training.probabilistic import ProbabilisticKind
from harness.training.results import NotStacked
from harness.training.seeds import generator
from tasks.protocol import Protocol
from tasks.task import MOST_EXAMPLES, Dataset, Probabilistic
from tests.harness.training.small_problems import EdgeCount, particles_spec
from tests.harness.training.witness import Pass, Witness, count, numbers

pytestmark = pytest.mark.usefixtures("generated_data")
CPU = torch.device("cpu")
TINY = {"width": 8, "layers": 2, "widths": [8]}
COUNTS = (1, 3, 12)


class Counted(EdgeCount, Probabilistic):
    def outputs(self, predictions: Tensor) -> Tensor:
        return predictions[..., 0]

    def losses(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets).square()[..., 0]


class Recorder:
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))


def noise() -> torch.Generator:
    return generator(CPU, 0, "test")


def network(name: str, **sampler: Any) -> Model:
    card = method(name)
    torch.manual_seed(5)
    own = card.sampler.params if card.sampler else {}
    tiny = [{**params, **{key: TINY[key] for key in TINY if key in params}} for params in (card.base.params, own)]
    symmetry = () if "S_n" in card.base.respects else ("S_n",)
    return build(card, Counted().signature, symmetry, tiny[0], {**tiny[1], **sampler} if own else {}).double()


def part(size: int = 20) -> Dataset:
    return Counted().data("validation").first(size).to(CPU, torch.float64)


def test_repeats_are_means_of_disjoint_draws() -> None:
    """Of the draws of a repeat the first k are taken, in chunks as at once; every repeat has draws of its own."""
    model, x = network("mlp-ps").eval(), part().inputs[:4]
    stream = noise()
    draws = [model.draws(x, max(COUNTS), stream) for _ in range(3)]
    expected = torch.stack([torch.stack([one[:, :k].mean(1) for k in COUNTS]) for one in draws]).detach()
    for chunk in (None, 5):
        found = torch.stack(list(repeated(model, x, COUNTS, 3, noise(), chunk)))
        torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)
    assert (expected.std(0) > 0).any(-2).all()  # repeats differ at every k


def test_a_repeat_is_the_model_s_own_prediction() -> None:
    model, x = network("mlp-ga").eval(), part().inputs[:4]
    (found,) = repeated(model, x, (7,), 1, noise(), None)
    torch.testing.assert_close(found[0], model(x, 7, noise()).value.detach(), atol=1e-13, rtol=0)


def test_the_published_variance_is_the_square_of_a_mean_deviation() -> None:
    """Deviations of two examples over two repeats are sqrt(2) and sqrt(8): their mean is squared, not their squares
    averaged."""
    outputs, losses = torch.tensor([[0.0, 0.0], [2.0, 4.0]]), torch.tensor([[1.0, 1.0], [1.0, 5.0]])
    point = variance_point("trained", 3, outputs, losses)
    assert (point.stage, point.samples, point.repeats) == ("trained", 3, 2)
    assert point.output_variance == pytest.approx(((2**0.5 + 8**0.5) / 2) ** 2)
    assert point.loss_variance == pytest.approx((8**0.5 / 2) ** 2)
    assert point.loss_mean == pytest.approx(2.0)


def test_variance_falls_as_one_over_k() -> None:
    protocol = Protocol(batch_size=8, variance_samples=(1, 4, 16), variance_repeats=400)
    points = variance_points("initialised", network("mlp-ga"), Counted(), part(), protocol, noise())
    assert [(point.stage, point.samples, point.repeats) for point in points] == [
        ("initialised", k, 400) for k in (1, 4, 16)
    ]
    for point in points:
        assert point.output_variance * point.samples == pytest.approx(points[0].output_variance, rel=0.1)
        assert point.loss_variance > 0


@pytest.mark.parametrize("name", ["gin", "mlp-none"])
def test_what_does_not_depend_on_chance_does_not_vary(name: str) -> None:
    model, data, task = network(name), part(), Counted()
    protocol = Protocol(variance_samples=(1, 5), variance_repeats=3)
    loss = task.loss(model.eval()(data.inputs, 1).value, data.targets[:]).item()
    for point in variance_points("trained", model, task, data, protocol, noise()):
        assert (point.output_variance, point.loss_variance, point.repeats) == (0, 0, 1)
        assert point.loss_mean == pytest.approx(loss, rel=1e-12)


def test_entropy_is_of_the_mean_matrix_of_each_graph() -> None:
    """Against the definition, graph by graph; chunks and batches of other sizes draw and say the same."""
    model, data = network("mlp-ps").eval(), part(6)
    assert isinstance(model, Symmetrized)
    expected = []
    with torch.no_grad():
        images = model.sampler(data.inputs, model.noise(data.inputs, 100, noise())).element.images  # type: ignore[attr-defined]
    for nodes, own in zip(data.inputs.mask.sum(1).tolist(), images, strict=True):
        matrix = torch.zeros(nodes, nodes, dtype=torch.float64)
        for image in own:
            matrix[torch.arange(nodes), image[:nodes]] += 0.01
        rows, columns = (torch.special.entr(lines / lines.sum(1, keepdim=True)).sum(1) for lines in (matrix, matrix.T))
        expected.append((rows + columns).mean().item())
    found = entropy_of_mean_permutation(model, data.inputs, 6, noise())
    assert found == pytest.approx(sum(expected) / 6, abs=1e-6)  # matrices are counted in single precision
    assert entropy_of_mean_permutation(model, data.inputs, 6, noise(), chunk=7) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("name", ["gin", "mlp-none", "mlp-canonical"])
def test_entropy_is_of_methods_that_sample_permutations(name: str) -> None:
    assert entropy_of_mean_permutation(network(name), part().inputs, 10, noise()) is None


@pytest.mark.parametrize("name", ["mlp-ps", "mlp-ga", "gin"])
def test_the_mean_gradient_is_the_mean_of_examples_gradients(name: str) -> None:
    """In training mode one example at a time, base network only; the model is left as it was."""
    model, data, task = network(name).eval(), part(5), Counted()
    before, chance = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    norms = [mean_gradient_norm(model, task, data, 4, 0, chunk) for chunk in (None, 3)]
    assert torch.equal(chance, torch.get_rng_state()) and not model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    model.train()
    base: nn.Module = model.base if isinstance(model, Symmetrized) else model
    stream = generator(CPU, 0, "gradient")
    for place in range(5):
        x, targets = data[place : place + 1]
        (task.loss(model(x, 4, stream).value, targets) / 5).backward()
    squares = sum(parameter.grad.square().sum().item() for parameter in base.parameters() if parameter.grad is not None)
    assert norms == pytest.approx([math.sqrt(squares)] * 2, rel=1e-10)


def test_the_mean_gradient_is_measured_in_full_precision() -> None:
    """As all that is measured, also of a network that is trained in bfloat16."""
    data = Counted().data("validation").first(5)
    norms = []
    for mixed in (False, True):
        model = network("mlp-ga").float()
        model.mixed_precision = mixed
        norms.append(mean_gradient_norm(model, Counted(), data, 2, 0))
    assert norms[0] == norms[1] > 0


def trained(hooks: Recorder, path: Path | None = None, model: Model | None = None, **settings: Any) -> Model:
    model = model or network("mlp-ps", dropout=0.1).float()
    protocol = Protocol(epochs=4, batch_size=16, train_samples=2, valid_samples=2, **settings)
    context = RunContext(hooks=hooks, checkpoint=Checkpoint(path, "d", 0.0) if path else None)
    Fit(model, Counted(), protocol, context, seed=3).run()
    return model


def test_measuring_by_epoch_changes_no_weight(tmp_path: Path) -> None:
    """Bit for bit, with batch norms and dropout in q; a resumed run tells what the uninterrupted one tells."""
    plain, measured, again = Recorder(), Recorder(), Recorder()
    expected = trained(plain).state_dict()
    path, epochs = tmp_path / "state.pt", (0, 1, 4, 9)
    weights = trained(measured, path, analysis_epochs=epochs).state_dict()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    names = ("train/gradient_norm", "validation/permutation_entropy")
    found = [(step, {name: values[name] for name in names}) for step, values in measured.rows if names[0] in values]
    assert [step for step, _ in found] == [-1, 0, 3]  # an epoch's row has the number before it
    assert all(value > 0 for _, values in found for value in values.values())
    rest = [{key: value for key, value in values.items() if key not in names} for _, values in measured.rows[1:]]
    assert rest == [values for _, values in plain.rows]
    trained(again, path, model=network("mlp-ps").float(), analysis_epochs=epochs)
    assert again.rows == measured.rows


def small_spec(name: str = "mlp-ps", task: str = "exp_classify", **settings: Any) -> RunSpec:
    small = {
        "epochs": 2,
        "train_size": 20,
        "valid_size": 6,
        "test_size": 6,
        "curve_samples": [1],
        "curve_size": 4,
        "batch_size": 10,
        "train_samples": 1,
        "valid_samples": 1,
        "test_samples": 1,
        "validate_every": 1,
        "variance_samples": [1, 4],
        "variance_repeats": 5,
    }
    chosen = {"task_params": {"data": "generated"}, "base": {"widths": [8]}} if task == "exp_classify" else {}
    return resolve(task, name, "quick", 0, settings={**small, **settings}, **chosen)


def run(spec: RunSpec, **resources: Any) -> Any:
    return execute(spec, RunContext.of(spec, Resources(**resources)))


def test_a_run_tells_both_stages_and_scores_as_without() -> None:
    spec = small_spec(precision="float64")
    outcome = run(spec)
    assert [(point.stage, point.samples) for point in outcome.output_variance] == [
        ("initialised", 1),
        ("initialised", 4),
        ("trained", 1),
        ("trained", 4),
    ]
    entropies = {"permutation_entropy_initialised", "permutation_entropy_trained"}
    assert entropies <= outcome.metrics.keys()
    without = run(replace(spec, settings=replace(spec.settings, variance_samples=())))
    assert without.output_variance == ()
    assert {name: value for name, value in outcome.metrics.items() if name not in entropies} == without.metrics
    (stacked,) = execute_stack([spec], [RunContext.of(spec)])
    assert not isinstance(stacked, Exception)
    for ours, theirs in zip(stacked.output_variance, outcome.output_variance, strict=True):
        assert ours.output_variance == pytest.approx(theirs.output_variance, rel=1e-6)


def test_both_stages_see_the_same_examples_by_the_same_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the validation set, every repeat with draws of its own: what differs is what training did."""
    seen: list[Pass] = []
    task = Counted()
    monkeypatch.setattr(probabilistic, "initialised", lambda spec, problem: Witness(problem.signature, seen))
    spec = small_spec(variance_repeats=2, valid_size=15)
    ProbabilisticKind().variance(spec, task, Witness(task.signature, seen), 1, RunContext.of(spec))
    stages = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    for ours, theirs in zip(*stages, strict=True):
        assert ours.keys == theirs.keys and torch.equal(ours.noise, theirs.noise)
    assert {key - MOST_EXAMPLES for one in seen for key in one.keys} == set(range(15))
    assert len(numbers(stages[0])) == count(stages[0]) == 15 * 2 * 4


def test_without_training_there_are_the_initial_weights_alone() -> None:
    outcome = run(small_spec(epochs=0), chunk=3)
    assert [(point.stage, point.samples) for point in outcome.output_variance] == [
        ("initialised", 1),
        ("initialised", 4),
    ]
    trained_too = run(small_spec()).output_variance[:2]
    for ours, theirs in zip(outcome.output_variance, trained_too, strict=True):
        assert ours.loss_mean == pytest.approx(theirs.loss_mean, rel=1e-6)
    assert "permutation_entropy_trained" not in outcome.metrics


def test_what_cannot_be_measured_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match="nbody does not define its output for an example: leave variance_samples"):
        run(particles_spec("egnn", variance_samples=[1]))
    with pytest.raises(ValueError, match="graph8c has no training whose gradient could be measured"):
        run(resolve("graph8c", "gin", "quick", 0, settings={"analysis_epochs": [1]}))
    spec = small_spec(analysis_epochs=[1])
    with pytest.raises(ValueError, match=r"Several workers .* set resources\.workers to 1"):
        execute(spec, RunContext(processes=ProcessGroup(0, 2)))
    with pytest.raises(NotStacked, match="one network at a time"):
        execute_stack([spec], [RunContext()])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"variance_samples": (1, 0)}, r"variance_samples must be a list of different numbers .* 1, not \[1, 0\]"),
        ({"variance_samples": (5, 5)}, r"variance_samples must be a list of different numbers .* 1, not \[5, 5\]"),
        ({"analysis_epochs": (-1,)}, r"analysis_epochs must be a list of different numbers .* 0, not \[-1\]"),
        ({"variance_repeats": 1}, "variance_repeats must be at least 2"),
    ],
)
def test_settings_that_do_not_work(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Protocol(**settings)


def test_every_task_that_offers_it_has_losses_whose_mean_is_its_loss() -> None:
    task = problem_of(small_spec())
    assert isinstance(task, Probabilistic)
    predictions, targets = torch.randn(3, 20, 1), task.data("train")[:20][1]
    expected = torch.stack([task.loss(each, targets) for each in predictions])
    torch.testing.assert_close(task.losses(predictions, targets).mean(-1), expected)
    assert ((task.outputs(predictions) > 0.5) == (predictions[..., 0] > 0)).all()
