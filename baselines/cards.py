"""What the registry says of a method, and which tasks a method fits, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from baselines.samplers.coverage import uncovered
from tasks.cards import Input, Output, TaskCard
from tasks.settings import Configured

Params = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class BaseCard(Configured):
    """A network: what it needs and can read of a structure, what it can put out, which symmetries it has by itself.

    ``max_tokens`` bounds ``nodes ** 2`` for networks whose cost grows with the square of that number.
    ``settings`` is the class of its settings; the functions below take an instance of it.
    ``check`` says what is wrong with settings that are each within their limits, in one clause (``None``: nothing).
    ``meanings`` say what the value of a setting stands for on a task, as another value of it: of those that mean the
    same the usual one is kept.
    ``resolve`` completes the settings that depend on what is available (pretrained weights); ``weights`` says of a
    network that may be pretrained what it starts from. ``deviations`` are as those of a task.
    """

    name: str
    title: str
    needs: frozenset[Input]
    reads: frozenset[Input]
    writes: frozenset[Output]
    respects: frozenset[str]
    version: str
    source: str
    implementation: str
    check: Callable[[Any, TaskCard], str | None] = lambda settings, task: None
    meanings: Mapping[str, Callable[[Any, TaskCard], Any]] = field(default_factory=dict)
    max_tokens: int | None = None
    resolve: Callable[[Any], Any] = lambda settings: settings
    weights: Callable[[Any], str | None] = lambda settings: None
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SamplerCard(Configured):
    """Where group elements come from: p(g given x).

    ``choices`` are the names that a setting may take on a task; ``None`` stands for the first of them.
    ``guarantee`` says in a few words when the symmetrized prediction is equivariant: exact, in expectation, none.
    ``uncovered`` says why it does not cover a group (its factors) on a task with these inputs, ``None`` where it does.
    ``too_large`` says why an accepted group has too many elements on so many nodes, ``None`` where it has not.
    ``settings``, ``check`` and ``meanings`` are as those of a base model, and ``deviations`` as those of a task.
    """

    name: str
    title: str
    version: str
    source: str
    implementation: str
    guarantee: str = ""
    deviations: tuple[str, ...] = ()
    single: bool = False
    check: Callable[[Any, TaskCard], str | None] = lambda settings, task: None
    meanings: Mapping[str, Callable[[Any, TaskCard], Any]] = field(default_factory=dict)
    choices: Mapping[str, Callable[[TaskCard], tuple[str, ...]]] = field(default_factory=dict)
    uncovered: Callable[[Sequence[str], frozenset[Input]], str | None] = lambda group, inputs: None
    too_large: Callable[[Any, Sequence[str], int], str | None] = lambda settings, group, nodes: None

    def misfit(self, group: Sequence[str], task: TaskCard) -> str | None:
        """Why it cannot symmetrize over this group on that task, in one clause; ``None`` where it can."""
        return uncovered(group, task.inputs) or self.uncovered(group, task.inputs)


@dataclass(frozen=True, kw_only=True)
class MethodCard:
    """A base model with a sampler (symmetrized), or a network that is symmetric by construction (no sampler)."""

    base: BaseCard
    sampler: SamplerCard | None = None

    @property
    def name(self) -> str:
        return self.base.name if self.sampler is None else f"{self.base.name}-{self.sampler.name}"

    @property
    def title(self) -> str:
        return self.base.title if self.sampler is None else f"{self.base.title}, {self.sampler.title}"

    @property
    def kind(self) -> Literal["symmetrized", "equivariant"]:
        return "equivariant" if self.sampler is None else "symmetrized"

    @property
    def version(self) -> str:
        return self.base.version if self.sampler is None else f"{self.base.version}+{self.sampler.version}"

    @property
    def source(self) -> str:
        return self.base.source if self.sampler is None else f"{self.base.source}; {self.sampler.source}"

    @property
    def guarantee(self) -> str:
        """When the prediction is equivariant; empty where the card does not say."""
        return "exact" if self.sampler is None else self.sampler.guarantee

    @property
    def deviations(self) -> tuple[str, ...]:
        """In which it knowingly differs from what is published."""
        return self.base.deviations + (self.sampler.deviations if self.sampler else ())

    @property
    def names(self) -> frozenset[str]:
        """Every name under which a recipe may mean this method."""
        return frozenset({self.name, self.base.name} | ({self.sampler.name} if self.sampler else set()))

    def symmetrized_group(self, task: TaskCard, task_params: Params) -> tuple[str, ...]:
        """The factors of the task's group that the base model does not already respect."""
        return tuple(factor for factor in task.group_of(task_params) if factor not in self.base.respects)

    def misfit(self, task: TaskCard, task_params: Params) -> str | None:
        """Why this method cannot run on that task, in one clause; ``None`` where it can."""
        base = self.base
        if missing := sorted(base.needs - task.inputs):
            return f"{base.name} needs {' and '.join(missing)}, which {task.name} does not have"
        if unread := sorted(task.inputs - base.reads):
            return f"{base.name} cannot read the {' and '.join(unread)} of {task.name}"
        if task.output not in base.writes:
            return f"{base.name} cannot put out the {task.output} of {task.name}"
        missing_symmetry = self.symmetrized_group(task, task_params)
        if self.sampler is None and missing_symmetry:
            return f"{base.name} does not respect {' x '.join(missing_symmetry)}, which {task.name} asks for"
        if self.sampler is not None and not missing_symmetry:
            return f"{base.name} already respects {task.group_name(task_params)}: nothing is left to symmetrize"
        if self.sampler is not None and (reason := self.sampler.misfit(missing_symmetry, task)):
            return f"{self.sampler.name} does not cover {task.name}: {reason}"
        tokens = task.max_nodes_of(task_params) ** 2
        if base.max_tokens is not None and tokens > base.max_tokens:
            return f"{base.name} takes at most {base.max_tokens} tokens and {task.name} has {tokens} node pairs"
        return None
