"""The conformance suite, for authors of plug-ins: each property of a card as a test of its own.

Example:
    A test file of a plug-in, in which pytest lists every property:

    .. code-block:: python

        import pytest
        from symbench.testing import checks_of
        from my_package import CARD

        @pytest.mark.parametrize("check", checks_of(CARD), ids=str)
        def test_conformance(check):
            check()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from baselines.bases.base_model import BaseModel
from baselines.build import load
from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness.conformance.check import Check, run_all
from harness.conformance.networks import base_checks, equivariant_checks
from harness.conformance.problems import given_problem
from harness.conformance.samplers import sampler_checks
from harness.conformance.tasks import task_checks
from harness.errors import ConformanceError
from tasks.cards import TaskCard
from tasks.symmetry.structure import Structure

Params = Mapping[str, Any]


def checks_of(
    card: TaskCard | BaseCard | SamplerCard,
    *,
    task: TaskCard | str | None = None,
    base: BaseCard | None = None,
    method: MethodCard | None = None,
    settings: Params | None = None,
    task_params: Params | None = None,
    targets: Callable[[Structure], Tensor] | None = None,
) -> list[Check]:
    """Returns the checks that apply to a card: call each of them.

    A :class:`BaseCard` is one of a base model if its implementation is a subclass of
    :class:`~baselines.bases.base_model.BaseModel`, and otherwise one of a network that is equivariant by construction.
    See :func:`check_base`, :func:`check_equivariant`, :func:`check_sampler` and :func:`check_task` for the arguments.

    Raises:
        ConformanceError: ``card`` is not a card.

    Example:
        >>> from baselines.catalogue import GROUP_AVERAGING
        >>> checks = checks_of(GROUP_AVERAGING)
        >>> str(checks[0]), str(checks[1])
        ('card', 'elements (graph_scalars of edges, node_scalars, S_n)')
        >>> checks[1]()
    """
    problem = None if task is None else given_problem(task, task_params or {})
    settings = settings or {}
    if isinstance(card, TaskCard):
        return list(task_checks(given_problem(card, task_params or {}), targets, method, settings))
    if isinstance(card, SamplerCard):
        return list(sampler_checks(card, problem, settings, base))
    if not isinstance(card, BaseCard):
        raise ConformanceError(f"A TaskCard, a BaseCard or a SamplerCard can be checked, not a {type(card).__name__}.")
    checks = base_checks if _is_base_model(card) else equivariant_checks
    return list(checks(card, problem, settings))


def _is_base_model(card: BaseCard) -> bool:
    try:
        found = load(card.implementation)
    except Exception:  # the check of the card says what is wrong
        return False
    return isinstance(found, type) and issubclass(found, BaseModel)


def check_base(
    card: BaseCard,
    *,
    task: TaskCard | str | None = None,
    settings: Params | None = None,
    task_params: Params | None = None,
) -> None:
    """Checks a base model alone and averaged over a group.

    The card is valid; outputs have the right shapes; gradients are finite and reach the weights; outputs do not depend
    on the rest of the batch, on absent nodes or on hidden chance; float64 works; saved weights give the same
    predictions; it respects the groups that its card names; averaged over a group it is equivariant in law; samples in
    chunks give the same as all at once; a tiny run gives the same numbers twice.

    Args:
        card: The card.
        task: A task, or the name of one; None checks random examples for each output of the card, with its fewest and
            its most inputs.
        settings: Settings of the base model that differ from the defaults, for example a small width.
        task_params: Settings of ``task`` that differ from the defaults.

    Raises:
        ConformanceError: The first property that the base model does not have, in one sentence.

    Example:
        >>> from baselines.catalogue import SET_TRANSFORMER
        >>> check_base(SET_TRANSFORMER, task="shapes_o3", settings={"width": 8, "layers": 1}, task_params={"points": 6})
    """
    problem = None if task is None else given_problem(task, task_params or {})
    run_all(base_checks(card, problem, settings or {}))


def check_equivariant(
    card: BaseCard,
    *,
    task: TaskCard | str | None = None,
    settings: Params | None = None,
    task_params: Params | None = None,
) -> None:
    """Checks a network that is equivariant by construction: as :func:`check_base`, without group averaging.

    Args:
        card: The card.
        task: As for :func:`check_base`.
        settings: Settings of the network that differ from the defaults.
        task_params: Settings of ``task`` that differ from the defaults.

    Raises:
        ConformanceError: The first property that the network does not have, in one sentence.

    Example:
        >>> from baselines.catalogue import EGNN
        >>> check_equivariant(EGNN, task="nbody", settings={"width": 8, "layers": 1})
    """
    problem = None if task is None else given_problem(task, task_params or {})
    run_all(equivariant_checks(card, problem, settings or {}))


def check_sampler(
    card: SamplerCard,
    *,
    task: TaskCard | str | None = None,
    base: BaseCard | None = None,
    settings: Params | None = None,
    task_params: Params | None = None,
) -> None:
    """Checks a sampler.

    The card is valid; the elements are as many as asked for and leave absent nodes where they are; all chance is in the
    noise; absent nodes do not change the law; float64 works; gradients reach the weights; samples in chunks give the
    same as all at once; a tiny run gives the same numbers twice. Unless the guarantee of the card is none, the law of
    the elements is equivariant, and so is a symmetrized perceptron, exactly or in law.

    Args:
        card: The card.
        task: A task, or the name of one; None checks random examples with each of some groups that the card covers.
        base: The base model; None takes a small perceptron.
        settings: Settings of the sampler that differ from the defaults.
        task_params: Settings of ``task`` that differ from the defaults.

    Raises:
        ConformanceError: The first property that the sampler does not have, in one sentence.

    Example:
        >>> from baselines.catalogue import GROUP_AVERAGING
        >>> check_sampler(GROUP_AVERAGING, task="nbody")
    """
    problem = None if task is None else given_problem(task, task_params or {})
    run_all(sampler_checks(card, problem, settings or {}, base))


def check_task(
    card: TaskCard,
    *,
    task_params: Params | None = None,
    targets: Callable[[Structure], Tensor] | None = None,
    method: MethodCard | None = None,
    settings: Params | None = None,
) -> None:
    """Checks a task.

    The card is valid and says what the data is; splits have no example in common; the data depends on the settings
    alone; the loss is a finite scalar with a gradient; the metrics have the names of the card; loss and metrics do not
    change if the group acts on predictions and targets; a tiny run gives the same numbers twice.

    Args:
        card: The card.
        task_params: Settings of the task that differ from the defaults, for example small splits.
        targets: A function that computes the targets of structures, if there is one: it should give the targets of the
            data and be equivariant. Without it nobody can tell whether targets transform with the structures.
        method: The method of the tiny run; None takes a built-in one.
        settings: Settings of the method's base model that differ from the defaults.

    Raises:
        ConformanceError: The first property that the task does not have, in one sentence.

    Example:
        >>> from tasks.catalogue import SHAPES_O3
        >>> check_task(SHAPES_O3, task_params={"points": 6})
    """
    run_all(task_checks(given_problem(card, task_params or {}), targets, method, settings or {}))


__all__ = ["Check", "check_base", "check_equivariant", "check_sampler", "check_task", "checks_of"]
