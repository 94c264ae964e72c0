"""Tasks that classify the nodes of graphs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tasks.cards import Recipe, TaskCard
from tasks.catalogue.shared import (
    FINE_TUNING,
    GRAPH_FEATURES,
    ORIGIN,
    OTHER_NETWORKS,
    PAPER,
    PUBLISHED_Q,
    QUICK_TRAINING,
    QUICK_VIT,
    VALIDATION_LOSS,
    SplitSettings,
    cheaper_fine_tuning,
    split_size,
    with_q,
)
from tasks.limits import COUNT, Range
from tasks.settings import setting

BENCHMARK = "Dwivedi et al. 2020, arXiv 2003.00982"
PATTERN_NODES = 188
PATTERN_SIZES = {"train": 10_000, "validation": 2_000, "test": 2_000}
# The published k in training, validation and test of samplers for which they are not 1, 10 and 10.
SAMPLES = {
    "ga": {"train_samples": 10},
    "fa": {"valid_samples": 1, "test_samples": 1},
    "canonical": {"valid_samples": 1, "test_samples": 1},
}


@dataclass(frozen=True, kw_only=True)
class PatternSettings(SplitSettings):
    """Settings of the task ``pattern``."""

    data: str = setting(
        "auto",
        ORIGIN,
        "Which graphs; auto takes the official file if it is found, otherwise generated ones; official downloads it.",
        BENCHMARK,
    )
    nodes: int = setting(PATTERN_NODES, Range(least=9, whole=True), "Largest number of nodes of a graph.", BENCHMARK)
    patterns: int = setting(100, COUNT, "Number of patterns; every generated graph contains one of them.", BENCHMARK)
    train: int = split_size("training", 10_000, source=BENCHMARK)
    validation: int = split_size("validation", 2_000, source=BENCHMARK)
    test: int = split_size("test", 2_000, source=BENCHMARK)


def _pattern_data(settings: PatternSettings) -> PatternSettings:
    """Replaces ``auto`` by ``official`` if the published file is found, otherwise by ``generated``.

    Graphs of other sizes than the published ones are generated.
    """
    from tasks.sources.pattern import available

    if settings.data != "auto":
        return settings
    return replace(settings, data=available() if settings.nodes == PATTERN_NODES else "generated")


def _pattern_check(settings: PatternSettings) -> str | None:
    if settings.data != "official":
        return None
    if settings.nodes != PATTERN_NODES:
        return f"the official graphs have nodes: {PATTERN_NODES}, not {settings.nodes}"
    for split, size in settings.sizes.items():
        if size > PATTERN_SIZES[split]:
            return f"the official data has {PATTERN_SIZES[split]:,} examples for {split}, not {size:,}"
    return None


PATTERN_PAPER = replace(
    FINE_TUNING, max_steps=25_000, test_repeats=6, curve_samples=(1, 10), curve_size=2_000, curve_repeats=6
)
PATTERN_PROTOCOLS = {
    "paper": PATTERN_PAPER,
    "standard": cheaper_fine_tuning(PATTERN_PAPER, validate_every=2),
    "quick": replace(
        QUICK_TRAINING,
        epochs=10,
        batch_size=20,
        warmup_epochs=2,
        train_size=200,
        valid_size=100,
        test_size=100,
        test_samples=10,
        test_repeats=2,
        curve_samples=(1, 2, 5, 10),
        curve_size=50,
    ),
}

PATTERN = TaskCard(
    name="pattern",
    title="PATTERN: nodes of a planted pattern",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="node_scalars",
    metric="accuracy",
    direction="max",
    control="accuracy_transformed",
    deviations=(VALIDATION_LOSS,),
    version="2",
    source=f"{BENCHMARK}; {PAPER}, section 4.3",
    implementation="tasks.pattern:PatternTask",
    form="supervised",
    settings=PatternSettings,
    max_nodes=lambda settings: settings.nodes,
    size=lambda settings: settings.nodes,
    check=_pattern_check,
    resolve=_pattern_data,
    variant=lambda settings: "generated variant of PATTERN" if settings.data == "generated" else None,
    protocols=PATTERN_PROTOCOLS,
    recipes=(
        *OTHER_NETWORKS,
        *with_q(PUBLISHED_Q | {"dropout": 0.1}),
        *(
            Recipe(method=name, protocol=protocol, settings=settings)
            for name, settings in SAMPLES.items()
            for protocol in ("paper", "standard")
        ),
        Recipe(method="transformer", protocol="quick", base={"layers": 2, "width": 32}),
        QUICK_VIT,
        Recipe(method="vit", base={"node_features": "diagonal"}),
    ),
)
