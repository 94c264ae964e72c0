"""Tasks on points in space."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tasks.cards import Recipe, TaskCard, given_examples
from tasks.catalogue.shared import (
    PAPER,
    SHORT_TRAINING,
    STANDARD_TRAINING,
    SplitSettings,
    data_seed,
    split_size,
    with_q,
)
from tasks.limits import COUNT, NOT_NEGATIVE, PART, OneOf, Range
from tasks.protocol import Protocol
from tasks.settings import setting

KIPF, SATORRAS = "Kipf et al. 2018", "Satorras et al. 2021"
NBODY_SAMPLER = {"noise_scale": 1.0, "temperature": 0.1, "width": 64, "neighbours": 4, "entropy_weight": 0.1}


@dataclass(frozen=True, kw_only=True)
class NBodySettings(SplitSettings):
    """Settings of the task ``nbody``."""

    nodes: int = setting(5, Range(least=2, most=100, whole=True), "Number of particles.", KIPF)
    train: int = split_size("training", 3_000, Range(least=1, most=10_000, whole=True), SATORRAS)
    validation: int = split_size("validation", 2_000, Range(least=1, most=2_000, whole=True), SATORRAS)
    test: int = split_size("test", 2_000, Range(least=1, most=2_000, whole=True), SATORRAS)
    data_seed: int = data_seed(43, SATORRAS)


NBODY = TaskCard(
    name="nbody",
    title="n-body: positions of charged particles after 1,000 steps",
    group=("S_n", "E(3)"),
    inputs=frozenset({"points", "vectors", "edges"}),
    output="node_points",
    metric="mse",
    direction="min",
    control="mse_transformed",
    version="2",
    source=f"{KIPF}; {SATORRAS}; {PAPER}, section 4.2",
    implementation="tasks.nbody:NBody",
    settings=NBodySettings,
    max_nodes=lambda settings: settings.nodes,
    size=lambda settings: settings.nodes,
    form="supervised",
    edge_scalars=2,
    protocols={
        "paper": Protocol(
            epochs=10_001,
            batch_size=100,
            drop_last=True,
            lr=1e-3,
            weight_decay=1e-12,
            train_samples=20,
            valid_samples=20,
            test_samples=20,
            test_repeats=5,
        ),
        "standard": Protocol(
            epochs=1_000,
            batch_size=100,
            drop_last=True,
            lr=1e-3,
            weight_decay=1e-12,
            validate_every=10,
            train_samples=20,
            valid_samples=20,
            test_samples=20,
            test_repeats=5,
        ),
        "quick": Protocol(
            epochs=20,
            batch_size=100,
            drop_last=True,
            lr=1e-3,
            weight_decay=1e-12,
            train_size=500,
            valid_size=200,
            test_size=500,
            train_samples=2,
            valid_samples=4,
            test_samples=20,
            test_repeats=2,
            validate_every=2,
        ),
    },
    recipes=(
        Recipe(method="transformer", base={"width": 64, "layers": 8, "heads": 4, "equal_layers": True}),
        Recipe(method="gnn", base={"width": 60, "layers": 4}),
        Recipe(method="fa_gnn", base={"width": 60, "layers": 4}),
        # As in the code of the EGNN paper, where this network reads the product of charges but no distances.
        Recipe(method="mpnn", base={"width": 64, "layers": 4, "edge_channels": 1}, settings={"lr": 5e-4}),
        Recipe(method="egnn", base={"width": 64, "layers": 4}, settings={"lr": 5e-4}),
        Recipe(method="radial_field", base={"width": 64, "layers": 4}, settings={"lr": 5e-4}),
        Recipe(method="tfn", base={"reach": 10.0}, settings={"lr": 5e-4}),
        *with_q(NBODY_SAMPLER | {"dropout_unit": "coordinate"}),
        # The loop of Satorras et al. runs as many epochs as it is configured for, and validates after every fifth.
        *(
            Recipe(method=name, protocol="paper", settings={"epochs": 10_000, "validate_every": 5})
            for name in ("egnn", "radial_field")
        ),
        *(
            Recipe(method="transformer", protocol=protocol, settings={"test_samples": 200})
            for protocol in ("paper", "standard")
        ),
        Recipe(method="transformer", protocol="quick", base={"layers": 2}),
    ),
)

MODELNET = "Wu et al. 2015 (ModelNet)"
SHAPES_SAMPLER = {"noise_scale": 1.0, "temperature": 0.1, "width": 64, "neighbours": 8, "entropy_weight": 0.1}
GENERATED_SHAPES = {"train": 2400, "validation": 600, "test": 1200}


def _shapes_size(split: str) -> int | None:
    return setting(
        None, COUNT, f"Number of {split} examples; null takes the default of generated shapes, or all of ModelNet."
    )


@dataclass(frozen=True, kw_only=True)
class ShapesSettings:
    """Settings of the tasks ``shapes_o3`` and ``shapes_se3``."""

    data: str = setting(
        "auto",
        OneOf("auto", "generated", "modelnet10", "modelnet40"),
        "Which shapes; auto takes the larger ModelNet that is in a data folder, or generated shapes.",
        MODELNET,
    )
    points: int = setting(64, COUNT, "Number of points of a cloud.")
    noise: float = setting(0.02, NOT_NEGATIVE, "Standard deviation of noise on every coordinate.")
    occlusion: float = setting(0.25, PART, "Fraction of a surface that is occluded.")
    poses: str = setting(
        "random", OneOf("random", "aligned"), "Whether clouds have random poses or their original ones."
    )
    train: int | None = _shapes_size("training")
    validation: int | None = _shapes_size("validation")
    test: int | None = _shapes_size("test")
    data_seed: int = data_seed()

    @property
    def sizes(self) -> dict[str, int]:
        """Number of examples of each split of generated shapes."""
        return {**GENERATED_SHAPES, **given_examples(self)}


def _shapes_data(settings: ShapesSettings) -> ShapesSettings:
    """Replaces ``auto`` by the larger ModelNet in a data folder or ``generated``, and null sizes by their default."""
    from tasks.sources.modelnet import available

    data = available() if settings.data == "auto" else settings.data
    sizes = settings.sizes if data == "generated" else {}
    return replace(
        settings, data=data, train=sizes.get("train"), validation=sizes.get("validation"), test=sizes.get("test")
    )


def _shapes(name: str, title: str, symmetry: str, implementation: str) -> TaskCard:
    """A task on shapes. No protocol is published for these poses."""
    return TaskCard(
        name=name,
        title=title,
        group=("S_n", symmetry),
        inputs=frozenset({"points"}),
        output="graph_scalars",
        metric="accuracy",
        direction="max",
        control="accuracy_transformed",
        version="2",
        source=f"{MODELNET}; protocol and generated shapes by symbench",
        implementation=implementation,
        extra="vision",
        settings=ShapesSettings,
        max_nodes=lambda settings: settings.points,
        size=lambda settings: settings.points,
        size_name="points",
        form="supervised",
        resolve=_shapes_data,
        variant=lambda settings: "generated shapes" if settings.data == "generated" else None,
        protocols={
            "standard": replace(STANDARD_TRAINING, epochs=150, batch_size=32, test_samples=10, test_repeats=5),
            "quick": replace(SHORT_TRAINING, epochs=15, batch_size=32, train_size=600, validate_every=3),
        },
        recipes=(*with_q(SHAPES_SAMPLER),),
    )


SHAPES_O3 = _shapes(
    "shapes_o3", "Shapes: clouds of points in any pose, including reflections", "O(3)", "tasks.shapes:Shapes"
)
SHAPES_SE3 = _shapes(
    "shapes_se3",
    "Shapes: clouds of points in any pose, with mirror images as different classes",
    "SE(3)",
    "tasks.shapes:ProperShapes",
)
