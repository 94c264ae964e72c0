"""The lock of a remote store: one holder among machines that share objects but no clock.

Each holder has a number, and the highest number holds the store. The object ``lock/<number>`` names the holder. It is
created once and never overwritten, so only one of several launches gets the next number. The object
``lock/<number>.beat`` is written by the holder alone: a count that increases while it lives, and a flag once it has
left. Other launches watch the count. If it does not change for :data:`SILENT_SECONDS` of their own time, the holder
loses the store to the launch that creates the next number. A holder that was only paused sees that number before its
next beat, and its launch ends.

Until then two launches may run at the same time. This does no harm: a record is written once, and both would write the
same one.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from harness.errors import StoreError, SymbenchError
from harness.records.objects import Objects
from harness.records.process import is_gone, this_process

LOCK = "lock"
HEARTBEAT_SECONDS = 10.0
SILENT_SECONDS = 180.0
POLL_SECONDS = 1.0
# Some servers check and write in two steps: the longest time between the writes of two clients that checked at once.
CLAIM_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Holder(NamedTuple):
    """The holder of a store: its number, its object, and its last beat (empty if there was none yet)."""

    number: int
    values: Mapping[str, Any]
    beat: Mapping[str, Any]

    def __str__(self) -> str:
        return f"pid {self.values.get('pid')} on {self.values.get('host')}, since {self.values.get('since')}"

    @property
    def left(self) -> bool:
        """True if the holder has released the store, or was a process of this machine that has ended."""
        return bool(self.beat.get("left")) or is_gone(self.values)


class Lease:
    """The lock of one launch, held from :meth:`claim` to :meth:`leave`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._mine = {"id": uuid4().hex, "since": since, **this_process()}
        self._number = 0
        self._beats = 0
        self._lost: str | None = None
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat_on, name="lease", daemon=True)

    def claim(self) -> None:
        """Takes the store; waits if its holder may be alive.

        Raises:
            StoreError: Another launch holds the store and is alive.
        """
        self._number = self._last_number() + 1
        self._create()
        now = self._latest()
        if now is None or now.values.get("id") != self._mine["id"]:
            raise self._held(now)
        self._forget_older()
        self._beat()
        self._heart.start()

    def check(self) -> None:
        """Raises SymbenchError if the store was lost to another launch."""
        if self._lost is not None:
            raise StoreError(self._lost)

    def leave(self) -> None:
        """Releases the store, unless another launch has taken it."""
        self._ended.set()
        self._heart.join()
        with suppress(SymbenchError):  # others will notice that the beats have stopped
            if self._is_mine():
                self._beat(left=True)

    def _last_number(self) -> int:
        """The number of the last holder, once it has left or was silent for :data:`SILENT_SECONDS`; 0 if there is none.

        Only counts time in which this process was watching, since a process that was paused has seen no silence.

        Raises:
            StoreError: The holder has sent a beat.
        """
        holder, quiet, looked = self._latest(), 0.0, time.monotonic()
        if holder is not None and not holder.left:
            _log.warning("Waiting to see whether the launch (%s) that holds %s is alive.", holder, self._objects.url)
        while holder is not None and not holder.left and quiet < SILENT_SECONDS:
            time.sleep(POLL_SECONDS)
            seen, now = self._latest(), time.monotonic()
            if seen is not None and seen != holder and not seen.left:
                raise self._held(seen)
            quiet, looked, holder = quiet + min(now - looked, 2 * POLL_SECONDS), now, seen or holder
        return holder.number if holder else 0

    def _create(self) -> None:
        """Creates the object of this number, unless it exists, and waits until no other launch can overwrite it.

        If the object store does not refuse a second write, a late writer may overwrite the object. The writer then
        waits for so long that a holder whose number it took has noticed.
        """
        name, body = f"{LOCK}/{self._number:08d}", json.dumps(self._mine).encode()
        try:
            self._objects.create(name, body)
        except SymbenchError:  # the object may be there nevertheless, this one or another
            if self._objects.read(name) is None:
                raise
        if self._objects.read(name) == body:
            time.sleep(CLAIM_SECONDS if self._objects.refuses_a_second(name, body) else 2 * HEARTBEAT_SECONDS)

    def _beat_on(self) -> None:
        while self._lost is None and not self._ended.wait(HEARTBEAT_SECONDS):
            with suppress(SymbenchError):  # the next beat may get through
                if self._is_mine():
                    self._beat()

    def _beat(self, left: bool = False) -> None:
        self._beats += 1
        body = {"id": self._mine["id"], "beats": self._beats, "left": left}
        self._objects.write(f"{LOCK}/{self._number:08d}.beat", json.dumps(body).encode())

    def _is_mine(self) -> bool:
        holder = self._latest()
        if holder is not None and holder.values.get("id") == self._mine["id"]:
            return True
        by = f"by another launch ({holder})" if holder else "away"
        self._lost = (
            f"The store {self._objects.url} was taken {by} while this one was silent: every finished run has its "
            "record, and the same command does what is left once the other has ended."
        )
        return False

    def _latest(self) -> Holder | None:
        numbers = [name for name in self._objects.names(LOCK) if name.isdecimal()]
        if not numbers:
            return None
        name = max(numbers, key=int)
        return Holder(int(name), self._values(name), self._values(f"{name}.beat"))

    def _values(self, name: str) -> Mapping[str, Any]:
        try:
            values = json.loads(self._objects.read(f"{LOCK}/{name}") or b"{}")
        except ValueError:
            return {}
        return values if isinstance(values, dict) else {}

    def _forget_older(self) -> None:
        with suppress(SymbenchError):  # they have no effect any more
            for name in self._objects.names(LOCK):
                number = name.partition(".")[0]
                if number.isdecimal() and int(number) < self._number:
                    self._objects.remove(f"{LOCK}/{name}")

    def _held(self, holder: Holder | None) -> StoreError:
        return StoreError(
            f"Another launch ({holder or 'of unknown pid'}) is using the store {self._objects.url}: "
            "wait for it or choose another --store."
        )
