"""Tasks of the long-range graph benchmark, on molecules with many atoms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tasks.cards import Params, Recipe, TaskCard
from tasks.catalogue.shared import (
    FINE_TUNING,
    GRAPH_FEATURES,
    OTHER_NETWORKS,
    PAPER,
    PUBLISHED_Q,
    QUICK_TRAINING,
    QUICK_VIT,
    VALIDATION_LOSS,
    cheaper_fine_tuning,
    with_q,
)
from tasks.limits import Range
from tasks.settings import setting

LRGB = "Dwivedi et al. 2022, arXiv 2206.08164"
PEPTIDES_NODES, PCQM_NODES = 444, 53  # the largest published graphs
PADDING = "Number of nodes that every graph is padded to."
PEPTIDES_SIZES = {"train": 10_873, "validation": 2_331, "test": 2_331}
PEPTIDES_PAPER = replace(
    FINE_TUNING,
    epochs=10_000,
    weight_decay=0.1,
    monitor="metric",
    test_samples=100,
    test_repeats=3,
    curve_samples=(1, 2, 5, 10),
    curve_size=500,
)
PEPTIDES_PROTOCOLS = {
    "paper": PEPTIDES_PAPER,
    "standard": cheaper_fine_tuning(PEPTIDES_PAPER, validate_every=2, valid_samples=1, test_samples=10),
    "quick": replace(QUICK_TRAINING, batch_size=16, train_size=320, valid_size=96, test_size=96, curve_size=48),
}
PCQM_PAPER = replace(FINE_TUNING, lr=5e-5, train_samples=10, curve_samples=(1, 2, 5, 10), curve_size=500)
PCQM_PROTOCOLS = {
    "paper": PCQM_PAPER,
    "standard": cheaper_fine_tuning(PCQM_PAPER, valid_size=5_000, test_size=5_000, train_samples=2, valid_samples=2),
    "quick": replace(QUICK_TRAINING, batch_size=20, train_size=500, valid_size=100, test_size=100, curve_size=50),
}
PEPTIDES_RECIPES = (
    *OTHER_NETWORKS,
    Recipe(method="mlp", base={"reads": ["node_scalars"]}),  # 1.6 million edge scalars are too many for an MLP
    *with_q(PUBLISHED_Q | {"dropout": 0.1}),
    QUICK_VIT,
    Recipe(method="vit", base={"node_features": "sequence", "centred": True, "patch_dropout": 0.5}),
)


@dataclass(frozen=True, kw_only=True)
class PeptidesSettings:
    """Settings of the tasks ``peptides_func`` and ``peptides_struct``."""

    nodes: int = setting(PEPTIDES_NODES, Range(least=PEPTIDES_NODES, whole=True), PADDING, LRGB)


@dataclass(frozen=True, kw_only=True)
class PCQMContactSettings:
    """Settings of the task ``pcqm_contact``."""

    nodes: int = setting(PCQM_NODES, Range(least=PCQM_NODES, whole=True), PADDING, LRGB)


PATCHES_IN_TRAINING = "Patches are dropped in training only; the official network also drops them in evaluation"


def _peptides(
    name: str,
    title: str,
    implementation: str,
    *,
    metric: str,
    direction: Literal["max", "min"],
    vit: Params,
    deviations: tuple[str, ...] = (),
) -> TaskCard:
    """A task on the peptides; ``vit`` are the settings of its vision transformer."""
    return TaskCard(
        name=name,
        title=title,
        group=("S_n",),
        inputs=GRAPH_FEATURES,
        output="graph_scalars",
        metric=metric,
        direction=direction,
        control=f"{metric}_transformed",
        deviations=(PATCHES_IN_TRAINING, *deviations),
        version="2",
        source=f"{LRGB}; {PAPER}, section 4.4",
        implementation=implementation,
        form="supervised",
        examples=lambda settings: PEPTIDES_SIZES,
        settings=PeptidesSettings,
        max_nodes=lambda settings: settings.nodes,
        protocols=PEPTIDES_PROTOCOLS,
        recipes=(*PEPTIDES_RECIPES, Recipe(method="vit", base=vit)),
    )


PEPTIDES_FUNC = _peptides(
    "peptides_func",
    "Peptides-func: ten functions of a peptide",
    "tasks.peptides:PeptidesFunc",
    metric="ap",
    direction="max",
    vit={"padding": "reflect"},
    deviations=("Unknown labels are excluded from the average precision; the official evaluator fails for them",),
)
PEPTIDES_STRUCT = _peptides(
    "peptides_struct",
    "Peptides-struct: eleven properties of a peptide's shape",
    "tasks.peptides:PeptidesStruct",
    metric="mae",
    direction="min",
    vit={"padding": "circular", "patch_dropout_drawn": True},
)
PCQM_CONTACT = TaskCard(
    name="pcqm_contact",
    title="PCQM-Contact: atoms that are close in space",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="edge_scalars",
    metric="mrr",
    direction="max",
    control="mrr_transformed",
    deviations=(
        "Half of equal scores count as higher; the official code ranks them by a sort, nearly always the contact first",
        "A molecule without contacts scores 0; the official evaluator fails for it",
        VALIDATION_LOSS,
    ),
    version="2",
    source=f"{LRGB}; {PAPER}, section 4.4",
    implementation="tasks.pcqm_contact:PCQMContact",
    form="supervised",
    settings=PCQMContactSettings,
    max_nodes=lambda settings: settings.nodes,
    protocols=PCQM_PROTOCOLS,
    recipes=(
        *OTHER_NETWORKS,
        *with_q(PUBLISHED_Q),
        QUICK_VIT,
        Recipe(method="vit", base={"node_features": "sequence"}),
    ),
)
