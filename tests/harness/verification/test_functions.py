"""Tests of any function: what is equivariant passes, what is not fails with the numbers; mistakes are one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

import symbench
from harness.errors import NotEquivariant, SymbenchError
from harness.verification.functions import EquivarianceResult, assert_equivariant, compared, equivariance_error
from tasks.symmetry.names import FAMILIES, SINGLE, space_of

NOISE = torch.Generator().manual_seed(0)
X = torch.randn(3, 5, 3, generator=NOISE, dtype=torch.float64) + 1
H = torch.randn(3, 5, 2, generator=NOISE, dtype=torch.float64)
MASK = torch.arange(5) < torch.tensor([5, 3, 4])[:, None]
PARTICLES = {"node_features": H, "positions": X, "mask": MASK}
FAST = {"samples": (1, 4), "rounds": 12}


def egnn(h: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    """One layer of an EGNN that moves points towards their neighbours."""
    difference = x[:, None] - x[:, :, None]
    weight = (h.sum(-1)[:, :, None] - difference.square().sum(-1)).tanh() * (mask[:, :, None] & mask[:, None])
    return x + (weight[..., None] * difference).sum(2)


def stretched(h: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    return egnn(h, x, mask) * torch.tensor([1.0, 1.0, 1.01], dtype=x.dtype)


def of_size(x: Tensor) -> Tensor:
    return x.square().sum((1, 2))


def noisy(x: Tensor) -> Tensor:
    """Noise whose law is a sphere's."""
    return x + torch.randn_like(x)


def heavy(x: Tensor) -> Tensor:
    """Noise of heavy tails."""
    return x * torch.randn_like(x[..., :1]).exp()


def averaged(x: Tensor) -> Tensor:
    """A function that is not equivariant, at a random rotation of its input."""
    q = torch.linalg.qr(torch.randn(len(x), 3, 3, dtype=x.dtype)).Q
    return (2 * x @ q.mT).sin() @ q


def shared(x: Tensor) -> Tensor:
    """One random number for the whole batch."""
    return x * torch.randn((), dtype=x.dtype)


@pytest.mark.parametrize("group", ["S_n x E(3)", "E(3)", "S_n x SE(3)", "S_n", "D_n"])
def test_an_equivariant_function_is_exact_in_both_precisions(group: str) -> None:
    double = assert_equivariant(egnn, group, PARTICLES, "positions")
    single = assert_equivariant(
        egnn, group, {"node_features": H.float(), "positions": X.float(), "mask": MASK}, "positions"
    )
    assert double.verdict == single.verdict == "exact"
    assert double.errors[0] < 1e-13 < 1e-9 < single.errors[0] < 1e-5
    assert str(double).startswith(f"exactly equivariant under {group}: the error is ")


def test_a_broken_function_is_one_sentence_with_numbers() -> None:
    with pytest.raises(AssertionError) as raised:
        assert_equivariant(stretched, "S_n x E(3)", PARTICLES, "positions")
    sentence = str(raised.value)
    assert isinstance(raised.value, NotEquivariant) and isinstance(raised.value, SymbenchError)
    assert sentence.startswith("stretched is not equivariant under S_n x E(3): the error is ")
    assert "1e-10 is allowed in float64; S_n alone: " in sentence and len(sentence.splitlines()) == 1
    found = equivariance_error(stretched, "S_n x E(3)", PARTICLES, "positions")
    factors = dict(found.factors)
    assert found.verdict == "none" and 1e-3 < found.errors[0] < 0.1
    assert factors["S_n"] < 1e-13 and factors["E(3)"] > 1e-3


def test_reflections_are_tried_even_with_one_input() -> None:
    def cross(x: Tensor) -> Tensor:
        return torch.linalg.cross(x, x.roll(1, 1))

    one = {"positions": X[:1]}
    assert_equivariant(cross, "SO(3)", one, "vectors")
    for seed in range(5):
        assert equivariance_error(cross, "O(3)", one, "vectors", seed=seed).verdict == "none"


@pytest.mark.parametrize("name", [*SINGLE, *(kind.replace("#", "3") for kind in FAMILIES)])
def test_every_group_of_the_registry(name: str) -> None:
    x = torch.randn(4, 6, space_of(name) or 3, generator=NOISE, dtype=torch.float64)
    assert_equivariant(lambda x: x.clone(), name, {"positions": x}, "positions")
    found = equivariance_error(lambda x: x * x[:, :1].exp(), name, {"positions": x}, "positions")
    if name == "trivial":
        assert found.verdict == "exact"
    else:
        assert found.verdict == "none" and found.errors[0] > 1e-3


def test_invariant_outputs_and_forces() -> None:
    """Forces are gradients with respect to inputs, which then require gradients."""

    def forces(x: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(of_size(x).sum(), x)
        return gradient

    assert_equivariant(of_size, "S_n x O(3)", {"positions": X}, "graph_features")
    assert_equivariant(forces, "S_n x O(3)", {"positions": X.clone().requires_grad_()}, "vectors")
    assert equivariance_error(of_size, "E(3)", {"positions": X}, "graph_features").verdict == "none"


def test_one_wrong_input_of_many_is_found() -> None:
    def wrong(x: Tensor) -> Tensor:
        return of_size(x) + 1e-7 * (x[:, 0, 0] > 2.5)

    x = torch.randn(400, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert 0 < (x[:, 0, 0] > 2.5).sum() < 5
    assert equivariance_error(wrong, "O(3)", {"positions": x}, "graph_features").verdict == "none"


@pytest.mark.parametrize(
    ("function", "group", "output"),
    [
        (noisy, "S_n x E(3)", "positions"),
        (heavy, "S_n x O(3)", "vectors"),
        (averaged, "S_n x O(3)", "vectors"),
        (shared, "O(3)", "vectors"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_random_functions_are_equivariant_in_law(function: Any, group: str, output: str, dtype: torch.dtype) -> None:
    found = assert_equivariant(function, group, {"positions": X.to(dtype)}, output, samples=(1, 4, 8))
    assert found.verdict == "in law" and found.samples == (1, 4, 8)
    assert found.slope == pytest.approx(-0.5, abs=0.1)
    assert "in law: the error falls as 1 / sqrt(k) (slope -0." in str(found)
    with pytest.raises(NotEquivariant, match=r"in law: .*, and exact equivariance was asked for"):
        assert_equivariant(function, group, {"positions": X.to(dtype)}, output, exact=True, **FAST)


def test_what_is_wrong_with_a_random_function_is_said() -> None:
    held: list[Tensor] = []

    def of_another_law(x: Tensor) -> Tensor:
        return x + torch.randn_like(x) * torch.tensor([1.0, 1.0, 2.0], dtype=x.dtype)

    def dependent(x: Tensor) -> Tensor:
        if torch.rand(()) < 0.05 or not held or len(held[0]) != len(x):
            held[:] = [torch.randn_like(x)]
        return x + held[0]

    def sentence(function: Callable[[Tensor], Tensor]) -> str:
        found = equivariance_error(function, "O(3)", {"positions": X}, "vectors")
        assert found.verdict == "none"
        return str(found)

    assert "it has a bias (p = 0.00025)" in sentence(lambda x: noisy(x) + 0.02 * x.abs())
    assert "outputs for g x have another law than g times those for x" in sentence(of_another_law)
    assert sentence(dependent).startswith("not equivariant under O(3): ")


def draws_of(kind: str, seed: int) -> list[Tensor]:
    """Means over 1 and 4 of draws of 12 rounds, two numbers for each of 2 inputs."""
    normal = torch.randn(12, 4, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    draws = {"normal": normal, "heavy": normal.exp(), "rare": (normal > 1.5).double()}[kind]
    return [draws, draws.mean(1, keepdim=True)]


def test_of_a_hundred_equivariant_functions_one_fails_at_most() -> None:
    result = EquivarianceResult("O(3)", "float64", (1, 4), ())
    verdicts = [
        compared(result, draws_of(kind, 2 * seed), draws_of(kind, 2 * seed + 1), False, seed).verdict
        for kind in ("normal", "heavy", "rare")
        for seed in range(100)
    ]
    assert verdicts.count("none") <= 3 and set(verdicts) <= {"in law", "none"}


def test_a_bias_of_a_twentieth_of_the_output_is_found() -> None:
    for seed in range(5):
        x = torch.randn(32, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        found = equivariance_error(
            lambda x: noisy(x) + 0.05 * x.abs(), "O(3)", {"positions": x}, "vectors", samples=(1, 16), rounds=12
        )
        assert found.verdict == "none" and found.bias is not None and found.bias < 1e-3


def test_functions_that_take_the_number_of_samples() -> None:
    def mean(x: Tensor, samples: int) -> Tensor:
        return x + torch.randn(samples, *x.shape, dtype=x.dtype).mean(0)

    def wrong(x: Tensor, samples: int) -> Tensor:
        return mean(x, samples) + 0.3 * (samples > 1) * x.abs()

    x = {"positions": X}
    assert assert_equivariant(mean, "E(3)", x, "positions", pass_samples=True, **FAST).verdict == "in law"
    assert equivariance_error(wrong, "O(3)", x, "positions", pass_samples=True, **FAST).verdict == "none"


def test_modules_that_are_symmetrized() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(15, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    x = {"positions": X}
    assert equivariance_error(network, "S_n x O(3)", x, "graph_features").verdict == "none"
    averages = symbench.symmetrize(network, "S_n x O(3)", "ga", inputs=x)
    frames = symbench.symmetrize(network, "O(3)", "fa", inputs=x)
    assert_equivariant(averages, "S_n x O(3)", x, "graph_features", pass_samples=True, **FAST)
    assert assert_equivariant(frames, "O(3)", x, "graph_features", exact=True).verdict == "exact"


def test_batches_of_graphs() -> None:
    index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    graphs = [Data(x=H[0, :3], pos=X[0, :3], edge_index=index), Data(x=H[1, :4], pos=X[1, :4], edge_index=index)]
    batch = Batch.from_data_list(graphs)

    def moved(batch: Batch) -> Tensor:
        source, target = batch.edge_index
        weight = batch.x.sum(-1)[source, None]
        return batch.pos.index_add(0, target, weight * (batch.pos[source] - batch.pos[target]))

    assert symbench.assert_equivariant(moved, "S_n x E(3)", batch, "positions").verdict == "exact"
    with pytest.raises(NotEquivariant, match="not equivariant under S_n x E"):
        assert_equivariant(lambda batch: moved(batch).abs(), "S_n x E(3)", batch, "positions")


def test_nothing_outside_is_changed() -> None:
    """Neither torch's random numbers nor the inputs, even if a function works in place."""

    def in_place(x: Tensor) -> Tensor:
        return x.mul_(2)

    before, copy = torch.get_rng_state(), X.clone()
    first = equivariance_error(noisy, "O(3)", {"positions": X}, "vectors", **FAST)
    assert torch.equal(torch.get_rng_state(), before)
    assert_equivariant(in_place, "O(3)", {"positions": X}, "vectors")
    assert torch.equal(X, copy)
    torch.rand(3)
    assert equivariance_error(noisy, "O(3)", {"positions": X}, "vectors", **FAST) == first


def test_outputs_that_are_not_finite_are_no_symmetry() -> None:
    """Of inputs as given, or only of transformed ones."""
    positive = {"positions": X.abs() + 1}
    assert equivariance_error(lambda x: x / 0, "O(3)", positive, "vectors").errors == (float("inf"),)
    with pytest.raises(NotEquivariant, match=r"sqrt is not equivariant under O\(3\): some outputs are not finite"):
        assert_equivariant(torch.sqrt, "O(3)", positive, "vectors")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"fn": lambda x: 0 * x}, "returns zeros for all inputs, which shows nothing"),
        ({"fn": lambda x: (x, x)}, "returns tuple, not a tensor"),
        ({"fn": lambda x: x[:2]}, "has B = 2, and its inputs have B = 3"),
        ({"output": "graph_features"}, r"should have the shape \[B, C\] or \[B\], not \[3, 5, 3\]"),
        ({"output": "forces"}, "There is no output 'forces'"),
        ({"group": "O(2)"}, r"O\(2\) acts on R\^2"),
        ({"group": "Q(3)"}, "There is no group 'Q"),
        ({"group": "S_n x C_n"}, "both act on nodes"),
        ({"inputs": {"positions": X[:0]}}, "is empty: its axis B has size 0"),
        ({"inputs": {"positions": X.half()}}, "should be float32 or float64, not float16"),
        ({"inputs": {"positions": X.tolist()}}, "should be a tensor, not list"),
        ({"inputs": {"node_features": H}}, r"O\(3\) acts on points and vectors, and there are none"),
        ({"samples": (4,)}, "at least two different whole numbers from 1 to 1,000"),
        ({"samples": (1, 2.5)}, "at least two different whole numbers"),
        ({"rounds": 3}, "at least 12, not 3"),
    ],
)
def test_mistakes_are_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    arguments = {"fn": lambda x: x, "group": "O(3)", "inputs": {"positions": X}, "output": "vectors"} | changes
    with pytest.raises(SymbenchError, match=sentence) as raised:
        equivariance_error(**arguments)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("slope", "error", "bias", "law", "verdict"),
    [
        (-0.5, 0.02, 0.5, 0.5, "in law"),
        (-0.45, 0.02, 0.5, 0.5, "in law"),
        (-0.7, 0.02, 0.5, 0.5, "in law"),
        (-0.3, 0.02, 0.5, 0.5, "none"),
        (-0.5, 0.3, 0.5, 0.5, "none"),
        (-0.5, 0.02, 1e-4, 0.5, "none"),
        (-0.5, 0.02, 0.5, 1e-4, "none"),
    ],
)
def test_what_the_numbers_of_a_random_function_say(
    slope: float, error: float, bias: float, law: float, verdict: str
) -> None:
    found = EquivarianceResult("O(3)", "float64", (1, 4), (1.0, 0.5), (), slope, error, bias, law)
    assert found.verdict == verdict and str(found).startswith("not ") == (verdict == "none")
