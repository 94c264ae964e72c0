"""Work in a thread that emits values and waits after each of them until the next one is requested (no Ray)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Emit = Callable[[T], bool]
"""Emits one value and returns whether the work should continue."""


class StepwiseThread(Generic[T]):
    """Runs ``work(emit)`` in a thread, which only runs during calls of :meth:`next`."""

    def __init__(self, work: Callable[[Emit[T]], None]) -> None:
        self._work = work
        self._values: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
        self._turn = threading.Semaphore(0)
        self._ended = self._hung = False
        self._thread = threading.Thread(target=self._run, name="trial", daemon=True)
        self._thread.start()

    def next(self, timeout: float | None = None) -> T | None:
        """The next value that is emitted; ``None`` at the end of the work. Raises what the work raises.

        Raises ``TimeoutError`` if nothing is emitted in time; the thread is then abandoned.
        """
        self._turn.release()
        try:
            value = self._values.get(timeout=timeout)
        except queue.Empty:
            self._hung = True
            raise TimeoutError from None
        if isinstance(value, BaseException):
            raise value
        return value

    def end(self) -> None:
        """Makes the next ``emit`` return false, and waits for the end of the work."""
        self._ended = True
        self._turn.release()
        if not self._hung:
            self._thread.join()

    def _run(self) -> None:
        if not self._wanted():
            return
        try:
            self._work(self._emit)
        except BaseException as error:  # raised by the next call of next()
            self._values.put(error)
        else:
            self._values.put(None)

    def _emit(self, value: T) -> bool:
        self._values.put(value)
        return self._wanted()

    def _wanted(self) -> bool:
        self._turn.acquire()
        return not self._ended
