"""Graphs whose nodes are classified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.cards import Recipe, TaskCard
from tasks.catalogue.shared import (
    GRAPH_FEATURES,
    ORIGIN,
    OTHER_NETWORKS,
    PAPER,
    PUBLISHED_Q,
    QUICK_VIT,
    SIZES,
    VALIDATION_LOSS,
    with_q,
)
from tasks.limits import COUNT, Range
from tasks.protocol import Protocol

PATTERN_NODES = 188
PATTERN_SIZES = {"train": 10_000, "validation": 2_000, "test": 2_000}
# The published k in training, validation and test of the samplers that do not take 1, 10 and 10.
SAMPLES = {
    "ga": {"train_samples": 10},
    "fa": {"valid_samples": 1, "test_samples": 1},
    "canonical": {"valid_samples": 1, "test_samples": 1},
}


def _pattern_data(params: Mapping[str, Any]) -> dict[str, Any]:
    """``auto`` becomes ``official`` where the published file is found, else ``generated`` (a variant of PATTERN).

    The published graphs have one size; ``data: official`` downloads the file where it is missing.
    """
    from tasks.sources.pattern import available

    if params["data"] != "auto":
        return dict(params)
    return {**params, "data": available() if params["nodes"] == PATTERN_NODES else "generated"}


def _pattern_check(params: Mapping[str, Any]) -> str | None:
    if params["data"] != "official":
        return None
    if params["nodes"] != PATTERN_NODES:
        return f"the official graphs have nodes: {PATTERN_NODES}, not {params['nodes']}"
    few = [name for name, size in PATTERN_SIZES.items() if params[name] > size]
    if few:
        return f"the official data has {PATTERN_SIZES[few[0]]:,} examples for {few[0]}, not {params[few[0]]:,}"
    return None


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
    source=f"Dwivedi et al. 2020, arXiv 2003.00982; {PAPER}, section 4.3",
    implementation="tasks.pattern:PatternTask",
    form="supervised",
    max_nodes=lambda params: int(params["nodes"]),
    size=lambda params: int(params["nodes"]),
    params={
        "data": "auto", "nodes": PATTERN_NODES, "train": 10_000, "validation": 2_000, "test": 2_000, "patterns": 100,
        "data_seed": 0,
    },
    limits={**SIZES, "data": ORIGIN, "nodes": Range(least=9, whole=True), "patterns": COUNT},
    check=_pattern_check,
    resolve=_pattern_data,
    variant=lambda params: "generated variant of PATTERN" if params["data"] == "generated" else None,
    protocols={
        "paper": Protocol(
            epochs=1_000, max_steps=25_000, batch_size=128, drop_last=True, optimizer="adamw", lr=1e-5,
            weight_decay=0.01, schedule="linear", warmup_steps=5_000, patience=100, precision="bfloat16",
            train_samples=1, valid_samples=10, test_samples=10, test_repeats=6, curve_samples=(1, 10), curve_size=2_000,
            curve_repeats=6,
        ),
        "standard": Protocol(
            epochs=1_000, max_steps=8_000, batch_size=128, drop_last=True, optimizer="adamw", lr=1e-5,
            weight_decay=0.01, schedule="linear", warmup_steps=1_600, validate_every=2, precision="bfloat16",
            train_samples=1, valid_samples=10, test_samples=10, test_repeats=6, curve_samples=(1, 10), curve_size=2_000,
            curve_repeats=6,
        ),
        "quick": Protocol(
            epochs=10, batch_size=20, optimizer="adamw", lr=1e-3, weight_decay=0.01, schedule="linear",
            warmup_epochs=2, train_size=200, valid_size=100, test_size=100, train_samples=1, valid_samples=1,
            test_samples=10, test_repeats=2, curve_size=50, curve_samples=(1, 2, 5, 10),
        ),
    },
    recipes=(
        *(Recipe(method=name, protocol=protocol, settings={"lr": 1e-3})
          for name in OTHER_NETWORKS for protocol in ("paper", "standard")),
        *with_q(PUBLISHED_Q | {"dropout": 0.1}),
        *(Recipe(method=name, protocol=protocol, settings=settings)
          for name, settings in SAMPLES.items() for protocol in ("paper", "standard")),
        Recipe(method="transformer", protocol="quick", base={"layers": 2, "width": 32}),
        QUICK_VIT,
        Recipe(method="vit", base={"node_features": "diagonal"}),
    ),
)  # fmt: skip
