"""How a run is trained and scored: the settings that a task publishes under a protocol's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Optimiser, schedule, budget and group samples of one run.

    Training ends after ``epochs``, or after ``max_steps`` where that is sooner; the learning rate warms up over
    ``warmup_epochs`` and ``warmup_steps`` together. Sizes count examples, ``*_samples`` count group
    elements per example (the paper's k). A ``None`` size means the whole split. ``initialisations`` is read by
    separation tasks only, which do not train.

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
        positive = ("batch_size", "validate_every", "train_samples", "valid_samples", "test_samples", "test_repeats",
                    "initialisations", "curve_size")  # fmt: skip
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("epochs", "warmup_epochs", "warmup_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, not {self.max_steps}")
        if self.lr <= 0:
            raise ValueError(f"lr must be positive, not {self.lr}")
        if self.curve_repeats < 2:
            raise ValueError("curve_repeats must be at least 2: a variance needs two estimates")
        if self.variance_repeats < 2:
            raise ValueError("variance_repeats must be at least 2: a variance needs two predictions")
        for name, least in (("variance_samples", 1), ("analysis_epochs", 0)):
            values = getattr(self, name)
            if len(set(values)) < len(values) or min(values, default=least) < least:
                raise ValueError(f"{name} must be different numbers of at least {least}, not {list(values)}")
        for name in ("curve_samples", "variance_samples", "analysis_epochs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
