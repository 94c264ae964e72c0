"""How a run is trained and scored: the settings that a task publishes under a protocol's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from tasks.limits import COUNT, FLAG, NOT_NEGATIVE, POSITIVE, Limits, Numbers, OneOf, Range

NATURAL = Range(least=0, whole=True)
AT_LEAST_TWO = Range(least=2, whole=True)
LIMITS: Limits = {
    "epochs": NATURAL,
    "max_steps": COUNT,
    "batch_size": COUNT,
    "drop_last": FLAG,
    "optimizer": OneOf("adam", "adamw"),
    "lr": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
    "schedule": OneOf("constant", "linear"),
    "warmup_epochs": NATURAL,
    "warmup_steps": NATURAL,
    "clip_norm": POSITIVE,
    "monitor": OneOf("loss", "metric"),
    "patience": COUNT,
    "validate_every": COUNT,
    "precision": OneOf("float32", "float64", "bfloat16"),
    "compile": FLAG,
    "train_samples": COUNT,
    "valid_samples": COUNT,
    "test_samples": COUNT,
    "test_repeats": COUNT,
    "train_size": COUNT,
    "valid_size": COUNT,
    "test_size": COUNT,
    "initialisations": COUNT,
    "curve_samples": Numbers(1, some=True),
    "curve_size": COUNT,
    "curve_repeats": AT_LEAST_TWO,
    "variance_samples": Numbers(1),
    "variance_repeats": AT_LEAST_TWO,
    "analysis_epochs": Numbers(0),
}
"""Of every setting that is not ``None``."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Optimiser, schedule, budget and group samples of one run.

    Training ends after ``epochs`` passes over the training set, or after ``max_steps`` where that is sooner; under
    ``paper`` they are as many as the official loops make, which is one more than they are configured with (2,001 for
    2,000). The learning rate warms up over ``warmup_epochs`` and ``warmup_steps`` together. ``monitor`` says by which
    number of the validation set weights are kept and patience ends: the loss, or the task's own metric. Sizes count
    examples, ``*_samples`` count group elements per example (the paper's k). A ``None`` size means the whole split.
    ``initialisations`` is read by separation tasks only, which do not train. With ``compile`` the network is trained as
    ``torch.compile`` makes it: to rounding the same numbers, but for dropout, whose masks are others.

    ``variance_samples`` are the numbers of group elements at which the variance of output and loss over
    ``variance_repeats`` predictions is measured on the validation set, and with it the entropy of the mean permutation,
    both as initialised and as trained (empty: not measured). ``analysis_epochs`` are the epochs after which that
    entropy and the norm of the mean gradient are measured (0: as initialised; those behind the end are not reached).
    """

    epochs: int = 0
    max_steps: int | None = None
    batch_size: int = 100
    drop_last: bool = False
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "linear"] = "constant"
    warmup_epochs: int = 0
    warmup_steps: int = 0
    clip_norm: float | None = None
    monitor: Literal["loss", "metric"] = "loss"
    patience: int | None = None
    validate_every: int = 1
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    compile: bool = False
    train_samples: int = 10
    valid_samples: int = 10
    test_samples: int = 10
    test_repeats: int = 1
    train_size: int | None = None
    valid_size: int | None = None
    test_size: int | None = None
    initialisations: int = 100
    curve_samples: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    curve_size: int = 100
    curve_repeats: int = 2
    variance_samples: tuple[int, ...] = ()
    variance_repeats: int = 100
    analysis_epochs: tuple[int, ...] = ()

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
        """The settings of a run that was made: what would be refused today is no less what was done.

        Raises ``TypeError`` for a setting that is not known.
        """
        protocol = Protocol()
        if unknown := values.keys() - {item.name for item in fields(Protocol)}:
            raise TypeError(f"there are no settings {', '.join(sorted(unknown))}")
        for name, value in values.items():
            object.__setattr__(protocol, name, tuple(value) if isinstance(value, list) else value)
        return protocol


OPTIONAL = frozenset(item.name for item in fields(Protocol) if item.default is None)
"""Settings that may be ``None``."""


def _said(limit: Any, value: Any, reason: str) -> str:
    """Of a number what it falls short of."""
    if isinstance(limit, Range) and type(value) in (int, *(() if limit.whole else (float,))) and reason == str(limit):
        return reason.removeprefix("a whole number, ").replace("above 0", "positive")
    return reason
