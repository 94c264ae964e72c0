"""How a run is trained and scored: the settings that a task publishes under a protocol's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Optimiser, schedule, budget and group samples of one run.

    Training ends after ``epochs`` passes over the training set, or after ``max_steps`` where that is sooner; under
    ``paper`` they are as many as the official loops make, which is one more than they are configured with (2,001 for
    2,000). The learning rate warms up over ``warmup_epochs`` and ``warmup_steps`` together. ``monitor`` says by which
    number of the validation set weights are kept and patience ends: the loss, or the task's own metric. Sizes count
    examples, ``*_samples`` count group elements per example (the paper's k). A ``None`` size means the whole split.
    ``initialisations`` is read by separation tasks only, which do not train.

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
        at_least_one = ("max_steps", "batch_size", "patience", "validate_every", "train_samples", "valid_samples",
                        "test_samples", "test_repeats", "train_size", "valid_size", "test_size", "initialisations",
                        "curve_size")  # fmt: skip
        for names, least in ((at_least_one, 1), (("epochs", "warmup_epochs", "warmup_steps", "weight_decay"), 0)):
            for name in names:
                value = getattr(self, name)
                if value is not None and value < least:
                    raise ValueError(f"{name} must be at least {least}, not {value}")
        for name in ("lr", "clip_norm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")
        if self.curve_repeats < 2:
            raise ValueError("curve_repeats must be at least 2: a variance needs two estimates")
        if not self.curve_samples or min(self.curve_samples) < 1:
            raise ValueError("curve_samples must be a list of numbers from 1 on")
        if self.variance_repeats < 2:
            raise ValueError("variance_repeats must be at least 2: a variance needs two predictions")
        for name, least in (("variance_samples", 1), ("analysis_epochs", 0)):
            values = getattr(self, name)
            if len(set(values)) < len(values) or min(values, default=least) < least:
                raise ValueError(f"{name} must be different numbers of at least {least}, not {list(values)}")
        for name in ("curve_samples", "variance_samples", "analysis_epochs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
