"""The public library: ``import symbench``.

Names are imported on first use, so that ``import symbench`` is quick and needs no optional package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors, which do not follow __getattr__
    from harness.evaluation.evaluating import evaluate as evaluate
    from harness.evaluation.scores import Evaluation as Evaluation
    from harness.evaluation.tables import results as results
    from harness.registry import add_plugin as add_plugin
    from harness.symmetrize import symmetrize as symmetrize
    from harness.trained.loading import load as load
    from harness.trained.model import TrainedModel as TrainedModel
    from harness.verification.functions import EquivarianceResult as EquivarianceResult
    from harness.verification.functions import assert_equivariant as assert_equivariant
    from harness.verification.functions import equivariance_error as equivariance_error

_EXPORTS: dict[str, str] = {
    "EquivarianceResult": "harness.verification.functions",
    "Evaluation": "harness.evaluation.scores",
    "TrainedModel": "harness.trained.model",
    "add_plugin": "harness.registry",
    "assert_equivariant": "harness.verification.functions",
    "equivariance_error": "harness.verification.functions",
    "evaluate": "harness.evaluation.evaluating",
    "load": "harness.trained.loading",
    "results": "harness.evaluation.tables",
    "symmetrize": "harness.symmetrize",
}
"""Where each public name is defined."""

_MODULES = ("errors", "methods", "tasks", "testing")
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
