"""Made to be measured: graphs of which every symmetry is known, and random teachers of any symmetry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tasks.cards import Input, Output, Params, Recipe, TaskCard
from tasks.catalogue.geometry import NBODY_SAMPLER
from tasks.catalogue.shared import GRAPH_FEATURES, PAPER, PUBLISHED_Q, QUICK_VIT, S_N_SAMPLER, SIZES, with_q
from tasks.limits import SHARE, Groups, Limits, Range
from tasks.protocol import Protocol
from tasks.symmetry.names import FAMILIES, family, keeps_inputs, numbered, space_of

INNER_SYMMETRY = TaskCard(
    name="inner_symmetry",
    title="Inner symmetry: spread within orbits of nodes over spread between them",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="node_scalars",
    metric="spread_ratio",
    direction="min",
    control="spread_ratio_transformed",
    version="2",
    source=f"{PAPER}, appendix",
    implementation="tasks.inner_symmetry:InnerSymmetry",
    form="supervised",
    max_nodes=lambda params: 25,
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
DEGREE = Range(least=1, most=10_000, whole=True)
TEACHER_PARAMS = {"stabilised": 0.25, "train": 5000, "validation": 1000, "test": 1000, "data_seed": 0}
TEACHER_LIMITS: Limits = {
    **SIZES,
    "nodes": Range(least=2, whole=True),
    "stabilised": SHARE,
    "degree": DEGREE,
    "group": Groups(numbered_elsewhere=True),
}


def _teacher_group(params: Params) -> tuple[str, ...]:
    return numbered(params["group"], params.get("degree"))


def _teacher_params(params: Params) -> dict[str, Any]:
    """A number in the name of a factor becomes the degree; a degree that no factor has is none."""
    if "degree" not in params:
        return dict(params)
    found = {family(name) for name in params["group"] if "#" not in name and family(name)[0] in FAMILIES}
    for kind, number in found:
        group = [kind if family(name) == (kind, number) else name for name in params["group"]]
        return {**params, "group": group, "degree": number}
    of_degree = any("#" in name for name in params["group"])
    return {**params, "degree": params["degree"] if of_degree else None}


def _graph_teacher_check(params: Params) -> str | None:
    if not params["group"] or any(space_of(name.replace("#", "1")) for name in params["group"]):
        return f"group should be S_n, C_n or D_n, which act on graphs, not {' x '.join(params['group']) or 'nothing'}"
    return None


def _space_teacher_check(params: Params) -> str | None:
    group = _teacher_group(params)
    dimensions = [space_of(name) for name in group if space_of(name)]
    if not dimensions:
        return f"group should have a factor that acts on space, such as O(3), unlike {' x '.join(group) or 'nothing'}"
    if any(name.startswith("Aff") for name in group) and dimensions[0] >= 2 * params["nodes"]:
        return f"{params['nodes']} points and vectors do not span R^{dimensions[0]}: raise nodes"
    if params["stabilised"] and not keeps_inputs(group, params["nodes"]):
        what = f"{' x '.join(group)} leaves no input as it is on {params['nodes']} nodes"
        return f"{what}: set stabilised to 0 or take another group"
    return None


def _teacher(
    name: str, title: str, inputs: frozenset[Input], output: Output, implementation: str, size_name: str,
    params: Params, check: Callable[[Params], str | None], recipes: tuple[Recipe, ...],
) -> TaskCard:  # fmt: skip
    return TaskCard(
        name=name,
        title=title,
        group=_teacher_group,
        inputs=inputs,
        output=output,
        metric="mse",
        direction="min",
        control="mse_transformed",
        version="2",
        source="symbench's own",
        implementation=implementation,
        max_nodes=lambda params: int(params["nodes"]),
        size=lambda params: params[size_name],
        size_name=size_name,
        params={**params, **TEACHER_PARAMS},
        limits={name: limit for name, limit in TEACHER_LIMITS.items() if name in (*params, *TEACHER_PARAMS)},
        check=check,
        form="supervised",
        edge_scalars=1,
        resolve=_teacher_params,
        protocols={
            "standard": Protocol(
                epochs=200, batch_size=100, lr=1e-3, schedule="linear", warmup_epochs=5, clip_norm=1.0,
                train_samples=4, valid_samples=10, test_samples=20, test_repeats=3, validate_every=5,
            ),
            "quick": Protocol(
                epochs=40, batch_size=50, lr=2e-3, schedule="linear", warmup_epochs=1, clip_norm=1.0, train_size=500,
                valid_size=200, test_size=300, train_samples=2, valid_samples=4, test_samples=10, validate_every=4,
                curve_samples=(1, 2, 4, 8, 16),
            ),
        },
        recipes=(*recipes, Recipe(method="transformer", protocol="quick", base={"layers": 2})),
    )  # fmt: skip


def _teacher_of_graphs(name: str, title: str, output: Output, implementation: str) -> TaskCard:
    return _teacher(
        name, title, GRAPH_FEATURES, output, implementation, "nodes", {"group": ["S_n"], "nodes": 8},
        _graph_teacher_check,
        (
            *with_q(S_N_SAMPLER | {"temperature": 0.1, "entropy_weight": 0.1}),
            QUICK_VIT,
        ),
    )  # fmt: skip


def _teacher_of_space(name: str, title: str, output: Output, implementation: str) -> TaskCard:
    """# in a name of the group is the degree: the d of O(d), the m of C_m."""
    return _teacher(
        name, title, SPACE_FEATURES, output, implementation, "degree",
        {"group": ["S_n", "O(#)"], "degree": 3, "nodes": 6},
        _space_teacher_check,
        (
            *with_q(NBODY_SAMPLER),
            # Stabilised inputs leave axes open, and without noise nothing else chooses one.
            Recipe(method="canonical", sampler={"axis_floor": 1e-3}),
        ),
    )  # fmt: skip


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
