"""The weights of a model, and how many bytes those of a run take."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.build import load
from harness.registry import task
from harness.spec import RunSpec
from harness.training.device import DTYPES
from harness.training.from_spec import new_model
from harness.training.kinds import kind_of
from tasks.task import Task


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Returns a copy on the CPU of the parameters and buffers of ``model`` by name."""
    state = model.state_dict()
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def weights_bytes(spec: RunSpec) -> int:
    """Returns the size of the weights of a run in bytes; 0 if it has no model whose weights can be kept.

    The model is built and not trained.

    Raises:
        DataError: The data of the task, which gives the shapes of its inputs, cannot be used.
    """
    card = task(spec.task)
    problem: Task = load(card.implementation)(card.settings_from(spec.task_params))
    if not kind_of(problem).has_weights:
        return 0
    model = new_model(spec, problem.signature).to(DTYPES[spec.settings.precision])
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())
