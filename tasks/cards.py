"""What the registry says of a task, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.limits import Limits
from tasks.protocol import Protocol

Input = Literal["node_scalars", "edges", "points", "vectors"]
Output = Literal["graph_scalars", "node_scalars", "node_points", "edge_scalars"]
Form = Literal["supervised", "probabilistic", "separation", "paired"]
Params = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Published hyper-parameters of some methods on one task; of two that apply, the later one wins.

    ``method`` names a base model, a sampler or a whole method ("*": every one); ``protocol`` "*" means every protocol.
    """

    method: str = "*"
    protocol: str = "*"
    base: Params = field(default_factory=dict)
    sampler: Params = field(default_factory=dict)
    settings: Params = field(default_factory=dict)

    def applies(self, names: frozenset[str], protocol: str) -> bool:
        return (self.method == "*" or self.method in names) and self.protocol in ("*", protocol)


def stricter(metric: str) -> tuple[str, str]:
    """Names of the same metric asked for more: on inputs moved by the group, or counting only what is soundly so.

    A method is as good as the worse of the two.
    """
    return f"{metric}_transformed", f"{metric}_sound"


def given_examples(params: Params) -> Mapping[str, int]:
    """The sizes of the splits that are parameters of their task."""
    return {name: params[name] for name in ("train", "validation", "test") if params.get(name) is not None}


@dataclass(frozen=True, kw_only=True)
class TaskCard:
    """A registered task.

    ``group`` lists the factors of the task's symmetry group, or says what they are under given parameters;
    ``implementation`` is ``module:Class``, and ``version`` changes whenever the same settings would give other numbers,
    so that no old record is taken for a new one.
    ``limits`` say which values parameters take, and ``check`` what is wrong with all of them together, in one clause
    (``None``: nothing).
    ``form`` is the built-in ``kind`` of the task's class (``None``: another kind, or not said), ``examples`` how many
    there are of each split, and ``edge_scalars`` how many an edge has, each as far as it is known without the data.
    ``resolve`` completes the parameters that depend on what is installed (which copy of a dataset is there);
    ``variant`` labels data that is not the published set.
    ``deviations`` are short sentences (without the full stop) in which runs knowingly differ from the published
    experiment, under every protocol.
    ``control`` names the metric that says whether ``metric`` may be believed: one of :func:`stricter` is in the same
    unit, and any other counts what a sound run has none of.
    """

    name: str
    title: str
    group: tuple[str, ...] | Callable[[Params], tuple[str, ...]]
    inputs: frozenset[Input]
    output: Output
    metric: str
    direction: Literal["max", "min"]
    control: str | None = None
    deviations: tuple[str, ...] = ()
    version: str
    source: str
    implementation: str
    protocols: Mapping[str, Protocol]
    max_nodes: Callable[[Params], int]
    params: Params = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    check: Callable[[Params], str | None] = lambda params: None
    form: Form | None = None
    examples: Callable[[Params], Mapping[str, int]] = given_examples
    edge_scalars: int | None = None
    recipes: tuple[Recipe, ...] = ()
    resolve: Callable[[Params], Params] = dict
    variant: Callable[[Params], str | None] = lambda params: None
    size: Callable[[Params], int | None] | None = None
    size_name: str = "nodes"

    def group_of(self, params: Params) -> tuple[str, ...]:
        """The factors of the symmetry group under these parameters."""
        return self.group(params) if callable(self.group) else self.group

    def group_name(self, params: Params) -> str:
        return " x ".join(self.group_of(params))
