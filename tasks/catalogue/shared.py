"""What the cards of several families share."""

from __future__ import annotations

from tasks.cards import Input

PAPER = "Kim et al. 2023, arXiv 2306.02866"
GRAPH_FEATURES: frozenset[Input] = frozenset({"node_scalars", "edges"})
S_N_SAMPLER = {"noise_scale": 1.0, "temperature": 0.01, "sinkhorn_steps": 20, "width": 64, "layers": 3}
