"""Tasks on images, without a symmetry: what a base model can be pretrained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tasks.cards import TaskCard
from tasks.catalogue.shared import QUICK_VIT, SHORT_TRAINING, STANDARD_TRAINING, SplitSettings, split_size
from tasks.limits import COUNT, OneOf, Range
from tasks.settings import setting
from tasks.symmetry.names import TRIVIAL

FRACTALS_SOURCE = "Kataoka et al. 2020, arXiv 2101.08515"
DIGITS_SOURCE = "Alpaydin and Kaynak 1998, in scikit-learn"


@dataclass(frozen=True, kw_only=True)
class FractalsSettings(SplitSettings):
    """Settings of the task ``fractals``."""

    side: int = setting(32, COUNT, "Number of pixels along each side of an image.")
    classes: int = setting(50, Range(least=2, whole=True), "Number of classes, each an iterated function system.")
    train: int = split_size("training", 2_000)
    validation: int = split_size("validation", 500)
    test: int = split_size("test", 500)
    labels: str = setting(
        "true", OneOf("true", "shuffled"), "Whether images keep their labels, or labels are shuffled as a control."
    )


@dataclass(frozen=True, kw_only=True)
class DigitsSettings(SplitSettings):
    """Settings of the task ``digits``."""

    side: int = setting(32, Range(least=8, whole=True), "Number of pixels along each side of an enlarged image.")
    train: int = split_size("training", 1_200)
    validation: int = split_size("validation", 297)
    test: int = split_size("test", 300)


def _too_many_digits(settings: DigitsSettings) -> str | None:
    asked = sum(settings.sizes.values())
    return f"there are 1,797 digits, and train, validation and test ask for {asked:,}" if asked > 1_797 else None


PROTOCOLS = {
    "standard": replace(STANDARD_TRAINING, epochs=100, batch_size=64, train_samples=1),
    "quick": replace(SHORT_TRAINING, epochs=10, batch_size=32, train_samples=1),
}


def _task(
    name: str, title: str, source: str, implementation: str, settings: type[SplitSettings], **other: Any
) -> TaskCard:
    return TaskCard(
        name=name,
        title=title,
        group=(TRIVIAL,),
        inputs=frozenset({"edges"}),
        output="graph_scalars",
        metric="accuracy",
        direction="max",
        control=None,
        source=f"{source}; protocol by symbench",
        implementation=implementation,
        settings=settings,
        max_nodes=lambda settings: settings.side,
        edge_scalars=1,
        protocols=PROTOCOLS,
        recipes=(QUICK_VIT,),
        **other,
    )


FRACTALS = _task(
    "fractals",
    "Fractals: iterated function systems, without a symmetry",
    FRACTALS_SOURCE,
    "tasks.images:Fractals",
    FractalsSettings,
)
DIGITS = _task(
    "digits",
    "Digits: handwritten digits, without a symmetry",
    DIGITS_SOURCE,
    "tasks.images:Digits",
    DigitsSettings,
    extra="vision",
    check=_too_many_digits,
)
