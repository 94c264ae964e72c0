"""The problems that a card is checked on: a given task, or random examples of each kind that the card says it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch

from baselines.build import load
from baselines.cards import BaseCard, SamplerCard
from baselines.samplers.coverage import GEOMETRY
from harness import registry
from harness.conformance.examples import CARD
from harness.training.kinds import kind_of
from tasks.cards import Input, Output, TaskCard
from tasks.symmetry.names import dimension, space_of
from tasks.symmetry.structure import Structure
from tasks.task import SupervisedTask, Task

FEW = 12
"""The number of examples of each split if a given task has settings for them."""


@dataclass(frozen=True)
class Problem:
    """A task with its settings.

    Attributes:
        card: The card of the task.
        params: Its parameters that differ from the defaults.
        label: What the names of checks say about it.
    """

    card: TaskCard
    params: Mapping[str, Any]
    label: str

    @cached_property
    def all_params(self) -> Mapping[str, Any]:
        """All parameters of the task."""
        return registry.resolved_task(self.card, self.params)

    @cached_property
    def task(self) -> Task:
        """The task with its data."""
        made: Task = load(self.card.implementation)(self.card.settings_from(self.all_params))
        return made

    @property
    def group(self) -> tuple[str, ...]:
        """The factors of the task's group."""
        return self.card.group_of(self.all_params)

    @cached_property
    def _inputs(self) -> Structure:
        whole = kind_of(self.task).inputs(self.task)
        return whole[spread(len(whole))].to("cpu", torch.float64)

    @property
    def inputs(self) -> Structure:
        """A copy of some structures in float64."""
        return Structure(*(getattr(self._inputs, item.name).clone() for item in fields(Structure)))

    def loss(self, predictions: torch.Tensor) -> torch.Tensor:
        """The loss of predictions for :attr:`inputs`, or their mean square if the task has no loss."""
        if not isinstance(self.task, SupervisedTask):
            return predictions.square().mean()
        targets = self.task.data("test").targets
        return self.task.loss(predictions, targets[spread(len(targets))].to(predictions.dtype))


def spread(size: int) -> torch.Tensor:
    """Indices ``[at most FEW]`` from all over a set of this size."""
    return torch.linspace(0, size - 1, min(FEW, size)).long()


def given_problem(task: TaskCard | str, params: Mapping[str, Any]) -> Problem:
    """The problem of a card or a registered task, with few examples if ``params`` do not say how many.

    Raises:
        UnknownName: There is no such task.
    """
    card = registry.task(task) if isinstance(task, str) else task
    few = {name: FEW for name in ("train", "validation", "test") if name in card.params}
    return Problem(card, {**few, **params}, card.name)


def examples_problem(inputs: frozenset[Input], output: Output, group: tuple[str, ...]) -> Problem:
    """Random examples of a kind."""
    card = replace(CARD, inputs=inputs, output=output)
    params = {"inputs": sorted(inputs), "output": output, "group": list(group)}
    return Problem(card, params, f"{output} of {', '.join(sorted(inputs))}, {' x '.join(group)}")


def problems_of_equivariant(card: BaseCard) -> list[Problem]:
    """A problem for each output and its fewest and its most inputs, under the largest group that the card claims."""
    found = []
    for inputs, output in _kinds(card):
        nodes = [name for name in ("S_n", "D_n", "C_n") if name in card.respects][:1]
        if group := (*nodes, *_largest(card.respects, inputs)):
            found.append(examples_problem(inputs, output, group))
    return found


def problems_of_base(card: BaseCard) -> list[Problem]:
    """A problem for each output and its fewest and its most inputs, under a group that it does not respect."""
    found = []
    for inputs, output in _kinds(card):
        number = max((space_of(name) for name in card.respects), default=0) or 3
        space = (f"E({number})",) if "points" in inputs else (f"O({number})",) if "vectors" in inputs else ()
        if set(group := ("S_n", *space)) - card.respects:
            found.append(examples_problem(inputs, output, group))
    return found


def _kinds(card: BaseCard) -> Iterator[tuple[frozenset[Input], Output]]:
    points: frozenset[Input] = frozenset({"points"})
    for output in sorted(card.writes):
        needed = card.needs | points if output == "node_points" else card.needs
        fewest = needed or frozenset(sorted(card.reads)[:1])
        for inputs in dict.fromkeys((fewest, card.reads)):
            if inputs and needed <= inputs <= card.reads:
                yield inputs, output


def _largest(respects: frozenset[str], inputs: frozenset[Input]) -> tuple[str, ...]:
    """The largest group of space among those that the inputs allow; nothing if there is none."""
    if not inputs & GEOMETRY:
        return ()
    moving = ("E", "SE", "Sim", "SSim", "Aff")
    names = [name for name in respects if space_of(name) and ("points" in inputs or not name.startswith(moving))]
    return tuple(sorted(names, key=lambda name: (-(dimension([name]) or 0), name.startswith("S"), name))[:1])


SAMPLED: tuple[tuple[frozenset[Input], Output, tuple[str, ...]], ...] = (
    (frozenset({"node_scalars", "edges"}), "graph_scalars", ("S_n",)),
    (frozenset({"node_scalars", "edges"}), "node_scalars", ("S_n",)),
    (frozenset({"points", "vectors", "edges"}), "node_points", ("S_n", "E(3)")),
    (frozenset({"points"}), "graph_scalars", ("O(3)",)),
    (frozenset({"points"}), "graph_scalars", ("SO(2)",)),
)
"""The kinds of examples that a sampler is checked on, as far as it covers their group."""


def problems_of_sampler(card: SamplerCard) -> list[Problem]:
    """The kinds of :data:`SAMPLED` whose group the sampler covers."""
    problems = [examples_problem(*kind) for kind in SAMPLED]
    return [problem for problem in problems if card.misfit(problem.group, problem.card) is None]
