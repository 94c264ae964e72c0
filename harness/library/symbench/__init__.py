"""The public library: ``import symbench``.

Names are imported on first use, so that ``import symbench`` is quick and needs no optional package.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS: dict[str, str] = {
    "EquivarianceResult": "harness.verification.functions",
    "Evaluation": "harness.evaluation.scores",
    "TrainedModel": "harness.trained.model",
    "assert_equivariant": "harness.verification.functions",
    "equivariance_error": "harness.verification.functions",
    "evaluate": "harness.evaluation.evaluating",
    "load": "harness.trained.loading",
    "results": "harness.evaluation.tables",
    "symmetrize": "harness.symmetrize",
}
"""Where each public name is defined."""

_MODULES = ("errors", "tasks", "testing")
"""The public submodules."""

__all__ = [*_EXPORTS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
