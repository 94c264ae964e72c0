"""The weights of a model, and how many bytes those of a run take."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.build import load
from harness.registry import task
from harness.spec import RunSpec
from harness.training.device import DTYPES
from harness.training.from_spec import new_model
from harness.training.kinds import kind_of
from tasks.errors import DataError
from tasks.symmetry.structure import Signature
from tasks.task import Task


class KeptWeights(NamedTuple):
    """The size of the weights that runs will keep.

    Attributes:
        runs: Number of runs with weights of a known size.
        bytes: The size of all of them.
        unknown: Number of runs whose models cannot be built here, since data or a package is missing.
    """

    runs: int
    bytes: int
    unknown: int


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Returns a copy on the CPU of the parameters and buffers of ``model`` by name."""
    state = model.state_dict()
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def kept_weights(specs: Iterable[RunSpec]) -> KeptWeights:
    """Returns the size of the weights of runs. The model of each setting is built once and not trained."""
    measure = _Measure()
    found = [measure.bytes_of(spec) for spec in specs]
    known = [one for one in found if one]
    return KeptWeights(len(known), sum(known), found.count(None))


class _Measure:
    """Builds each task and each model once."""

    def __init__(self) -> None:
        self._signatures: dict[str, Signature | None] = {}
        self._bytes: dict[str, int | None] = {}

    def bytes_of(self, spec: RunSpec) -> int | None:
        """The size of the weights; 0 if the run has no model whose weights are kept, None if it cannot be built."""
        values = spec.to_dict()
        parts = [values[name] for name in ("task", "task_params", "method", "base", "sampler")]
        problem, model = json.dumps(parts[:2]), json.dumps([*parts, spec.settings.precision])
        try:
            if problem not in self._signatures:
                self._signatures[problem] = _signature(spec)
            if model not in self._bytes:
                self._bytes[model] = _bytes(spec, self._signatures[problem])
        except (DataError, ImportError):
            self._bytes[model] = None
        return self._bytes[model]


def _signature(spec: RunSpec) -> Signature | None:
    """The signature of a task, or None if its runs have no model whose weights are kept."""
    card = task(spec.task)
    problem: Task = load(card.implementation)(card.settings_from(spec.task_params))
    return problem.signature if kind_of(problem).has_weights else None


def _bytes(spec: RunSpec, signature: Signature | None) -> int:
    if signature is None:
        return 0
    model = new_model(spec, signature).to(DTYPES[spec.settings.precision])
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())
