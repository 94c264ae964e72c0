"""A run's state on disk: written whole or not at all, read without executing code."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tasks.sources.atomic_files import replacing

SAVE_SECONDS = 30.0

State = dict[str, Any]  # tensors and plain values only

_log = logging.getLogger(__name__)


@dataclass
class Checkpoint:
    """The file in which a run saves its state.

    Attributes:
        path: The file.
        digest: The digest of the run. A state of another run is not loaded.
        seconds: The least time between two saves by :meth:`save_if_due`.
    """

    path: Path
    digest: str
    seconds: float = SAVE_SECONDS
    _saved: float = field(default_factory=time.monotonic, init=False)

    def save(self, state: State) -> None:
        """Replaces the file atomically; the state is on disk when this returns."""
        with replacing(self.path) as file:
            torch.save({"digest": self.digest, **state}, file)
        self._saved = time.monotonic()

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Saves ``state()`` if the last save was more than ``seconds`` ago."""
        if time.monotonic() - self._saved > self.seconds:
            self.save(state())

    def load(self) -> State | None:
        """Returns the saved state, or None if there is none of this run or it cannot be read (logged as a warning).

        All tensors are on the CPU. A model and an optimizer copy theirs to their device; the step counters of Adam stay
        on the CPU unless a fused kernel reads them, since reading them from the device would wait for it at each step.
        """
        if not self.path.exists():
            return None
        try:
            state: State = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            _log.warning("The checkpoint %s cannot be read (%s): the run starts from the beginning.", self.path, error)
            return None
        if state.get("digest") != self.digest:
            _log.warning("The checkpoint %s belongs to another run: this one starts from the beginning.", self.path)
            return None
        return state
