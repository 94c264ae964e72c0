"""Settings and recipes that the cards of several families share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tasks.cards import Input, Params, Recipe
from tasks.limits import COUNT, SEED, Limit, OneOf
from tasks.protocol import Protocol
from tasks.settings import setting

PAPER = "Kim et al. 2023, arXiv 2306.02866"
ORIGIN = OneOf("auto", "official", "generated")
GRAPH_FEATURES: frozenset[Input] = frozenset({"node_scalars", "edges"})
VALIDATION_LOSS = "The validation loss is that of the whole split; in the official code it is the mean over batches"
S_N_SAMPLER = {"noise_scale": 1.0, "temperature": 0.01, "sinkhorn_steps": 20, "width": 64, "layers": 3}
# q as published: without a linear map before the first layer, and with padded rows in batch normalisation.
PUBLISHED_Q = S_N_SAMPLER | {"input_linear": False, "norm_padding": True, "entropy_weight": 0.1}

# Vision transformers are fine-tuned as published; ``quick`` trains a small one from scratch.
FINE_TUNING = Protocol(
    epochs=1_000,
    max_steps=50_000,
    batch_size=128,
    drop_last=True,
    optimizer="adamw",
    lr=1e-5,
    weight_decay=0.01,
    schedule="linear",
    warmup_steps=5_000,
    patience=100,
    precision="bfloat16",
    train_samples=1,
)
QUICK_TRAINING = Protocol(
    epochs=3,
    optimizer="adamw",
    lr=1e-3,
    weight_decay=0.01,
    schedule="linear",
    warmup_epochs=1,
    train_samples=1,
    valid_samples=1,
    test_samples=4,
    curve_samples=(1, 2, 4),
)
# Tasks without published settings train from scratch.
STANDARD_TRAINING = Protocol(
    lr=1e-3,
    schedule="linear",
    warmup_epochs=5,
    clip_norm=1.0,
    train_samples=4,
    valid_samples=10,
    validate_every=5,
)
SHORT_TRAINING = Protocol(
    lr=2e-3,
    schedule="linear",
    warmup_epochs=1,
    clip_norm=1.0,
    valid_size=200,
    test_size=300,
    train_samples=2,
    valid_samples=4,
    test_samples=10,
)


def cheaper_fine_tuning(paper: Protocol, **changes: Any) -> Protocol:
    """The protocol ``standard`` of a task whose protocol ``paper`` fine-tunes: fewer steps, no early stopping."""
    return replace(paper, max_steps=8_000, warmup_steps=1_600, patience=None, **changes)


def split_size(split: str, default: int, limit: Limit = COUNT, source: str = "") -> int:
    """A field for the number of examples in a split."""
    return setting(default, limit, f"Number of {split} examples.", source)


def data_seed(default: int = 0, source: str = "") -> int:
    """A field for the seed of generated data."""
    return setting(default, SEED, "Seed of generated data.", source)


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """The sizes of the splits and the seed of the data; a task sets its own defaults."""

    train: int = split_size("training", 5_000)
    validation: int = split_size("validation", 1_000)
    test: int = split_size("test", 1_000)
    data_seed: int = data_seed()

    @property
    def sizes(self) -> dict[str, int]:
        """Number of examples of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def with_q(sampler: Params, protocol: str = "*") -> tuple[Recipe, ...]:
    """The settings of the samplers that have a network q."""
    return tuple(Recipe(method=name, protocol=protocol, sampler=sampler) for name in ("ps", "canonical"))


QUICK_VIT = Recipe(
    method="vit", protocol="quick", base={"grid": 4, "width": 64, "layers": 2, "heads": 4, "weights": "random"}
)
# The published learning rates fine-tune a vision transformer; none are published for other networks.
OTHER_NETWORKS = tuple(
    Recipe(method=name, protocol=protocol, settings={"lr": 1e-3})
    for name in ("mlp", "gin_id", "transformer", "gin", "gcn", "gat", "ppgn", "gated_gcn", "gps")
    for protocol in ("paper", "standard")
)
