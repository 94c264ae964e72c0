"""The thread of a trial: one word at a time, and an end that waits for its conclusions."""

from __future__ import annotations

import threading
import time

import pytest

from harness.search.stepwise_thread import Emit, StepwiseThread


class Counting:
    """Emits 1, 2, 3, ... as long as it may, and then concludes."""

    def __init__(self, most: int = 1000) -> None:
        self.begun = self.said = 0
        self.concluded, self._most = False, most

    def __call__(self, emit: Emit[int]) -> None:
        self.begun += 1
        for number in range(1, self._most + 1):
            self.said = number
            if not emit(number):
                break
        time.sleep(0.05)
        self.concluded = True


def test_nothing_happens_before_it_is_asked_for() -> None:
    work = Counting()
    thread = StepwiseThread(work)
    time.sleep(0.05)
    assert work.begun == 0
    assert [thread.next(5), thread.next(5)] == [1, 2]
    time.sleep(0.05)
    assert work.said == 2
    thread.end()


def test_the_end_waits_for_the_conclusions() -> None:
    work = Counting()
    thread = StepwiseThread(work)
    thread.next(5)
    thread.end()
    assert (work.said, work.concluded) == (1, True)


def test_a_thread_that_never_began_ends_without_any_work() -> None:
    work = Counting()
    StepwiseThread(work).end()
    assert work.begun == 0


def test_after_the_last_word_comes_none_and_after_an_error_the_error() -> None:
    thread = StepwiseThread(Counting(1))
    assert [thread.next(5), thread.next(5)] == [1, None]
    thread.end()

    def broken(emit: Emit[int]) -> None:
        emit(1)
        raise LookupError("lost")

    thread = StepwiseThread(broken)
    assert thread.next(5) == 1
    with pytest.raises(LookupError, match="lost"):
        thread.next(5)
    thread.end()


def test_work_that_hangs_is_given_up() -> None:
    release = threading.Event()
    thread = StepwiseThread[int](lambda emit: release.wait(20) and None)
    with pytest.raises(TimeoutError):
        thread.next(0.05)
    since = time.monotonic()
    thread.end()
    assert time.monotonic() - since < 5
    release.set()
