"""Tests of the equivariance of any function of tensors, deterministic or random."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from baselines.module_inputs import inputs_like
from harness.errors import NotEquivariant, SettingsError
from harness.training.results import NotFinite
from harness.training.seeds import derive, generator
from harness.verification.pairs import Function, Pairs, name_of
from harness.verification.statistics import SIGNIFICANCE, one_law, resampled_slopes, sign_flips, slope
from tasks.symmetry.structure import Structure

Verdict = Literal["exact", "in law", "none"]

TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
SAMPLES = (1, 4, 16, 64)
ROUNDS, FEWEST_ROUNDS = 16, 12
MOST_SAMPLES = 1_000
PAIRS = 32  # of an input and a group element: so many that a reflection is among them
ENTRIES = 1024  # of the outputs of a random function that are compared, of all inputs together
MEANS = 8  # over k samples in a round, at most, of a function that takes them itself: each is a call
CALLS = 8  # with the same inputs, which show whether a function is random
PARTS = 8  # of the draws of a round, in the test for a bias: more have no more power and take longer
STANDARD_ERRORS = 4.0  # with 3, a hundredth of equivariant functions would be found not to be
DITHER = 10  # times the tolerance: noise that hides rounding from the test of the law
CPU = torch.device("cpu")


@dataclass(frozen=True)
class EquivarianceResult:
    """How equivariant a function f is: the error |f(g x) - g f(x)| in units of the size of the output.

    ``str`` gives one sentence.

    Attributes:
        group: The symmetry that was tested.
        precision: ``float32`` or ``float64``, that of the inputs.
        samples: The numbers k of averaged calls: ``(1,)`` if the function is deterministic.
        errors: The error for each k. That of a deterministic function is the largest over inputs, that of a random
            function the root mean square over rounds; infinite if outputs are not finite.
        factors: Each factor of a direct product with the error under it alone, if a deterministic function is not
            equivariant.
        slope: The slope of log error against log k; -0.5 is expected. This and the next three are None for a
            deterministic function.
        slope_error: Its standard error.
        bias: The p-value of a test for a bias: that the mean of f(g x) is not that of g f(x).
        law: The p-value of a test for outputs f(g x) with another distribution than g f(x).
    """

    group: str
    precision: str
    samples: tuple[int, ...]
    errors: tuple[float, ...]
    factors: tuple[tuple[str, float], ...] = ()
    slope: float | None = None
    slope_error: float | None = None
    bias: float | None = None
    law: float | None = None

    @property
    def tolerance(self) -> float:
        """The largest error that counts as exact: 1e-4 in float32, 1e-10 in float64."""
        return TOLERANCES[self.precision]

    @property
    def verdict(self) -> Verdict:
        """``exact``, ``in law`` (a random function whose outputs have the right distribution) or ``none``."""
        if self.slope is None:
            return "exact" if self.errors[0] <= self.tolerance else "none"
        return "none" if self.faults else "in law"

    @property
    def faults(self) -> tuple[str, ...]:
        """What a random function does that an equivariant one would not do, as clauses."""
        if self.slope is None or self.slope_error is None or self.bias is None or self.law is None:
            return ()
        found = []
        if self.bias < SIGNIFICANCE:
            found.append(f"it has a bias (p = {self.bias:.2g})")
        if self.law < SIGNIFICANCE:
            found.append(f"outputs for g x have another law than g times those for x (p = {self.law:.2g})")
        # A slope that is too steep is no fault: draws may balance each other.
        if not found and not self.slope + 0.5 <= STANDARD_ERRORS * self.slope_error < -self.slope:
            found.append(f"the error does not fall as 1 / sqrt(k) (slope {self.slope:.2f} +- {self.slope_error:.2f})")
        return tuple(found)

    def __str__(self) -> str:
        if math.isinf(self.errors[-1]):
            return f"not equivariant under {self.group}: some outputs are not finite"
        if self.verdict == "in law":
            return (
                f"equivariant under {self.group} in law: the error falls as 1 / sqrt(k) (slope {self.slope:.2f} +- "
                f"{self.slope_error:.2f}), without a bias (p = {self.bias:.2g}) and with one law (p = {self.law:.2g})"
            )
        size = f"the error is {self.errors[-1]:.1e} of the output's size"
        if self.faults:
            return (
                f"not equivariant under {self.group}: {' and '.join(self.faults)}; {size} for means over "
                f"{self.samples[-1]} calls"
            )
        exactly = "exactly equivariant" if self.verdict == "exact" else "not equivariant"
        alone = "".join(f"; {name} alone: {error:.1e}" for name, error in self.factors)
        return f"{exactly} under {self.group}: {size} ({self.tolerance:.0e} is allowed in {self.precision}{alone})"


def equivariance_error(
    fn: Callable[..., Any],
    group: str,
    inputs: Any,
    output: str = "graph_features",
    *,
    samples: Sequence[int] = SAMPLES,
    rounds: int = ROUNDS,
    seed: int = 0,
    pass_samples: bool = False,
) -> EquivarianceResult:
    """Measures how equivariant any function of tensors is.

    Each input is transformed by random elements of the group: permutations, rotations and reflections are uniform, and
    translations have the size of the input. A function whose outputs differ between calls is random: it is called
    often, and means over k calls are compared; of a hundred such functions that are equivariant, one at most is found
    not to be. The random numbers of torch are seeded inside and restored afterwards.

    Args:
        fn: A function or module. It takes tensors in the order of ``inputs``, in batches of any size, and returns one.
            Modules are tested in the mode that they are in; dropout, for example, is random only in training mode.
        group: A symmetry, such as ``"O(3)"`` or ``"S_n x E(3)"``.
        inputs: B examples, tensors by role: ``node_features`` ``[B, N, C]``, ``positions`` and ``vectors``
            ``[B, N, D]``, ``adjacency`` ``[B, N, N]``, ``edge_features`` ``[B, N, N, E]``, ``mask`` ``[B, N]`` (bool);
            float32, or float64 for a sharper test. Or a ``Batch`` of PyG (:mod:`tasks.graph_batches`).
        output: The role of the output, one of these or ``graph_features`` ``[B, C]``, which no group changes.
        samples: The numbers k, at least two.
        rounds: Independent repetitions, at least 12, each of which calls a random function 2 * max(``samples``) times.
        seed: Chooses the group elements and the random numbers of the function.
        pass_samples: Whether to call ``fn(..., samples=k)`` instead of averaging k calls.

    Returns:
        Errors, statistics and the verdict.

    Raises:
        UnknownName: There is no such group.
        SettingsError: There is no such role, shapes do not go together, or all outputs are zero.

    Example:
        >>> x = torch.randn(4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> equivariance_error(lambda x: x - x.mean(1, keepdim=True), "O(3)", {"positions": x}, "vectors").verdict
        'exact'
        >>> equivariance_error(lambda x: x.abs(), "O(3)", {"positions": x}, "vectors").verdict
        'none'
    """
    counts = _checked(samples, rounds)
    form, example = inputs_like(inputs)
    x = Structure(*(getattr(example, field.name).detach() for field in fields(Structure)))
    differentiates = isinstance(inputs, Mapping) and any(values.requires_grad for values in inputs.values())
    function = Function(fn, form, output, differentiates, pass_samples=pass_samples)
    with _seeded(x.mask.device, seed):
        return _measured(function, group, x, counts, rounds, seed)


def _measured(
    function: Function, group: str, x: Structure, counts: Sequence[int], rounds: int, seed: int
) -> EquivarianceResult:
    precision = _precision(x.node_scalars.dtype)
    pairs = Pairs.draw(function, group, x.repeated(math.ceil(PAIRS / len(x))), seed)
    try:
        function(x)  # errors of shapes then are about the batch that was given
        pairs = replace(pairs, function=function.without_gradients(x))
        if pairs.differ(CALLS, TOLERANCES[precision]):
            return _random(pairs, precision, counts, rounds, seed)
        return _deterministic(pairs, precision, seed)
    except NotFinite:
        return EquivarianceResult(pairs.group, precision, (1,), (math.inf,))


def assert_equivariant(
    fn: Callable[..., Any],
    group: str,
    inputs: Any,
    output: str = "graph_features",
    *,
    exact: bool = False,
    **options: Any,
) -> EquivarianceResult:
    """Raises an error if a function of tensors is not equivariant, for tests.

    Args:
        fn: As in :func:`equivariance_error`.
        group: As in :func:`equivariance_error`.
        inputs: As in :func:`equivariance_error`.
        output: As in :func:`equivariance_error`.
        exact: Whether a random function fails even if it is equivariant in law.
        options: ``samples``, ``rounds``, ``seed`` and ``pass_samples`` of :func:`equivariance_error`.

    Returns:
        The measured errors.

    Raises:
        NotEquivariant: The function is not equivariant, an ``AssertionError`` with one sentence.
        SettingsError: As in :func:`equivariance_error`.

    Example:
        >>> x = torch.randn(4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> found = assert_equivariant(lambda x: x.norm(dim=(1, 2)), "S_n x O(3)", {"positions": x}, "graph_features")
        >>> found.errors[0] < 1e-10
        True
    """
    found = equivariance_error(fn, group, inputs, output, **options)
    if found.verdict == "none" or (exact and found.verdict != "exact"):
        but = ", and exact equivariance was asked for" if found.verdict == "in law" else ""
        raise NotEquivariant(f"{name_of(fn)} is {found}{but}.")
    return found


def _checked(samples: Sequence[int], rounds: int) -> tuple[int, ...]:
    counts = tuple(sorted(set(samples)))
    if len(counts) < 2 or not all(isinstance(count, int) and 1 <= count <= MOST_SAMPLES for count in counts):
        raise SettingsError(
            f"'samples' should be at least two different whole numbers from 1 to {MOST_SAMPLES:,}, such as 1, 4, 16, "
            f"64, not {', '.join(map(str, samples))}."
        )
    if not isinstance(rounds, int) or rounds < FEWEST_ROUNDS:
        raise SettingsError(f"'rounds' should be a whole number, at least {FEWEST_ROUNDS}, not {rounds}.")
    return counts


def _precision(dtype: torch.dtype) -> str:
    name = str(dtype).removeprefix("torch.")
    if name not in TOLERANCES:
        raise SettingsError(f"The inputs should be float32 or float64, not {name}.")
    return name


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(derive(seed, "calls"))
        yield


def _deterministic(pairs: Pairs, precision: str, seed: int) -> EquivarianceResult:
    found = EquivarianceResult(pairs.group, precision, (1,), (_largest_error(pairs),))
    factors = pairs.group.split(" x ")
    if found.verdict == "exact" or len(factors) == 1:
        return found
    alone = [_largest_error(Pairs.draw(pairs.function, factor, pairs.x, seed)) for factor in factors]
    return replace(found, factors=tuple(zip(factors, alone, strict=True)))


def _largest_error(pairs: Pairs) -> float:
    here, there = pairs.here(), pairs.there()
    size = pairs.size_of(torch.stack([here, there]))
    # Relative to its own size for an input with a larger output than the others: its rounding errors are larger too.
    return float(((there - here).norm(dim=-1) / here.norm(dim=-1).clamp_min(size)).max())


def _random(pairs: Pairs, precision: str, counts: Sequence[int], rounds: int, seed: int) -> EquivarianceResult:
    width = pairs.here().shape[-1]
    entries = torch.randperm(width, generator=generator(CPU, seed, "entries"))[: max(1, ENTRIES // len(pairs.x))]
    here, there = (_means(pairs, side, counts, rounds, entries) for side in (pairs.here, pairs.there))
    whole = EquivarianceResult(pairs.group, precision, tuple(counts), ())
    return compared(whole, here, there, pairs.function.pass_samples, seed)


def compared(
    result: EquivarianceResult, here: Sequence[Tensor], there: Sequence[Tensor], apart: bool, seed: int
) -> EquivarianceResult:
    """The ``result`` with errors and statistics.

    Args:
        result: With the numbers k.
        here: For each k means of g f(x), ``[rounds, means, B, M]``, float64.
        there: Means of f(g x), as ``here``.
        apart: Whether the means for different k are of different draws. Otherwise those for the smallest k have all.
        seed: Chooses random numbers.
    """
    counts, tolerance, noise = result.samples, result.tolerance, generator(CPU, seed, "statistics")
    size = torch.cat([here[0], there[0]]).flatten(2).square().sum(-1).mean().sqrt()
    differences = [(second - first).flatten(2) / size for first, second in zip(here, there, strict=True)]
    errors = torch.stack([one.square().sum(-1).mean(1).sqrt() for one in differences])  # [len(counts), rounds]
    independent = differences if apart else differences[:1]
    rows = [part.mean(1) for one in independent for part in one.tensor_split(min(PARTS, one.shape[1]), 1)]
    differs = torch.cat(rows).mean(0).norm() > tolerance  # by more than rounding
    first, second = (side[0].flatten(0, 1).movedim(1, 0) / size for side in (here, there))  # [B, draws, M]
    hidden = DITHER * tolerance * torch.randn(2, *first.shape, generator=noise, dtype=first.dtype)
    return replace(
        result,
        errors=tuple(errors.square().mean(1).sqrt().tolist()),
        slope=slope(counts, errors).item(),
        slope_error=resampled_slopes(counts, errors).std().item(),
        bias=sign_flips(torch.cat(rows)) if differs else 1.0,
        law=one_law(first + hidden[0], second + hidden[1], noise).p_value,
    )


def _means(
    pairs: Pairs, side: Callable[[int], Tensor], counts: Sequence[int], rounds: int, entries: Tensor
) -> list[Tensor]:
    """For each k of ``counts`` means over k draws, ``[rounds, means, B, M]``.

    They are means of the same draws for all k, unless the function takes means itself. So there are as many means over
    few draws as there can be, and their error is known well even if draws have heavy tails.
    """

    def drawn(samples: int, calls: int) -> Tensor:
        values = [side(samples)[:, entries].cpu() for _ in range(rounds * calls)]
        return torch.stack(values).unflatten(0, (rounds, calls))

    if pairs.function.pass_samples:
        return [drawn(count, min(MEANS, counts[-1] // count)) for count in counts]
    single = drawn(1, counts[-1])
    whole = [single[:, : counts[-1] // count * count] for count in counts]
    return [draws.unflatten(1, (-1, count)).mean(2) for count, draws in zip(counts, whole, strict=True)]
