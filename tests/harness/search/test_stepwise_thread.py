"""The thread of a trial: one word at a time, and an end that waits for its conclusions."""

from __future__ import annotations

import threading
import time

import pytest

from harness.search.stepwise_thread import Exchange, Tell


class Counting:
    """Tells 1, 2, 3, ... as long as it may, and then concludes."""

    def __init__(self, most: int = 1000) -> None:
        self.begun = self.said = 0
        self.concluded, self._most = False, most

    def __call__(self, tell: Tell[int]) -> None:
        self.begun += 1
        for number in range(1, self._most + 1):
            self.said = number
            if not tell(number):
                break
        time.sleep(0.05)
        self.concluded = True


def test_nothing_happens_before_it_is_asked_for() -> None:
    work = Counting()
    exchange = Exchange(work)
    time.sleep(0.05)
    assert work.begun == 0
    assert [exchange.next(5), exchange.next(5)] == [1, 2]
    time.sleep(0.05)
    assert work.said == 2
    exchange.end()


def test_the_end_waits_for_the_conclusions() -> None:
    work = Counting()
    exchange = Exchange(work)
    exchange.next(5)
    exchange.end()
    assert (work.said, work.concluded) == (1, True)


def test_an_exchange_that_never_began_ends_without_any_work() -> None:
    work = Counting()
    Exchange(work).end()
    assert work.begun == 0


def test_after_the_last_word_comes_none_and_after_an_error_the_error() -> None:
    exchange = Exchange(Counting(1))
    assert [exchange.next(5), exchange.next(5)] == [1, None]
    exchange.end()

    def broken(tell: Tell[int]) -> None:
        tell(1)
        raise LookupError("lost")

    exchange = Exchange(broken)
    assert exchange.next(5) == 1
    with pytest.raises(LookupError, match="lost"):
        exchange.next(5)
    exchange.end()


def test_work_that_hangs_is_given_up() -> None:
    release = threading.Event()
    exchange = Exchange[int](lambda tell: release.wait(20) and None)
    with pytest.raises(TimeoutError):
        exchange.next(0.05)
    since = time.monotonic()
    exchange.end()
    assert time.monotonic() - since < 5
    release.set()
