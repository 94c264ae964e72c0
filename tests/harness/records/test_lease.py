"""One holder: launches that claim at once, holders that are paused, killed or silent, and clocks that are wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SymbenchError
from harness.execution import heartbeat, status
from harness.records import lease, process
from harness.records.lease import Lease
from harness.records.objects import Objects
from harness.records.remote import RemoteStore
from tests.harness.records.conftest import URL, Broken, Machine, objects

HEARTBEAT_SECONDS, SILENT_SECONDS, POLL_SECONDS = lease.HEARTBEAT_SECONDS, lease.SILENT_SECONDS, lease.POLL_SECONDS
pytestmark = pytest.mark.usefixtures("hasty")
HELD = pytest.raises(SymbenchError, match=rf"Another launch \(pid {os.getpid()} on .*is using the store memory://")
ELSEWHERE: dict[str, Any] = {"id": "x", "pid": 1, "host": "another", "since": "long ago", "machine": "another"}


def put_holder(store: RemoteStore, number: int = 1, **changes: Any) -> None:
    store._objects.write(f"lock/{number:08d}", json.dumps({**ELSEWHERE, **changes}).encode())


def claim_at_once(leases: list[Lease]) -> tuple[list[Lease], list[str]]:
    """Who has the store, and the errors of the others."""
    holding, errors = [], []
    ready = threading.Barrier(len(leases))

    def claim(one: Lease) -> None:
        ready.wait()
        try:
            one.claim()
            holding.append(one)
        except SymbenchError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=claim, args=(one,)) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return holding, errors


def delayed(objects: Objects, chance: random.Random, seconds: float) -> Objects:
    """Each step takes its time, before and after."""

    def slow(whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any) -> Any:
            time.sleep(chance.random() * seconds)
            value = whole(*words)
            time.sleep(chance.random() * seconds)
            return value

        return call

    for name in ("names", "read", "write", "create", "remove"):
        setattr(objects, name, slow(getattr(objects, name)))
    return objects


def one_holds(stores: list[RemoteStore], seed: int, seconds: float) -> None:
    chance = random.Random(seed)
    holding, errors = claim_at_once([Lease(delayed(store._objects, chance, seconds)) for store in stores])
    assert len(holding) == 1
    assert len(errors) == len(stores) - 1 and all("Another launch" in one for one in errors)
    holding[0].leave()
    holding[0].check()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("before", [None, "left", "silent"])
def test_of_those_that_claim_at_once_one_has_it(
    nearby: Machine, before: str | None, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SILENT_SECONDS", 0.3)
    stores = [nearby(f"machine {number}") for number in range(3)]
    if before is not None:
        put_holder(stores[0])
        stores[0]._objects.write("lock/00000001.beat", json.dumps({"beats": 5, "left": before == "left"}).encode())
    one_holds(stores, seed, 0.03)


@pytest.mark.alone
def test_on_an_object_store_one_of_those_that_claim_at_once_has_it(machine: Machine) -> None:
    for seed in range(3):
        one_holds([machine("here"), machine("there")], seed, 0.05)


def test_a_holder_that_beats_is_not_ended_and_one_that_left_is_followed_at_once(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    for _ in range(2):
        with here.lock():
            with HELD, there.lock():
                pass
            here.check_lock()
        began = time.monotonic()
        with there.lock():
            assert time.monotonic() - began < lease.SILENT_SECONDS / 2
    assert len({one for one in objects(here) if one.startswith("lock/")}) == 2


def test_a_silent_holder_is_followed_after_its_time(nearby: Machine) -> None:
    here = nearby("here")
    put_holder(here)
    began = time.monotonic()
    with here.lock():
        assert time.monotonic() - began >= lease.SILENT_SECONDS
        assert here._objects.names("lock") == {"00000002", "00000002.beat"}


@pytest.mark.parametrize("skew", [-1e6, 240.0, 1e9])
def test_clocks_decide_nothing(nearby: Machine, monkeypatch: pytest.MonkeyPatch, skew: float) -> None:
    here, there = nearby("here"), nearby("there")
    now = time.time
    with here.lock():
        monkeypatch.setattr(time, "time", lambda: now() + skew)
        with HELD, there.lock():
            pass
        here.check_lock()


def test_an_observer_that_was_paused_itself_has_seen_no_silence(
    nearby: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both were paused for an hour, as on a machine that slept: the holder beats soon after."""
    here, there = nearby("here"), nearby("there")
    with here.lock():
        monotonic, sleep, slept = time.monotonic, time.sleep, [0.0]

        def long_sleep(seconds: float) -> None:
            slept[0] = 3600.0
            sleep(seconds)

        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + slept[0])
        monkeypatch.setattr(time, "sleep", long_sleep)
        with HELD, there.lock():
            pass


def test_a_holder_that_lost_the_store_is_told_and_touches_nothing_of_the_other(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    with pytest.raises(SymbenchError, match=r"was taken by another launch \(pid 7 on another.*same command"):  # noqa: SIM117
        with here.lock():
            here.check_lock()
            put_holder(here, 2, pid=7)
            there._objects.write("lock/00000002.beat", b'{"beats": 1}')
            beats = here._objects.read("lock/00000001.beat")
            deadline = time.monotonic() + 20 * lease.HEARTBEAT_SECONDS
            while time.monotonic() < deadline:
                here.check_lock()
                time.sleep(0.01)
    late = json.loads(here._objects.read("lock/00000001.beat") or b"{}")
    assert not late["left"] and late["beats"] <= json.loads(beats or b"{}")["beats"] + 1
    assert here._objects.read("lock/00000002.beat") == b'{"beats": 1}'
    assert here._objects.read("lock/00000002") is not None


def test_leaving_after_the_store_was_lost_changes_nothing(nearby: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 60.0)
    here = nearby("here")
    with here.lock():
        put_holder(here, 2)
        before = {name: here._objects.read(name) for name in objects(here)}
    assert {name: here._objects.read(name) for name in objects(here)} == before


def test_a_late_beat_of_one_that_lost_the_store_gives_it_nothing(nearby: Machine) -> None:
    """It looked, was paused, and beats when another has come and gone and a third has the store."""
    here, there = nearby("here"), nearby("there")
    paused = Lease(here._objects)
    paused.claim()
    paused._ended.set()
    paused._heart.join()
    put_holder(here, 2)
    here._objects.write("lock/00000002.beat", b'{"beats": 3, "left": true}')
    with there.lock():
        paused._beat()
        assert not paused._is_mine()
        with pytest.raises(SymbenchError, match="was taken by another launch"):
            paused.check()
        time.sleep(2 * lease.HEARTBEAT_SECONDS)
        there.check_lock()
        with HELD, nearby("third").lock():
            pass


def test_while_the_address_does_not_answer_the_holder_goes_on(nearby: Machine) -> None:
    here = nearby("here")
    with here.lock():
        with Broken(here):
            time.sleep(3 * lease.HEARTBEAT_SECONDS)
            here.check_lock()
        before = here._objects.read("lock/00000001.beat")
        time.sleep(3 * lease.HEARTBEAT_SECONDS)
        assert here._objects.read("lock/00000001.beat") != before


@pytest.mark.parametrize("waits", [1, 2.5], ids=["while the other claims", "once the other has it"])
def test_where_a_store_creates_over_what_is_there_a_late_claim_starts_once_the_holder_has_noticed(
    nearby: Machine, monkeypatch: pytest.MonkeyPatch, waits: float
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.6)
    here, there = nearby("here"), nearby("there")
    for store in (here, there):
        files: Any = store._objects._files
        monkeypatch.setattr(files, "pipe_file", _without_modes(files.pipe_file))
    create, pauses = there._objects.create, [waits * lease.HEARTBEAT_SECONDS]

    def late(name: str, body: bytes) -> bool:
        time.sleep(pauses.pop() if pauses else 0.0)
        return create(name, body)

    monkeypatch.setattr(there._objects, "create", late)
    leases = [Lease(here._objects), Lease(there._objects)]
    holding, _ = claim_at_once(leases)
    alive = []
    for one in holding:
        try:
            one.check()
            alive.append(one)
        except SymbenchError:
            pass
    assert len(alive) == 1
    for one in holding:
        one.leave()


def _without_modes(whole: Callable[..., Any]) -> Callable[..., Any]:
    return lambda path, value, mode="overwrite": whole(path, value)


def test_an_object_is_created_once(nearby: Machine) -> None:
    there = nearby("here")._objects
    assert there.create("lock/1", b"first") and not there.create("lock/1", b"second")
    assert there.refuses_a_second("lock/1", b"third") and there.read("lock/1") == b"first"


def test_a_create_whose_answer_was_lost_is_not_anothers(nearby: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    here = nearby("here")
    whole, calls = here._objects._files.pipe_file, []

    def lossy(path: str, value: bytes, mode: str = "overwrite") -> None:
        whole(path, value, mode=mode)
        if mode == "create" and not calls:
            calls.append(path)
            raise TimeoutError("no answer")

    monkeypatch.setattr(here._objects._files, "pipe_file", lossy)
    with here.lock():
        here.check_lock()
    assert calls


def test_a_store_that_refuses_the_claim_says_why(nearby: Machine) -> None:
    here = nearby("here")
    with Broken(here), pytest.raises(SymbenchError, match=r"cannot be used \(out of order\)"), here.lock():
        pass


def test_a_launch_beats_more_often_than_others_take_it_for_dead() -> None:
    assert 5 * HEARTBEAT_SECONDS <= SILENT_SECONDS
    assert POLL_SECONDS <= HEARTBEAT_SECONDS
    assert 5 * heartbeat.PERIOD_SECONDS <= status.SILENT_SECONDS


@pytest.mark.alone
def test_a_launch_that_was_paused_and_wakes_ends_and_the_other_goes_on(machine: Machine, tmp_path: Path) -> None:
    here = machine("here")
    code = textwrap.dedent("""
        import sys, time
        from harness.errors import SymbenchError
        from harness.records import lease
        from harness.records.opening import open_store
        lease.HEARTBEAT_SECONDS, lease.CLAIM_SECONDS = 0.2, 0.1
        time.time = lambda: 4e9  # its clock is wrong
        store = open_store(sys.argv[1])
        try:
            with store.lock():
                print("held", flush=True)
                for _ in range(600):
                    time.sleep(0.1)
                    store.check_lock()
        except SymbenchError as error:
            sys.exit(str(error))
    """)
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "paused"),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    holder = subprocess.Popen(
        [sys.executable, "-c", code, URL], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(SymbenchError, match=f"pid {holder.pid}"), here.lock():
            pass
        holder.send_signal(signal.SIGSTOP)
        with here.lock():
            holder.send_signal(signal.SIGCONT)
            _, said = holder.communicate(timeout=60)
            assert holder.returncode == 1
            assert f"was taken by another launch (pid {os.getpid()} on" in said and said.count("\n") == 1
            time.sleep(3 * lease.HEARTBEAT_SECONDS)
            here.check_lock()
            assert here._objects.names("lock") == {"00000002", "00000002.beat"}
    finally:
        holder.kill()
        holder.wait()


# Processes


def test_a_process_is_gone_once_it_has_ended_whoever_has_its_number_now() -> None:
    mine = process.this_process()
    assert not process.is_gone(mine)
    assert process.is_gone({**mine, "started": mine["started"] - 1})
    assert not process.is_gone({**mine, "started": mine["started"] - 1, "machine": "another"})
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert process._started(child) is None  # a zombie
    os.waitpid(child, 0)
    assert process._started(child) is None


def test_a_holder_of_this_machine_that_has_ended_is_followed_at_once(nearby: Machine) -> None:
    here = nearby("here")
    put_holder(here, **{**process.this_process(), "started": -1.0})
    began = time.monotonic()
    with here.lock():
        assert time.monotonic() - began < lease.SILENT_SECONDS / 2


def test_a_holder_that_leaves_while_it_is_watched_is_followed_at_once(nearby: Machine) -> None:
    here = nearby("here")
    put_holder(here)

    def leaves() -> None:
        here._objects.write("lock/00000001.beat", json.dumps({"beats": 1, "left": True}).encode())

    leaving = threading.Timer(4 * lease.POLL_SECONDS, leaves)
    leaving.start()
    began = time.monotonic()
    with here.lock():
        assert time.monotonic() - began < lease.SILENT_SECONDS / 2
    leaving.join()


def test_a_holder_beats_from_the_first_moment_on(nearby: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 60.0)
    here = nearby("here")
    with here.lock():
        assert json.loads(here._objects.read("lock/00000001.beat") or b"{}")["beats"] == 1
