"""Made to be measured: graphs of which every symmetry is known."""

from __future__ import annotations

from tasks.cards import Recipe, TaskCard
from tasks.catalogue.shared import GRAPH_FEATURES, PAPER, QUICK_VIT, S_N_SAMPLER
from tasks.protocol import Protocol

INNER_SYMMETRY = TaskCard(
    name="inner_symmetry",
    title="Inner symmetry: spread within orbits of nodes over spread between them",
    group=("S_n",),
    inputs=GRAPH_FEATURES,
    output="node_scalars",
    metric="spread_ratio",
    direction="min",
    control="spread_ratio_moved",
    version="1",
    source=f"{PAPER}, appendix",
    implementation="tasks.inner_symmetry:InnerSymmetry",
    max_nodes=lambda params: 25,
    protocols={
        "paper": Protocol(epochs=0, test_samples=100, test_repeats=5),
        "quick": Protocol(epochs=0, test_samples=20, test_repeats=2, curve_samples=(1, 4, 16)),
    },
    recipes=(
        Recipe(method="mlp", base={"widths": [2048, 4096, 2048], "activation": "relu", "reads": ["edges"]}),
        Recipe(method="mlp", protocol="quick", base={"widths": [256, 512, 256]}),
        Recipe(method="transformer", protocol="quick", base={"layers": 2}),
        Recipe(method="learned", sampler=S_N_SAMPLER),
        Recipe(method="canonical", sampler=S_N_SAMPLER),
        QUICK_VIT,
    ),
)
