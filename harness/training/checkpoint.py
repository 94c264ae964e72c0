"""A training run's state on disk: written whole or not at all, read without executing code."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import torch

State = dict[str, Any]  # tensors and plain values only

_log = logging.getLogger(__name__)


def save(path: Path, state: State) -> None:
    """Replaces the checkpoint at ``path`` in one step."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, digest: str, device: torch.device) -> State | None:
    """The state of the run ``digest``; ``None`` where there is none or it cannot be read (said in the log)."""
    if not path.exists():
        return None
    try:
        state: State = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        _log.warning("The checkpoint %s cannot be read (%s): the run starts from the beginning.", path, error)
        return None
    if state.get("digest") != digest:
        _log.warning("The checkpoint %s belongs to another run: this one starts from the beginning.", path)
        return None
    return state
