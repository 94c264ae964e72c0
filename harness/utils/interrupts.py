"""Signals that ask this process to end. Ctrl-C, SIGTERM and SIGHUP are handled in the same way."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_SECONDS = 1.0
"""A further signal within this time is the same request: ``timeout`` and shells signal the process and its group."""

AT_ONCE = "Ended at once: every finished run has its record, and the same command does what is left.\n"


class Interrupts:
    """A signal handler: the first signal raises KeyboardInterrupt, a later one kills this process and its children.

    Attributes:
        number: The number of the first signal, or None.
        deferred: True if the first signal is only remembered and raises nothing.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.deferred = False
        self._since = 0.0
        self._terminals = [stream for stream in (1, 2) if os.isatty(stream)]  # a closed terminal is no tty any more

    @property
    def exit_code(self) -> int:
        """128 plus the number of the first signal, as in shells; 0 if there was none."""
        return 128 + self.number if self.number else 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal; for :func:`signal.signal`."""
        if self.number is not None:
            if time.monotonic() - self._since > SAME_SECONDS:
                _end_at_once(number)
            return
        self.number, self._since = number, time.monotonic()
        if number == signal.SIGHUP:
            self._let_go_of_terminals()
        if not self.deferred:
            raise KeyboardInterrupt

    def _let_go_of_terminals(self) -> None:
        """Redirects closed terminals to the null device: an error in writing would hide why the process ends."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in self._terminals:
            os.dup2(nothing, stream)
        os.close(nothing)


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Lets signals interrupt the block. A signal that this process ignores (``nohup``, ``&``) remains ignored."""
    interrupts = Interrupts()
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupts.handle) for number in handled}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Defers a first signal to the end of the block, for code that stops processes.

    Outside of :func:`interruptible`, Ctrl-C is ignored in the block. A second signal ends this process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    owners = {found for number in SIGNALS if (found := _owner(number)) is not None}
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = [(one, one.deferred) for one in owners]
    for one in owners:
        one.deferred = True
    try:
        yield
    finally:
        for one, deferred in before:
            one.deferred = deferred
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, handler)


def _owner(number: int) -> Interrupts | None:
    found = getattr(signal.getsignal(number), "__self__", None)
    return found if isinstance(found, Interrupts) else None


def _end_at_once(number: int) -> None:
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, AT_ONCE.encode())
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    os._exit(128 + number)
