"""The registered tasks with the published settings of every experiment (facts: Kim et al. 2023, arXiv 2306.02866).

``paper`` is the published protocol to the letter; ``quick`` is cut to fit two CPU cores and proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.cards import Input, Recipe, TaskCard
from tasks.protocol import Protocol

PAPER = "Kim et al. 2023, arXiv 2306.02866"
GRAPH_FEATURES: frozenset[Input] = frozenset({"node_scalars", "edges"})
NBODY_SAMPLER = {"noise_scale": 1.0, "temperature": 0.1, "width": 64, "neighbours": 4, "entropy_weight": 0.1}
S_N_SAMPLER = {"noise_scale": 1.0, "temperature": 0.01, "sinkhorn_steps": 20, "width": 64, "layers": 3}


def _exp_data(params: Mapping[str, Any]) -> dict[str, Any]:
    """``auto`` becomes ``official`` where the public file is found, else ``generated`` (a variant of EXP)."""
    from tasks.sources.exp import available

    return {**params, "data": available() if params["data"] == "auto" else params["data"]}


GRAPH8C = TaskCard(
    name="graph8c",
    title="GRAPH8c: pairs of 11,117 graphs never told apart",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="graph_scalars",
    metric="unseparated",
    direction="min",
    control="false_separations",
    version="1",
    source=f"Balcilar et al. 2021; {PAPER}, section 4.1",
    implementation="tasks.graph8c:Graph8c",
    max_nodes=lambda params: 8,
    protocols={
        "paper": Protocol(initialisations=100, test_samples=10, curve_size=500),
        "quick": Protocol(initialisations=3, test_samples=10, batch_size=200, curve_size=500),
    },
    recipes=(
        Recipe(
            method="mlp", base={"widths": [128, 64], "activation": "tanh", "final_activation": True, "reads": ["edges"]}
        ),
        Recipe(method="gin_id", base={"width": 64, "layers": 3, "activation": "tanh", "final_activation": True}),
        Recipe(method="gin", base={"width": 64, "layers": 3, "activation": "tanh", "final_activation": True}),
        Recipe(method="learned", sampler=S_N_SAMPLER),
        Recipe(method="canonical", sampler=S_N_SAMPLER),
        Recipe(method="transformer", protocol="quick", base={"layers": 2}, settings={"initialisations": 1}),
    ),
)

EXP_CLASSIFY = TaskCard(
    name="exp_classify",
    title="EXP-classify: satisfiable or not",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="graph_scalars",
    metric="accuracy",
    direction="max",
    control="accuracy_moved",
    version="1",
    source=f"Abboud et al. 2021; {PAPER}, section 4.1",
    implementation="tasks.exp:ExpClassify",
    max_nodes=lambda params: 64,
    params={"data": "auto", "generator_seed": 0},
    resolve=_exp_data,
    variant=lambda params: "generated variant of EXP" if params["data"] == "generated" else None,
    protocols={
        "paper": Protocol(epochs=2000, batch_size=100, lr=1e-3, warmup_epochs=200, clip_norm=0.1),
        "quick": Protocol(
            epochs=6,
            batch_size=100,
            lr=1e-3,
            warmup_epochs=1,
            clip_norm=0.1,
            train_samples=2,
            valid_samples=4,
            test_samples=10,
        ),
    },
    recipes=(
        Recipe(
            method="mlp",
            base={"widths": [2048, 4096, 2048, 10], "activation": "relu", "reads": ["node_scalars", "edges"]},
        ),
        Recipe(
            method="gin_id",
            base={"width": 64, "layers": 3, "activation": "relu", "head": [10]},
            settings={"epochs": 1000},
        ),
        Recipe(
            method="gin", base={"width": 64, "layers": 3, "activation": "relu", "head": [10]}, settings={"epochs": 1000}
        ),
        Recipe(method="learned", sampler=S_N_SAMPLER | {"entropy_weight": 0.1}),
        Recipe(method="canonical", sampler=S_N_SAMPLER | {"entropy_weight": 0.1}),
        Recipe(
            method="mlp",
            protocol="quick",
            base={"widths": [256, 512, 256, 10]},
            settings={"epochs": 60, "batch_size": 50, "train_samples": 4, "warmup_epochs": 5, "validate_every": 5},
        ),
        Recipe(method="gin_id", protocol="quick", settings={"epochs": 6}),
        Recipe(method="gin", protocol="quick", settings={"epochs": 6}),
    ),
)

NBODY = TaskCard(
    name="nbody",
    title="n-body: charged particles, position after 1,000 steps",
    group=("S_n", "E(3)"),
    inputs=frozenset({"points", "vectors", "edges"}),
    output="node_points",
    metric="mse",
    direction="min",
    control="mse_moved",
    version="1",
    source=f"Kipf et al. 2018; Satorras et al. 2021; {PAPER}, section 4.2",
    implementation="tasks.nbody:NBody",
    max_nodes=lambda params: int(params["nodes"]),
    size=lambda params: int(params["nodes"]),
    params={"nodes": 5, "train": 3000, "validation": 2000, "test": 2000, "data_seed": 43},
    protocols={
        "paper": Protocol(
            epochs=10_000, batch_size=100, drop_last=True, lr=1e-3, weight_decay=1e-12,
            train_samples=20, valid_samples=20, test_samples=20, test_repeats=5,
        ),
        "quick": Protocol(
            epochs=20, batch_size=100, drop_last=True, lr=1e-3, weight_decay=1e-12, train_size=500, valid_size=200,
            test_size=500, train_samples=2, valid_samples=4, test_samples=20, test_repeats=2, validate_every=2,
        ),
    },
    recipes=(
        Recipe(method="transformer", base={"width": 64, "layers": 8, "heads": 4}),
        Recipe(method="gnn", base={"width": 60, "layers": 4}),
        Recipe(method="egnn", base={"width": 64, "layers": 4}, settings={"lr": 5e-4}),
        Recipe(method="learned", sampler=NBODY_SAMPLER),
        Recipe(method="canonical", sampler=NBODY_SAMPLER),
        Recipe(method="transformer", protocol="paper", settings={"test_samples": 200}),
        Recipe(method="transformer", protocol="quick", base={"layers": 2}),
    ),
)  # fmt: skip


TASKS: tuple[TaskCard, ...] = (GRAPH8C, EXP_CLASSIFY, NBODY)
