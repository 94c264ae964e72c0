"""The cards of tasks, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.protocol import Protocol
from tasks.settings import Configured

Input = Literal["node_scalars", "edges", "points", "vectors"]
Output = Literal["graph_scalars", "node_scalars", "node_points", "edge_scalars"]
Form = Literal["supervised", "probabilistic", "separation", "paired"]
Params = Mapping[str, Any]
Implementation = str | Callable[..., Any]
"""A class or a function that returns an instance of one: itself, or as ``module:name``."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Published hyperparameters of some methods on one task. If several recipes apply, later ones override earlier.

    Attributes:
        method: The name of a base model, a sampler or a method; ``*`` for all.
        protocol: The name of a protocol; ``*`` for all.
        base: Settings of the base model.
        sampler: Settings of the sampler.
        settings: Settings of the protocol (:class:`tasks.protocol.Protocol`).
    """

    method: str = "*"
    protocol: str = "*"
    base: Params = field(default_factory=dict)
    sampler: Params = field(default_factory=dict)
    settings: Params = field(default_factory=dict)

    def applies(self, names: frozenset[str], protocol: str) -> bool:
        """Returns True if the recipe is for a method with one of these names under this protocol."""
        return (self.method == "*" or self.method in names) and self.protocol in ("*", protocol)


ON_TRANSFORMED_INPUTS = "*_transformed"


def stricter(metric: str) -> tuple[str, str]:
    """The names of the stricter variants of a metric, which are never better for a sound method.

    One is measured on inputs transformed by random group elements; the other counts only pairs that are separated
    soundly. A method is ranked by the worse of the metric and its variant.
    """
    return f"{metric}_transformed", f"{metric}_sound"


def given_examples(settings: Any) -> Mapping[str, int]:
    """The sizes of the splits that are settings of the task."""
    sizes = {name: getattr(settings, name, None) for name in ("train", "validation", "test")}
    return {name: size for name, size in sizes.items() if size is not None}


@dataclass(frozen=True, kw_only=True)
class TaskCard(Configured):
    """A registered task.

    Functions on a card take an instance of its ``settings``; methods take the values by name that a run has
    (``RunSpec.task_params``).

    Attributes:
        name: The name in suites and records.
        title: The name in tables; ``name`` if none is given.
        group: The factors of the task's symmetry group, or a function that returns them.
        inputs: The inputs that the task has.
        optional: The inputs that a method may ignore. One whose network cannot read them does not get them.
        output: What is predicted.
        metric: The metric that ranks methods, one of those that the task's class returns.
        direction: Whether a larger metric is better.
        control: The metric that shows whether ``metric`` can be trusted: one of :func:`stricter`, which has the same
            unit, or another that is 0 in a sound run. ``*`` stands for ``metric``. None if there is no such metric.
        deviations: The known differences from the published experiment under all protocols, in short sentences without
            a full stop.
        version: Is raised whenever the same settings would give other numbers, so that no old record is mistaken for a
            new one.
        implementation: The class of the task, or a function that returns an instance: itself, or as ``module:name``. It
            takes an instance of ``settings``.
        settings: The dataclass of the task's settings (:mod:`tasks.settings`).
        check: Returns what is wrong with settings that are each within their limits, in one clause, or None.
        source: The publication of the task.
        protocols: The training protocols by name; bundled suites ask for ``quick``, ``standard`` and ``paper``.
        max_nodes: Returns the largest number of nodes of a structure.
        form: The built-in ``kind`` of the task's class; None for another kind, or if the card does not say.
        recipes: Published hyperparameters of some methods.
        examples: Returns the number of examples of each split that is known without the data.
        edge_scalars: Number of scalars of an edge, or None if it is not known without the data.
        resolve: Completes settings that depend on what is available (which copy of a data set).
        variant: Returns a label of data that is not the published set, or None.
        extra: The extra of symbench whose packages make or read the data (:mod:`tasks.extras`); empty if it needs none.
        size: Returns the size that the task can be scaled in, called ``size_name``; None if it cannot.
        reads_data: True if functions of the card read the data. They are then called when a run needs them, and not
            when the card is checked.
    """

    group: tuple[str, ...] | Callable[[Any], tuple[str, ...]]
    inputs: frozenset[Input]
    optional: frozenset[Input] = frozenset()
    output: Output
    metric: str
    direction: Literal["max", "min"]
    control: str | None = ON_TRANSFORMED_INPUTS
    deviations: tuple[str, ...] = ()
    version: str = "1"
    source: str = ""
    implementation: Implementation
    protocols: Mapping[str, Protocol]
    max_nodes: Callable[[Any], int]
    check: Callable[[Any], str | None] = lambda settings: None
    form: Form | None = "supervised"
    examples: Callable[[Any], Mapping[str, int]] = given_examples
    edge_scalars: int | None = None
    recipes: tuple[Recipe, ...] = ()
    resolve: Callable[[Any], Any] = lambda settings: settings
    variant: Callable[[Any], str | None] = lambda settings: None
    size: Callable[[Any], int | None] | None = None
    size_name: str = "nodes"
    extra: str = ""
    reads_data: bool = False

    @property
    def control_metric(self) -> str | None:
        """The name of the control metric. A task without a test set has none on transformed inputs."""
        if self.control is None or (self.control == ON_TRANSFORMED_INPUTS and self.form in ("separation", "paired")):
            return None
        return self.control.replace("*", self.metric)

    def group_of(self, params: Params) -> tuple[str, ...]:
        """The factors of the symmetry group under these parameters."""
        return self.group(self.settings_from(params)) if callable(self.group) else self.group

    def group_name(self, params: Params) -> str:
        """The name of the symmetry group under these parameters."""
        return " x ".join(self.group_of(params))

    def max_nodes_of(self, params: Params) -> int:
        """The largest number of nodes of a structure under these parameters."""
        return self.max_nodes(self.settings_from(params))

    def size_of(self, params: Params) -> int | None:
        """The size of the task under these parameters; None if it cannot be scaled."""
        return self.size(self.settings_from(params)) if self.size else None

    def variant_of(self, params: Params) -> str | None:
        """The label of data that is not the published set; None for the published set."""
        return self.variant(self.settings_from(params))
