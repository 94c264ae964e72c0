"""A training run's state on disk: written whole or not at all, read without executing code."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from tasks.sources.atomic_files import replacing

State = dict[str, Any]  # tensors and plain values only

_log = logging.getLogger(__name__)


def save(path: Path, state: State) -> None:
    """Replaces the checkpoint at ``path`` in one step, on disk when it returns."""
    with replacing(path) as file:
        torch.save(state, file)


def load(path: Path, digest: str) -> State | None:
    """The state of the run ``digest``; ``None`` where there is none or it cannot be read (said in the log).

    Its tensors are on the CPU. A model and an optimizer copy theirs to where they read them: the step counters of Adam
    are on the device only where a fused kernel reads them, and would otherwise have to be waited for at each step.
    """
    if not path.exists():
        return None
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        _log.warning("The checkpoint %s cannot be read (%s): the run starts from the beginning.", path, error)
        return None
    if state.get("digest") != digest:
        _log.warning("The checkpoint %s belongs to another run: this one starts from the beginning.", path)
        return None
    return state
