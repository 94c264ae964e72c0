"""The cards of methods, and which tasks a method fits, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from baselines.samplers.coverage import GEOMETRY, uncovered
from tasks.cards import Implementation, Input, Output, TaskCard
from tasks.settings import Configured
from tasks.symmetry.names import NODE_GROUPS, TRIVIAL

Params = Mapping[str, Any]

GUARANTEES = ("exact", "in expectation", "none")
"""What samplers can guarantee; more words may follow, such as when."""


@dataclass(frozen=True, kw_only=True)
class BaseCard(Configured):
    """A registered network.

    Functions on a card take an instance of its ``settings``.

    Attributes:
        name: The first part of the names of its methods, for example ``mlp`` in ``mlp-ga``.
        title: The name in tables; ``name`` if none is given.
        needs: The inputs that a task must have.
        reads: The inputs that the network can read; ``needs`` if they are not given. A task may have no others, except
            for its optional ones.
        writes: The outputs that the network can predict.
        respects: The groups that the network is equivariant under without symmetrization.
        version: Is raised whenever the same settings would give other numbers, so that no old record is mistaken for a
            new one.
        source: The publication of the network.
        implementation: The class of the network, or a function that returns an instance: itself, or as
            ``module:name``. It takes a signature and an instance of ``settings``.
        settings: The dataclass of the network's settings (:mod:`tasks.settings`).
        check: Returns what is wrong with settings that are each within their limits, in one clause, or None.
        meanings: By the name of a setting, a function that returns what its value stands for on a task. Values with
            the same meaning are one setting.
        max_tokens: The largest ``nodes ** 2`` for a network whose cost grows with the square of that number.
        resolve: Completes settings that depend on what is available (pretrained weights).
        weights: Returns a label of the initial weights if they may be pretrained, or None.
        deviations: As in :class:`tasks.cards.TaskCard`.
        extra: The extra of symbench that has packages of the network (:mod:`tasks.extras`); empty if it needs none.
    """

    needs: frozenset[Input] = frozenset()
    reads: frozenset[Input] = frozenset()
    writes: frozenset[Output]
    respects: frozenset[str] = frozenset()
    version: str = "1"
    source: str = ""
    implementation: Implementation
    check: Callable[[Any, TaskCard], str | None] = lambda settings, task: None
    meanings: Mapping[str, Callable[[Any, TaskCard], Any]] = field(default_factory=dict)
    max_tokens: int | None = None
    resolve: Callable[[Any], Any] = lambda settings: settings
    weights: Callable[[Any], str | None] = lambda settings: None
    deviations: tuple[str, ...] = ()
    extra: str = ""

    def __post_init__(self) -> None:
        """Fills in the title and what is read."""
        super().__post_init__()
        if self.reads == frozenset():
            object.__setattr__(self, "reads", self.needs)


@dataclass(frozen=True, kw_only=True)
class SamplerCard(Configured):
    """A registered sampler of group elements from p(g given x).

    Attributes:
        name: The last part of the names of its methods, for example ``ga`` in ``mlp-ga``.
        title: The name in tables; ``name`` if none is given.
        version: As in :class:`BaseCard`.
        source: The publication of the sampler.
        implementation: The class of the sampler, or a function that returns an instance: itself, or as
            ``module:name``. It takes a group, a signature and an instance of ``settings``.
        guarantee: When the symmetrized prediction is equivariant: a text that begins with one of :data:`GUARANTEES`.
            ``symbench check`` holds a method to it. ``exact``, which an empty text stands for, means exactly, and in
            law as long as the sampler is random. ``in expectation`` means in law, and nothing for one seed if the
            sampler has fixed its noise. ``none`` means nothing.
        deviations: As in :class:`tasks.cards.TaskCard`.
        single: True if the sampler always returns one element.
        settings: The dataclass of the sampler's settings (:mod:`tasks.settings`).
        check: As in :class:`BaseCard`.
        meanings: As in :class:`BaseCard`.
        choices: By the name of a setting, a function that returns the names it accepts on a task; None stands for the
            first of them.
        uncovered: Returns why the sampler does not cover a group with these factors on a task with these inputs, or
            None if it does.
        too_large: Returns why a group that is covered has too many elements on this number of nodes, or None.
    """

    version: str = "1"
    source: str = ""
    implementation: Implementation
    guarantee: str = ""
    deviations: tuple[str, ...] = ()
    single: bool = False
    check: Callable[[Any, TaskCard], str | None] = lambda settings, task: None
    meanings: Mapping[str, Callable[[Any, TaskCard], Any]] = field(default_factory=dict)
    choices: Mapping[str, Callable[[TaskCard], tuple[str, ...]]] = field(default_factory=dict)
    uncovered: Callable[[Sequence[str], frozenset[Input]], str | None] = lambda group, inputs: None
    too_large: Callable[[Any, Sequence[str], int], str | None] = lambda settings, group, nodes: None

    def misfit(self, group: Sequence[str], task: TaskCard) -> str | None:
        """Why the sampler cannot be used with this group on this task, in one clause; None if it can."""
        return uncovered(group, task.inputs) or self.uncovered(group, task.inputs)


@dataclass(frozen=True, kw_only=True)
class MethodCard:
    """A base model with a sampler (symmetrized), or without one a network that is equivariant by construction."""

    base: BaseCard
    sampler: SamplerCard | None = None

    @property
    def name(self) -> str:
        """The name in suites and records, for example ``mlp-ga`` or ``egnn``."""
        return self.base.name if self.sampler is None else f"{self.base.name}-{self.sampler.name}"

    @property
    def title(self) -> str:
        """The name in tables."""
        return self.base.title if self.sampler is None else f"{self.base.title}, {self.sampler.title}"

    @property
    def kind(self) -> Literal["symmetrized", "equivariant"]:
        """How the method is equivariant: with a sampler or by construction."""
        return "equivariant" if self.sampler is None else "symmetrized"

    @property
    def version(self) -> str:
        """The versions of the base model and the sampler."""
        return self.base.version if self.sampler is None else f"{self.base.version}+{self.sampler.version}"

    @property
    def source(self) -> str:
        """The publications of the base model and the sampler."""
        return "; ".join(part.source for part in (self.base, self.sampler) if part and part.source)

    @property
    def guarantee(self) -> str:
        """When the prediction is equivariant; empty if the card does not say."""
        return "exact" if self.sampler is None else self.sampler.guarantee

    @property
    def deviations(self) -> tuple[str, ...]:
        """The known differences from what is published."""
        return self.base.deviations + (self.sampler.deviations if self.sampler else ())

    @property
    def names(self) -> frozenset[str]:
        """All names by which a recipe can select this method."""
        return frozenset({self.name, self.base.name} | ({self.sampler.name} if self.sampler else set()))

    def symmetrized_group(self, task: TaskCard, task_params: Params) -> tuple[str, ...]:
        """The factors of the task's group that the base model does not already respect.

        A network that gets no points and vectors, since they are optional, respects what acts on these alone.
        """
        blind = bool(self.hidden(task) & GEOMETRY) and not self.view(task).inputs & GEOMETRY
        trivial = blind and task.output != "node_points"
        respects = self.base.respects
        if self.guarantee != "none":
            respects |= {TRIVIAL}
        factors = task.group_of(task_params)
        return tuple(one for one in factors if one not in respects and not (trivial and one not in NODE_GROUPS))

    def hidden(self, task: TaskCard) -> frozenset[Input]:
        """The inputs of the task that the method does not get: optional ones that the base model cannot read."""
        return task.optional - self.base.reads

    def view(self, task: TaskCard) -> TaskCard:
        """The task as the method sees it: without the inputs that are :meth:`hidden`."""
        hidden = self.hidden(task)
        return replace(task, inputs=task.inputs - hidden, optional=task.optional - hidden) if hidden else task

    def misfit(self, task: TaskCard, task_params: Params) -> str | None:
        """Why this method cannot run on this task, in one clause; None if it can."""
        base, inputs = self.base, self.view(task).inputs
        if not inputs:
            return f"{base.name} can read none of the inputs of {task.name}"
        if missing := sorted(base.needs - inputs):
            return f"{base.name} needs {' and '.join(missing)}, which {task.name} does not have"
        if unread := sorted(inputs - base.reads):
            return f"{base.name} cannot read the {' and '.join(unread)} of {task.name}"
        if task.output not in base.writes:
            return f"{base.name} cannot predict the {task.output} of {task.name}"
        missing_symmetry = self.symmetrized_group(task, task_params)
        if self.sampler is None and missing_symmetry:
            return f"{base.name} does not respect {' x '.join(missing_symmetry)}, which {task.name} requires"
        if self.sampler is not None and not missing_symmetry:
            return f"{base.name} already respects {task.group_name(task_params)}: there is nothing to symmetrize"
        if self.sampler is not None and (reason := self.sampler.misfit(missing_symmetry, self.view(task))):
            return f"{self.sampler.name} does not cover {task.name}: {reason}"
        tokens = task.max_nodes_of(task_params) ** 2
        if base.max_tokens is not None and tokens > base.max_tokens:
            return f"{base.name} takes at most {base.max_tokens} tokens and {task.name} has {tokens} node pairs"
        return None
