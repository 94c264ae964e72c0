"""Whatever asks a command to end, and however: one sentence, the signal's exit code, and nothing left that runs."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.cli import root
from harness.records.store import Store
from harness.utils.interrupts import SAME_SECONDS, interruptible, uninterrupted
from tests.tiny_suite import tiny_suite

ROOT = Path(__file__).resolve().parents[3]

SERVER = "http://127.0.0.1:9"


def until(happens: Callable[[], Any], process: subprocess.Popen[Any], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute(query).fetchall()


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "SYMBENCH_DATA": str(folder / "data")}


@pytest.mark.parametrize(("way", "code"), [("SIGTERM", 143), ("SIGTERM to all", 143), ("its terminal", 129)])
def test_a_launch_that_is_asked_to_end_keeps_its_account_and_leaves_nothing(
    tmp_path: Path, way: str, code: int
) -> None:
    (tmp_path / "mine.yaml").write_text(tiny_suite(100_000))
    store, words = tmp_path / "store", [sys.executable, "-m", "harness.cli", "run", "mine.yaml", "--store", "store"]
    terminal, end = pty.openpty()
    ours = end if way == "its terminal" else subprocess.PIPE
    launch = subprocess.Popen(
        words,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=end,
        stdout=ours,
        stderr=ours,
        text=True,
        start_new_session=True,
        preexec_fn=_controlling if way == "its terminal" else None,
    )
    os.close(end)
    until(lambda: any(path.stat().st_size for path in store.glob("logs/*.log")), launch)
    until(lambda: rows(store / "mlflow.db", "SELECT * FROM tags WHERE key = 'symbench.digest'"), launch)
    family = psutil.Process(launch.pid).children(recursive=True)
    if way == "its terminal":
        os.close(terminal)
    elif way == "SIGTERM":
        launch.terminate()
    else:
        os.killpg(launch.pid, signal.SIGTERM)
    out, err = launch.communicate(timeout=60)
    assert launch.returncode == code, (out, err)
    if way != "its terminal":
        os.close(terminal)
        assert (out + err).count("Interrupted: every finished run has its record") == 1
        assert "Traceback" not in out + err and err == ""
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert {status for (status,) in rows(store / "mlflow.db", "SELECT status FROM runs")} == {"KILLED"}
    [account] = [json.loads(path.read_text()) for path in store.glob("launches/*.json")]
    assert account["status"] == "interrupted"
    with Store(store).lock():
        assert Store(store).statuses() == {}


def _controlling() -> None:
    """Makes the standard input the terminal of this process's session."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`symbench ui` over an empty store, once it has said where."""
    Store(tmp_path / "store")
    words = [sys.executable, "-m", "harness.cli", "ui", "--store", "store", "--port", "0"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "Ctrl-C ends it" not in process.stdout.readline():
            assert process.poll() is None, process.communicate()
        yield process
        process.kill()


def test_the_pages_end_with_the_code_of_their_signal(pages: subprocess.Popen[str]) -> None:
    family = psutil.Process(pages.pid).children(recursive=True)
    assert family
    pages.terminate()
    out, err = pages.communicate(timeout=30)
    assert (pages.returncode, out, err) == (143, "The MLflow server has ended.\n", "")
    assert psutil.wait_procs(family, timeout=5)[1] == []


STUBBORN = """
import subprocess, sys, time
from harness.utils.interrupts import interruptible, uninterrupted
with interruptible():
    child = subprocess.Popen(["sh", "-c", "sleep 300 & echo $!; wait"], start_new_session=True, stdout=subprocess.PIPE)
    try:
        print(child.pid, int(child.stdout.readline()), flush=True)
        time.sleep(300)
    finally:
        print("asked", flush=True)
        with uninterrupted():
            time.sleep(300)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_a_process_and_what_it_started_at_once(number: signal.Signals, tmp_path: Path) -> None:
    words = [sys.executable, "-c", STUBBORN]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=environment(tmp_path)) as process:
        assert process.stdout is not None
        family = [psutil.Process(int(one)) for one in process.stdout.readline().split()]
        assert len(family) == 2  # also what was started by what it started
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(number)  # as shells do, to a process and again to its group
        time.sleep(SAME_SECONDS + 0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert err == "Ended at once: every finished run has its record, and the same command does what is left.\n"
    assert psutil.wait_procs(family, timeout=5)[1] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_what_gives_processes_back_is_not_interrupted_by_any_signal(number: signal.Signals, code: int) -> None:
    """Nor where it is part of something greater that is not to be interrupted either."""
    try:
        with interruptible() as asked, uninterrupted():
            with uninterrupted():
                pass
            signal.raise_signal(number)
    except KeyboardInterrupt:
        pytest.fail("it was interrupted")
    assert asked.exit_code == code


def test_what_gives_processes_back_from_another_thread_changes_nothing() -> None:
    """Python hears signals in its main thread alone, where they go on to interrupt."""

    def heard() -> tuple[bool, object]:
        with uninterrupted():
            return asked.deferred, signal.getsignal(signal.SIGINT)

    with interruptible() as asked, ThreadPoolExecutor(1) as pool:
        assert pool.submit(heard).result() == (False, asked.handle)
    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(heard).result() == (False, before)


def test_once_processes_are_given_back_a_signal_interrupts_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible() as asked, pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            pass
        signal.raise_signal(signal.SIGHUP)
    assert asked.exit_code == 129
    assert signal.getsignal(signal.SIGTERM) == before
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_signal_that_is_ignored_from_the_start_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as asked:
            signal.raise_signal(signal.SIGHUP)
        assert asked.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def ended(number: signal.Signals) -> Callable[..., Any]:
    """What is interrupted in the midst of its work."""

    def work(*args: Any, **options: Any) -> None:
        signal.raise_signal(number)
        raise AssertionError("nobody hears signals")

    return work


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["collate"], "harness.collate.collate"),
        (["report"], "harness.collate.collate"),
        (["compare", "gin", "gcn"], "harness.collate.collate"),
        (["export", "x.zip"], "harness.bundles.exporting.export"),
        (["sync"], "harness.tracking.sync"),
        (["ui"], "harness.tracking.server.running"),
        (["plan", "quick"], "harness.suites.plan.plan"),
        (["run", "quick"], "harness.execution.launch.launch"),
        (["run", "quick"], "harness.suites.plan.plan"),
        (["search", "nbody_egnn"], "harness.search.searching.run_search"),
        (["search", "nbody_egnn"], "harness.search.loading.load"),
        (["jobs", "--address", SERVER, "logs", "x", "--follow"], "harness.execution.jobs.JobServer.follow"),
        (["status"], "harness.execution.status.watch"),
        (["check", "gin", "--task", "graph8c"], "harness.verification.verdicts.subject"),
        (["doctor"], "harness.doctor.examine"),
    ],
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_every_command_ends_alike(
    words: list[str],
    place: str,
    number: signal.Signals,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Store(tmp_path / "results" / "store")
    monkeypatch.setattr("harness.execution.jobs.JobServer._connected", lambda self: None)
    monkeypatch.setattr(place, ended(number))
    monkeypatch.setattr(sys, "argv", ["symbench", *words])
    before = signal.getsignal(signal.SIGTERM)  # Ray leaves one of its own in a process that it has served
    with pytest.raises(SystemExit) as left:
        root.main()
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "Interrupted" in line or "still running" in line]
    if words == ["ui"]:
        assert said.out.endswith("The MLflow server has ended.\n")
        assert left.value.code == (code if code != 130 else 0)  # Ctrl-C is how one leaves them
    else:
        assert left.value.code == code
        assert len(lines) == 1 and "Traceback" not in said.err
    assert signal.getsignal(signal.SIGTERM) == before
