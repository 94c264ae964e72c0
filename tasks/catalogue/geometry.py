"""Points in space."""

from __future__ import annotations

from tasks.cards import Recipe, TaskCard
from tasks.catalogue.shared import PAPER
from tasks.protocol import Protocol

NBODY_SAMPLER = {"noise_scale": 1.0, "temperature": 0.1, "width": 64, "neighbours": 4, "entropy_weight": 0.1}

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
