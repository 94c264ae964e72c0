"""Work in a thread that tells how it gets on and after each word waits to be asked for the next (no Ray)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Tell = Callable[[T], bool]
"""Tells one thing, and returns whether more is wanted."""


class Exchange(Generic[T]):
    """Runs ``work(tell)``. Nothing happens before the first :meth:`next`, and nothing between two of them."""

    def __init__(self, work: Callable[[Tell[T]], None]) -> None:
        self._work = work
        self._told: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
        self._turn = threading.Semaphore(0)
        self._ended = self._hung = False
        self._thread = threading.Thread(target=self._run, name="trial", daemon=True)
        self._thread.start()

    def next(self, timeout: float | None = None) -> T | None:
        """What is told next; ``None`` at the end of the work. Raises what the work raised.

        Raises ``TimeoutError`` where nothing is told in time: the thread is then given up.
        """
        self._turn.release()
        try:
            told = self._told.get(timeout=timeout)
        except queue.Empty:
            self._hung = True
            raise TimeoutError from None
        if isinstance(told, BaseException):
            raise told
        return told

    def end(self) -> None:
        """Wants no more, and waits until the work has drawn its conclusions."""
        self._ended = True
        self._turn.release()
        if not self._hung:
            self._thread.join()

    def _run(self) -> None:
        if not self._wanted():
            return
        try:
            self._work(self._tell)
        except BaseException as error:  # handed to whoever asks next
            self._told.put(error)
        else:
            self._told.put(None)

    def _tell(self, value: T) -> bool:
        self._told.put(value)
        return self._wanted()

    def _wanted(self) -> bool:
        self._turn.acquire()
        return not self._ended
