"""The checks of ``symbench check``: whether a method is as symmetric as it claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import ValidationError

from baselines.build import build, load
from baselines.cards import MethodCard
from baselines.model import Model
from baselines.samplers.sampler import Sampler
from baselines.symmetrized import Symmetrized
from harness import registry
from harness.errors import DoesNotFit, SettingsError
from harness.spec import RunSpec
from harness.suites.model import point
from harness.suites.source import parsed
from harness.trained.loading import load as load_trained
from harness.training.kinds import kind_of
from harness.training.results import NotFinite
from harness.training.seeds import derive, generator
from harness.verification.equivariance import Equivariance, equivariance, law
from harness.verification.statistics import SIGNIFICANCE, Law
from harness.verification.universality import FALL, FITTED, WIDTHS, Universality, universality
from tasks.cards import TaskCard
from tasks.symmetry.element import Element, Product
from tasks.symmetry.groups import Group, ProductGroup, factors, group
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Task

Claim = Literal["exact", "in law", "nothing", "nothing for one seed"]

NO_CLAIM: dict[Claim, str] = {
    "nothing": "without a guarantee",
    "nothing for one seed": "of fixed noise, which is random only over seeds",
}

PROTOCOL = "quick"
EXAMPLES = 12
ROUNDS = 16
DRAWS = 500
CPU = torch.device("cpu")
MOST_SAMPLES = 10_000
UNUSABLE = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)  # caused by settings
SECTIONS = ("task_params", "base", "sampler", "settings")


@dataclass(frozen=True)
class Verdict:
    """The result of a check: whether it agrees with the claim of the method, and one sentence."""

    check: str
    passed: bool
    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)


class Subject(NamedTuple):
    """A method built for a task, with random or trained weights in float64 and evaluation mode, and inputs."""

    task: TaskCard
    method: MethodCard
    spec: RunSpec
    signature: Signature
    model: Model
    inputs: Structure

    @property
    def group(self) -> tuple[str, ...]:
        """The factors of the task's group."""
        return self.task.group_of(self.spec.task_params)

    @property
    def claim(self) -> Claim:
        """The symmetry that the method claims: that of its card, which a random prediction can have in law only."""
        guarantee = self.method.guarantee
        if guarantee.startswith("none"):
            return "nothing"
        if not self.model.deterministic:
            return "in law"
        return "nothing for one seed" if guarantee.startswith("in expectation") else "exact"


def subject(method_name: str, task_name: str, overrides: Sequence[str] = ()) -> Subject:
    """Builds a method for a task with the protocol ``quick`` and overrides such as ``base.width=8``.

    Raises:
        UnknownName: A name is unknown.
        DoesNotFit: The method does not fit the task.
        SettingsError: The settings do not work.
        MissingExtra: The extra of the task or the method is not installed.
    """
    card, problem_card = registry.method(method_name), registry.task(task_name)
    spec = _resolved(card, problem_card, overrides)
    if reason := card.misfit(problem_card, spec.task_params):
        raise DoesNotFit(f"{card.name} does not fit {problem_card.name}: {reason}.")
    registry.check_implementations([spec])
    registry.check_extras([spec])
    with _sentences(f"{card.name} on {problem_card.name} cannot be built with these settings"):
        problem = load(problem_card.implementation)(problem_card.settings_from(spec.task_params))
        torch.manual_seed(derive(spec.seed, "initialisation"))
        symmetry = card.symmetrized_group(problem_card, spec.task_params)
        hidden = card.hidden(problem_card)
        model = build(card, problem.signature, symmetry, spec.base, spec.sampler, hidden).double().eval()
    return Subject(problem_card, card, spec, problem.signature, model, _examples(problem))


def trained(digest: str, store: str | Path) -> Subject:
    """The trained model of a run that kept its weights, in float64, and inputs of its test set.

    Args:
        digest: The digest of the run, or its first digits.
        store: The store: a folder or an address.

    Raises:
        UnknownName: The store has no such run, or several.
        StoreError: The run failed or has no weights, or the store cannot be read.
        PluginError: The task, the method or the plug-in has changed since the run.
    """
    found = load_trained(digest, store)
    card, problem = registry.method(found.spec.method), found.problem
    return Subject(found.task, card, found.spec, problem.signature, found.module.double(), _examples(problem))


def _examples(problem: Task) -> Structure:
    """A few inputs, in float64."""
    whole = kind_of(problem).inputs(problem)
    spread = torch.linspace(0, len(whole) - 1, min(EXAMPLES, len(whole))).long()
    return whole[spread].to(CPU, torch.float64)


@contextmanager
def _sentences(what: str) -> Iterator[None]:
    """Turns errors inside into a :class:`SettingsError` that begins with ``what``."""
    try:
        yield
    except UNUSABLE as error:
        why = " ".join(str(error).split()) or type(error).__name__
        found = f"there is no {why}" if isinstance(error, KeyError) else why
        raise SettingsError(f"{what}: {found}.") from error


def _resolved(card: MethodCard, problem: TaskCard, overrides: Sequence[str]) -> RunSpec:
    # A check needs few examples; generating the published number of them would take longer than the check.
    few = {name: EXAMPLES for name in ("train", "validation", "test") if name in problem.params}
    chosen: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS} | {"task_params": few}
    protocol = PROTOCOL if PROTOCOL in problem.protocols else next(iter(problem.protocols))
    for override in overrides:
        name, value = parsed(override)
        section, _, key = name.partition(".")
        if name == "protocol":
            protocol = str(value)
        elif section in SECTIONS and key:
            chosen[section] |= _checked(section, key, value, override)
        else:
            known = "protocol, task_params.NAME, base.NAME, sampler.NAME and settings.NAME"
            raise SettingsError(f"--set {override}: a check takes {known}.")
    return registry.resolve(problem.name, card.name, protocol, 0, **chosen)


def _checked(section: str, key: str, value: Any, override: str) -> dict[str, Any]:
    try:
        return dict(getattr(point(f"{section}.{key}", value), section))
    except ValidationError as error:
        raise SettingsError(f"--set {override}: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from error


def check(found: Subject, samples: Sequence[int], widening: bool = False) -> list[Verdict]:
    """Runs the checks that apply to a method.

    Args:
        found: The method and inputs.
        samples: The numbers of group samples to compare.
        widening: Whether to run the universality check.

    Raises:
        SettingsError: ``samples`` are invalid, or the method does not run with its settings.
    """
    if len(set(samples)) < 2 or min(samples) < 1:
        raise SettingsError("--samples takes at least two different positive numbers, such as 1,4,16,64.")
    if max(samples) > MOST_SAMPLES:
        raise SettingsError(f"--samples takes numbers up to {MOST_SAMPLES:,}: {max(samples):,} would take too long.")
    with _sentences(f"{found.method.name} on {found.task.name} does not run with these settings"):
        verdicts = [equivariance_verdict(found, sorted(set(samples)))]
        if isinstance(found.model, Symmetrized):
            verdicts.append(law_verdict(found))
    return [*verdicts, universality_verdict(found)] if widening else verdicts


def equivariance_verdict(found: Subject, samples: Sequence[int]) -> Verdict:
    """Measures the equivariance error under random elements of the task's group."""
    g = group(found.group).random(found.inputs, 1, generator(CPU, 0, "move"))

    def measured() -> Verdict:
        errors = equivariance(found.model, found.inputs, g, found.signature.output, samples, ROUNDS)
        verdict = _of_equivariance(errors, found.claim, " x ".join(found.group))
        return replace(verdict, sentence=verdict.sentence + _other_group(found))

    return _where_finite("equivariance", measured)


def law_verdict(found: Subject, draws: int = DRAWS) -> Verdict:
    """Tests whether the distribution of a symmetrized method's group elements is equivariant."""
    assert isinstance(found.model, Symmetrized)
    x, sampler = found.model.seen(found.inputs), found.model.sampler
    moved, left = _move(sampler, found)
    return _where_finite("law", lambda: _of_law(law(sampler, x, moved, left, draws), found.claim))


def universality_verdict(found: Subject) -> Verdict:
    """Tests whether the method fits a random equivariant target better with a wider base model."""
    symmetry = found.method.symmetrized_group(found.task, found.spec.task_params)

    def student(width: int, signature: Signature) -> Model:
        return build(found.method, signature, symmetry, _widened(found, width), found.spec.sampler, found.model.hidden)

    def measured() -> Verdict:
        errors = universality(student, found.inputs, group(found.group), found.signature)
        return _of_universality(errors, found.claim)

    with _sentences(f"{found.method.name} cannot be trained at widths {', '.join(map(str, WIDTHS))}"):
        return _where_finite("universality", measured)


def _where_finite(check: str, verdict: Callable[[], Verdict]) -> Verdict:
    """The verdict, which is not passed if values are not finite, whatever the method claims."""
    try:
        return verdict()
    except NotFinite as error:
        return Verdict(check, False, str(error)[:1].lower() + str(error)[1:])


def _widened(found: Subject, width: int) -> dict[str, Any]:
    """The base parameters with hidden layers of this width, all inputs and an unbounded output."""
    base, name = dict(found.spec.base), found.method.base.name
    if "widths" in base:
        base["widths"] = [width] * len(base["widths"])
    elif "width" in base:
        base["width"] = width
    else:
        raise SettingsError(f"{name} has no width to vary: --universality does not apply.")
    if "heads" in base:
        base["heads"] = math.gcd(base["heads"], width)
    free = {"reads": None, "final_activation": False}
    return base | {key: value for key, value in free.items() if key in base}


def _other_group(found: Subject) -> str:
    """A warning if the task's group has factors that neither the sampler nor the base model has by name."""
    if not isinstance(found.model, Symmetrized) or found.claim in NO_CLAIM:
        return ""
    own = {factor.name for factor in factors(found.model.sampler.group)}
    symmetry = found.method.symmetrized_group(found.task, found.spec.task_params)
    if not (missing := [name for name in symmetry if name not in own]):
        return ""
    return (
        f" It symmetrizes over {found.model.sampler.group.name}, and {found.task.name} asks for {' x '.join(missing)}: "
        "with random weights, the error of the missing factors may be smaller than this noise."
    )


def _move(sampler: Sampler, found: Subject) -> tuple[Structure, Element]:
    """Returns g'x for a random g' of the group of the sampler and the base model, and g' in the sampler's group."""
    own = factors(sampler.group)
    names = {factor.name for factor in own}
    respected = [name for name in found.group if name in found.method.base.respects and name not in names]
    parts: tuple[Group, ...] = (*own, *(group((name,)) for name in respected))
    x = found.model.seen(found.inputs)
    whole = ProductGroup(parts).random(x, 1, generator(CPU, 0, "move the law"))
    left = whole.factors[: len(own)]
    return x.acted(whole), left[0] if len(left) == 1 else Product(left)


def _of_equivariance(found: Equivariance, claim: Claim, symmetry: str) -> Verdict:
    numbers = asdict(found) | {"symmetry": found.symmetry, "claim": claim}
    trend = ""
    if found.slope is not None and found.bias is not None:
        trend = f" (slope {found.slope:.2f} +- {found.slope_error:.2f}, -0.5 expected; no bias: p = {found.bias:.2g})"
    texts = {
        "exact": f"exactly symmetric under {symmetry}: the error is {max(found.errors):.0e} in float64"
        + ("" if found.single is None else f" and {found.single:.0e} in float32"),
        "Monte Carlo": f"symmetric under {symmetry} in law: the error falls as 1 / sqrt(k){trend}",
        "none": f"not symmetric under {symmetry}: the error is {found.errors[-1]:.0e} "
        + (f"and does not fall to 0 as 1 / sqrt(k){trend}" if found.slope is not None else "for every k"),
    }
    text = texts[found.symmetry]
    symmetric = found.symmetry == "exact" if claim == "exact" else found.symmetry != "none"
    return Verdict("equivariance", symmetric or claim in NO_CLAIM, f"{text}{_against(claim, symmetric)}.", numbers)


def _of_law(found: Law, claim: Claim) -> Verdict:
    passed, numbers = found.agrees or claim in NO_CLAIM, asdict(found) | {"agrees": found.agrees}
    relation = "have the law of" if found.agrees else "do not have the law of"
    if found.statistics == 0:
        return Verdict("law", passed, "the one element for g'x is g' times the one for x.", numbers)
    sentence = (
        f"the elements drawn for g'x {relation} g' times those drawn for x (p = {found.p_value:.2g} over "
        f"{found.statistics} statistics of {found.draws} draws, {SIGNIFICANCE:g} needed)"
    )
    return Verdict("law", passed, f"{sentence}{_against(claim, found.agrees)}.", numbers)


def _of_universality(found: Universality, claim: Claim) -> Verdict:
    kinds = {"inputs of the task": found.plain, "inputs with stabilisers": found.stabilised}
    errors = " and ".join(f"{', '.join(f'{e:.2g}' for e in row)} on {name}" for name, row in kinds.items() if row)
    verb = "fits" if found.fits else "does not fit"
    widths = ", ".join(map(str, found.widths))
    passed = found.fits or claim in NO_CLAIM
    against = _against(claim, found.fits) if claim in NO_CLAIM else ""
    sentence = (
        f"{verb} a random equivariant target better as the base model widens: relative error {errors} at widths "
        f"{widths} (p = {found.p_value:.2g}; below {FITTED:g} or {FALL:g} of the first is needed){against}."
    )
    return Verdict("universality", passed, sentence, asdict(found) | {"fits": found.fits, "claim": claim})


def _against(claim: Claim, symmetric: bool) -> str:
    if symmetric:
        return ", which the method does not guarantee" if claim in NO_CLAIM else ""
    if claim in NO_CLAIM:
        return f", as expected {NO_CLAIM[claim]}"
    return f", although the method claims to be symmetric ({claim})"
