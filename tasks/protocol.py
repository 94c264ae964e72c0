"""The settings of training and evaluation that a task registers under the name of a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from tasks.limits import COUNT, FLAG, NOT_NEGATIVE, POSITIVE, Limits, Numbers, OneOf, Range
from tasks.settings import limits_of, setting

NATURAL = Range(least=0, whole=True)
AT_LEAST_TWO = Range(least=2, whole=True)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Optimiser, schedule, budget and group samples of one run.

    Under the protocol ``paper`` the numbers of epochs and steps are those of the official loops, which run one more
    than they are configured for (2,001 for 2,000). The warm-up lasts ``warmup_epochs`` plus ``warmup_steps``.
    """

    epochs: int = setting(0, NATURAL, "Number of passes over the training set; 0 skips training.")
    max_steps: int | None = setting(None, COUNT, "Largest number of steps; null for no limit.")
    batch_size: int = setting(100, COUNT, "Number of examples in a batch.")
    drop_last: bool = setting(False, FLAG, "Whether the last batch of a pass is dropped if it is not full.")
    optimizer: Literal["adam", "adamw"] = setting("adam", OneOf("adam", "adamw"), "Optimizer.")
    lr: float = setting(1e-3, POSITIVE, "Learning rate.")
    weight_decay: float = setting(0.0, NOT_NEGATIVE, "Weight decay of the optimizer.")
    schedule: Literal["constant", "linear"] = setting(
        "constant", OneOf("constant", "linear"), "Learning rate after the warm-up: constant, or linear down to 0."
    )
    warmup_epochs: int = setting(0, NATURAL, "Number of passes over which the learning rate rises from 0.")
    warmup_steps: int = setting(0, NATURAL, "Number of steps over which the learning rate rises from 0.")
    clip_norm: float | None = setting(
        None, POSITIVE, "Largest norm of the gradient, which is scaled down to it; null does not clip."
    )
    monitor: Literal["loss", "metric"] = setting(
        "loss",
        OneOf("loss", "metric"),
        "What selects the best weights and ends patience on the validation set: the loss or the metric of the task.",
    )
    patience: int | None = setting(
        None, COUNT, "Number of validations without improvement after which training ends; null never ends early."
    )
    validate_every: int = setting(1, COUNT, "Number of passes from one validation to the next.")
    precision: Literal["float32", "float64", "bfloat16"] = setting(
        "float32",
        OneOf("float32", "float64", "bfloat16"),
        "Floating-point type; bfloat16 applies only to the base network in training.",
    )
    compile: bool = setting(
        False,
        FLAG,
        "Whether torch.compile is used in training: results agree up to rounding, except for dropout masks.",
    )
    train_samples: int = setting(10, COUNT, "Group elements for each example in training (the paper's k).")
    valid_samples: int = setting(10, COUNT, "Group elements for each example in validation.")
    test_samples: int = setting(10, COUNT, "Group elements for each example in the test.")
    test_repeats: int = setting(1, COUNT, "Number of times that the test is repeated with other group elements.")
    train_size: int | None = setting(None, COUNT, "Number of training examples to use; null uses all.")
    valid_size: int | None = setting(None, COUNT, "Number of validation examples to use; null uses all.")
    test_size: int | None = setting(None, COUNT, "Number of test examples to use; null uses all.")
    initialisations: int = setting(100, COUNT, "Number of untrained models in a separation task.")
    curve_samples: tuple[int, ...] = setting(
        (1, 2, 4, 8, 16, 32, 64),
        Numbers(1, some=True),
        "Numbers of group elements at which the sample complexity curve is measured.",
    )
    curve_size: int = setting(100, COUNT, "Number of test examples for the sample complexity curve.")
    curve_repeats: int = setting(
        2, AT_LEAST_TWO, "Number of predictions from which the variance on the curve is estimated."
    )
    variance_samples: tuple[int, ...] = setting(
        (),
        Numbers(1),
        "Numbers of group elements at which the variance of output and loss, and the entropy of the mean "
        "permutation, are measured on the validation set before and after training; empty for none.",
    )
    variance_repeats: int = setting(
        100, AT_LEAST_TWO, "Number of predictions from which the variance at variance_samples is estimated."
    )
    analysis_epochs: tuple[int, ...] = setting(
        (),
        Numbers(0),
        "Epochs after which the entropy of the mean permutation and the norm of the mean gradient are measured; "
        "0 is before training, and epochs after the last one are ignored.",
    )

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            value = list(value) if isinstance(value, tuple) else value
            if value is None and name in OPTIONAL:
                continue
            if reason := limit.wrong(value):
                raise ValueError(f"{name} must be {_said(limit, value, reason)}, not {value}")
            normal: Any = limit.normal(value)
            object.__setattr__(self, name, tuple(normal) if isinstance(normal, list) else normal)

    @staticmethod
    def recorded(values: Mapping[str, Any]) -> Protocol:
        """The settings of a recorded run, without checking limits, which may have changed since.

        Raises:
            TypeError: A setting is unknown.
        """
        protocol = Protocol()
        if unknown := values.keys() - {item.name for item in fields(Protocol)}:
            raise TypeError(f"there are no settings {', '.join(sorted(unknown))}")
        for name, value in values.items():
            object.__setattr__(protocol, name, tuple(value) if isinstance(value, list) else value)
        return protocol


LIMITS: Limits = limits_of(Protocol)
"""The limits of all settings, for values other than None."""

OPTIONAL = frozenset(item.name for item in fields(Protocol) if item.default is None)
"""The settings that may be None."""


def _said(limit: Any, value: Any, reason: str) -> str:
    """The reason without the type if the value is a number of the right type."""
    if isinstance(limit, Range) and type(value) in (int, *(() if limit.whole else (float,))) and reason == str(limit):
        return reason.removeprefix("a whole number, ").replace("above 0", "positive")
    return reason
