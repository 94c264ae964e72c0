"""Synthetic tasks: graphs with known symmetries, and random teachers with any symmetry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tasks.cards import Input, Output, Recipe, TaskCard
from tasks.catalogue.geometry import NBODY_SAMPLER
from tasks.catalogue.shared import (
    GRAPH_FEATURES,
    PAPER,
    PUBLISHED_Q,
    QUICK_VIT,
    S_N_SAMPLER,
    SHORT_TRAINING,
    STANDARD_TRAINING,
    SplitSettings,
    with_q,
)
from tasks.limits import SHARE, Groups, Range
from tasks.protocol import Protocol
from tasks.settings import setting
from tasks.symmetry.names import FAMILIES, family, keeps_inputs, numbered, space_of

INNER_SYMMETRY = TaskCard(
    name="inner_symmetry",
    title="Inner symmetry: spread within orbits of nodes divided by that between them",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="node_scalars",
    metric="spread_ratio",
    direction="min",
    control="spread_ratio_transformed",
    version="2",
    source=f"{PAPER}, appendix",
    implementation="tasks.inner_symmetry:InnerSymmetry",
    extra="graphs",
    form="supervised",
    max_nodes=lambda settings: 25,
    protocols={
        "paper": Protocol(epochs=0, test_samples=100, test_repeats=5),
        "quick": Protocol(epochs=0, test_samples=20, test_repeats=2, curve_samples=(1, 4, 16)),
    },
    recipes=(
        Recipe(method="mlp", base={"widths": [2048, 4096, 2048], "activation": "relu", "reads": ["edges"]}),
        Recipe(method="mlp", protocol="quick", base={"widths": [256, 512, 256]}),
        Recipe(method="transformer", protocol="quick", base={"layers": 2}),
        *with_q(PUBLISHED_Q),
        QUICK_VIT,
    ),
)

SPACE_FEATURES: frozenset[Input] = frozenset({"points", "vectors", "edges"})
GROUP = Groups(numbered_elsewhere=True)
NODES = Range(least=2, whole=True)


@dataclass(frozen=True, kw_only=True)
class TeacherSettings(SplitSettings):
    """Settings of the tasks with random teachers of graphs."""

    group: tuple[str, ...] = setting(("S_n",), GROUP, "Factors of the symmetry group of the teacher.")
    nodes: int = setting(8, NODES, "Number of nodes of every input.")
    stabilised: float = setting(
        0.25, SHARE, "Fraction of inputs that are fixed by a group element other than the identity."
    )

    @property
    def factors(self) -> tuple[str, ...]:
        """The names of the factors of the group."""
        return self.group


@dataclass(frozen=True, kw_only=True)
class SpaceTeacherSettings(TeacherSettings):
    """Settings of the tasks with random teachers of points and vectors."""

    group: tuple[str, ...] = setting(
        ("S_n", "O(#)"), GROUP, "Factors of the symmetry group of the teacher, where # stands for the degree."
    )
    degree: int | None = setting(
        3,
        Range(least=1, most=10_000, whole=True),
        "Number in the names of the factors: d in O(d), m in C_m.",
    )
    nodes: int = setting(6, NODES, "Number of nodes of every input.")

    @property
    def factors(self) -> tuple[str, ...]:
        """The names of the factors of the group, with the degree in place of #."""
        return numbered(self.group, self.degree)


def _with_degree(settings: SpaceTeacherSettings) -> SpaceTeacherSettings:
    """Makes a number in the name of a factor the degree, and the degree None if no factor has one."""
    found = {family(name) for name in settings.group if "#" not in name and family(name)[0] in FAMILIES}
    for kind, number in found:
        group = tuple(kind if family(name) == (kind, number) else name for name in settings.group)
        return replace(settings, group=group, degree=number)
    of_degree = any("#" in name for name in settings.group)
    return replace(settings, degree=settings.degree if of_degree else None)


def _graph_teacher_check(settings: TeacherSettings) -> str | None:
    if not settings.group or any(space_of(name.replace("#", "1")) for name in settings.group):
        what = " x ".join(settings.group) or "nothing"
        return f"group should be S_n, C_n or D_n, which act on graphs, not {what}"
    return None


def _space_teacher_check(settings: SpaceTeacherSettings) -> str | None:
    group, nodes = settings.factors, settings.nodes
    dimensions = [space_of(name) for name in group if space_of(name)]
    if not dimensions:
        return f"group should have a factor that acts on space, such as O(3), unlike {' x '.join(group) or 'nothing'}"
    if any(name.startswith("Aff") for name in group) and dimensions[0] >= 2 * nodes:
        return f"{nodes} points and vectors do not span R^{dimensions[0]}: raise nodes"
    if settings.stabilised and not keeps_inputs(group, nodes):
        what = f"{' x '.join(group)} fixes no input on {nodes} nodes"
        return f"{what}: set stabilised to 0 or use another group"
    return None


TEACHER_PROTOCOLS = {
    "standard": replace(STANDARD_TRAINING, epochs=200, test_samples=20, test_repeats=3),
    "quick": replace(
        SHORT_TRAINING, epochs=40, batch_size=50, train_size=500, validate_every=4, curve_samples=(1, 2, 4, 8, 16)
    ),
}


def _teacher(
    name: str,
    title: str,
    output: Output,
    implementation: str,
    *,
    settings: type,
    inputs: frozenset[Input],
    size: Callable[[Any], int | None],
    size_name: str,
    resolve: Callable[[Any], Any],
    check: Callable[[Any], str | None],
    recipes: tuple[Recipe, ...],
) -> TaskCard:
    return TaskCard(
        name=name,
        title=title,
        group=lambda settings: settings.factors,
        inputs=inputs,
        output=output,
        metric="mse",
        direction="min",
        control="mse_transformed",
        version="2",
        source="symbench",
        implementation=implementation,
        settings=settings,
        max_nodes=lambda settings: settings.nodes,
        size=size,
        size_name=size_name,
        check=check,
        form="supervised",
        edge_scalars=1,
        resolve=resolve,
        protocols=TEACHER_PROTOCOLS,
        recipes=(*recipes, Recipe(method="transformer", protocol="quick", base={"layers": 2})),
    )


def _teacher_of_graphs(name: str, title: str, output: Output, implementation: str) -> TaskCard:
    return _teacher(
        name,
        title,
        output,
        implementation,
        settings=TeacherSettings,
        inputs=GRAPH_FEATURES,
        size=lambda settings: settings.nodes,
        size_name="nodes",
        resolve=lambda settings: settings,
        check=_graph_teacher_check,
        recipes=(
            *with_q(S_N_SAMPLER | {"temperature": 0.1, "entropy_weight": 0.1}),
            QUICK_VIT,
        ),
    )


def _teacher_of_space(name: str, title: str, output: Output, implementation: str) -> TaskCard:
    return _teacher(
        name,
        title,
        output,
        implementation,
        settings=SpaceTeacherSettings,
        inputs=SPACE_FEATURES,
        size=lambda settings: settings.degree,
        size_name="degree",
        resolve=_with_degree,
        check=_space_teacher_check,
        recipes=(
            *with_q(NBODY_SAMPLER),
            # Stabilised inputs do not determine all axes, and without noise only rounding errors would.
            Recipe(method="canonical", sampler={"axis_floor": 1e-3}),
        ),
    )


TEACHER_GRAPH_INVARIANT = _teacher_of_graphs(
    "teacher_graph_invariant",
    "Random teacher: a scalar of a graph",
    "graph_scalars",
    "tasks.teachers.tasks:GraphInvariant",
)
TEACHER_GRAPH_EQUIVARIANT = _teacher_of_graphs(
    "teacher_graph_equivariant",
    "Random teacher: a scalar of every node of a graph",
    "node_scalars",
    "tasks.teachers.tasks:GraphEquivariant",
)
TEACHER_SPACE_INVARIANT = _teacher_of_space(
    "teacher_space_invariant",
    "Random teacher: a scalar of points and vectors",
    "graph_scalars",
    "tasks.teachers.tasks:SpaceInvariant",
)
TEACHER_SPACE_EQUIVARIANT = _teacher_of_space(
    "teacher_space_equivariant",
    "Random teacher: new points from points and vectors",
    "node_points",
    "tasks.teachers.tasks:SpaceEquivariant",
)
TEACHERS = (TEACHER_GRAPH_INVARIANT, TEACHER_GRAPH_EQUIVARIANT, TEACHER_SPACE_INVARIANT, TEACHER_SPACE_EQUIVARIANT)
