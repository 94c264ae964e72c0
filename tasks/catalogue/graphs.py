"""Tasks that separate or classify graphs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tasks.cards import Recipe, TaskCard
from tasks.catalogue.shared import GRAPH_FEATURES, ORIGIN, PAPER, PUBLISHED_Q, QUICK_VIT, S_N_SAMPLER, with_q
from tasks.limits import COUNT, SEED
from tasks.protocol import Protocol
from tasks.settings import setting

ABBOUD = "Abboud et al. 2021"
BREC_SOURCE = "Wang and Zhang 2023, arXiv 2304.07702"


@dataclass(frozen=True, kw_only=True)
class ExpSettings:
    """Settings of the tasks ``exp`` and ``exp_classify``."""

    data: str = setting(
        "auto", ORIGIN, "Which graphs; auto takes the official file if it is found, otherwise generated ones.", ABBOUD
    )
    generator_seed: int = setting(0, SEED, "Seed of generated graphs.")


@dataclass(frozen=True, kw_only=True)
class BrecSettings:
    """Settings of the task ``brec``."""

    max_nodes: int = setting(198, COUNT, "Largest number of nodes; pairs of larger graphs are excluded.", BREC_SOURCE)


def _exp_data(settings: ExpSettings) -> ExpSettings:
    """Replaces ``auto`` by ``official`` if the public file is found, otherwise by ``generated`` (a variant of EXP)."""
    from tasks.sources.exp import available

    return replace(settings, data=available()) if settings.data == "auto" else settings


def _exp_variant(settings: ExpSettings) -> str | None:
    return "generated variant of EXP" if settings.data == "generated" else None


# GIN, GCN, GAT and PPGN have the sizes of Balcilar et al. 2021. Nothing is published for GatedGCN and GPS: a final tanh
# would saturate, and without it some copies are separated by rounding errors in single precision.
EMBEDDINGS = (
    *(
        Recipe(method=name, base={"width": width, "layers": 3, "activation": "tanh", "final_activation": True})
        for name, width in (("gin_id", 64), ("gin", 64), ("gcn", 64), ("gat", 128), ("ppgn", 32))
    ),
    *(Recipe(method=name, settings={"precision": "float64"}) for name in ("gated_gcn", "gps")),
)

GRAPH8C = TaskCard(
    name="graph8c",
    title="GRAPH8c: pairs of 11,117 graphs never separated",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="graph_scalars",
    metric="unseparated",
    direction="min",
    control="unseparated_sound",
    version="2",
    source=f"Balcilar et al. 2021; {PAPER}, section 4.1",
    implementation="tasks.graph8c:Graph8c",
    extra="graphs",
    form="separation",
    max_nodes=lambda settings: 8,
    protocols={
        "paper": Protocol(initialisations=100, test_samples=10, curve_size=500),
        "standard": Protocol(initialisations=20, test_samples=10, curve_size=500),
        "quick": Protocol(initialisations=3, test_samples=10, batch_size=200, curve_size=500),
    },
    recipes=(
        Recipe(
            method="mlp", base={"widths": [128, 64], "activation": "tanh", "final_activation": True, "reads": ["edges"]}
        ),
        *EMBEDDINGS,
        *with_q(PUBLISHED_Q),
        Recipe(method="transformer", protocol="quick", base={"layers": 2}, settings={"initialisations": 1}),
        QUICK_VIT,
    ),
)

EXP = TaskCard(
    name="exp",
    title="EXP: pairs of 600 never separated",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="graph_scalars",
    metric="unseparated",
    direction="min",
    control="unseparated_sound",
    version="2",
    source=f"{ABBOUD}; {PAPER}, section 4.1",
    implementation="tasks.exp:Exp",
    extra="graphs",
    form="separation",
    settings=ExpSettings,
    max_nodes=lambda settings: 64,
    resolve=_exp_data,
    variant=_exp_variant,
    protocols={
        "paper": Protocol(initialisations=100, test_samples=10, curve_size=200),
        "standard": Protocol(initialisations=20, test_samples=10, curve_size=200),
        "quick": Protocol(initialisations=2, test_samples=10, curve_size=100, curve_samples=(1, 4, 16)),
    },
    recipes=(
        Recipe(
            method="mlp",
            base={
                "widths": [2048, 4096, 2048],
                "activation": "tanh",
                "final_activation": True,
                "reads": ["node_scalars", "edges"],
            },
        ),
        *EMBEDDINGS,
        *with_q(PUBLISHED_Q),
        Recipe(method="mlp", protocol="quick", base={"widths": [256, 512, 256]}),
        Recipe(method="ppgn", protocol="quick", base={"width": 8}),
        QUICK_VIT,
    ),
)

EXP_CLASSIFY = TaskCard(
    name="exp_classify",
    title="EXP-classify: satisfiability of formulas",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="graph_scalars",
    metric="accuracy",
    direction="max",
    control="accuracy_transformed",
    version="2",
    source=f"{ABBOUD}; {PAPER}, section 4.1",
    implementation="tasks.exp:ExpClassify",
    extra="graphs",
    form="probabilistic",
    examples=lambda settings: {"train": 800, "validation": 200, "test": 200},
    settings=ExpSettings,
    max_nodes=lambda settings: 64,
    resolve=_exp_data,
    variant=_exp_variant,
    protocols={
        "paper": Protocol(epochs=2001, batch_size=100, lr=1e-3, warmup_epochs=200, clip_norm=0.1),
        "standard": Protocol(epochs=400, batch_size=100, lr=1e-3, warmup_epochs=40, clip_norm=0.1),
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
        Recipe(method="gin_id", base={"width": 64, "layers": 3, "activation": "relu", "head": [10]}),
        *(
            Recipe(method=name, base={"width": width, "layers": 3, "head": [10]})
            for name, width in (("gin", 64), ("gcn", 64), ("gat", 128), ("ppgn", 20))
        ),
        *(Recipe(method=name, base={"head": [10]}) for name in ("gated_gcn", "gps")),
        *(
            Recipe(method=name, protocol="paper", settings={"epochs": 1001})
            for name in ("gin_id", "gin", "gcn", "gat", "ppgn", "gated_gcn", "gps")
        ),
        *with_q(PUBLISHED_Q),
        Recipe(
            method="mlp",
            protocol="quick",
            base={"widths": [256, 512, 256, 10]},
            settings={"epochs": 60, "batch_size": 50, "train_samples": 4, "warmup_epochs": 5, "validate_every": 5},
        ),
        Recipe(method="ppgn", protocol="quick", base={"width": 8}, settings={"epochs": 2}),
        QUICK_VIT,
    ),
)

BREC = TaskCard(
    name="brec",
    title="BREC: pairs of 400 separated reliably",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="graph_scalars",
    metric="separated",
    direction="max",
    control="unreliable",
    deviations=(
        "Both tests use new copies of graphs; the official code uses those of training",
        "A pair counts only if a graph is not separated from itself; the official code ignores that test",
        "All epochs are trained; the official code stops at a loss of 0.2",
    ),
    version="1",
    source=BREC_SOURCE,
    implementation="tasks.brec:Brec",
    extra="graphs",
    form="paired",
    examples=lambda settings: {"test": 400},
    settings=BrecSettings,
    max_nodes=lambda settings: settings.max_nodes,
    protocols={
        # An example is a copy of both graphs of a pair. As published for PPGN, except that all epochs are trained, at a
        # constant rate, in float64, so that pairs are not separated by rounding errors.
        "paper": Protocol(
            epochs=20, batch_size=16, lr=1e-4, weight_decay=1e-4, precision="float64", train_samples=10, test_samples=10
        ),
        # Untrained models on the smallest pairs of each category.
        "quick": Protocol(epochs=0, batch_size=32, precision="float64", train_samples=4, test_samples=4, test_size=21),
    },
    recipes=(
        Recipe(method="ppgn", base={"width": 32, "layers": 5}),
        *with_q(S_N_SAMPLER),
        QUICK_VIT,
    ),
)
