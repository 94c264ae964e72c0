"""What all tests share: generated data, made once a session; fixed chance; hypothesis without haste."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("symbench", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("symbench")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # beside another process, threads of one wait for those of the other

TERMINAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
for _number, _handler in TERMINAL.items():  # what is ignored is inherited by the commands that tests start and signal:
    if signal.getsignal(_number) == signal.SIG_IGN:  # SIGINT in a shell's background job, SIGHUP under nohup
        signal.signal(_number, _handler)

ALONE = (
    "benchmarks",
    "cluster",
    "harness/execution",
    "harness/records/test_lease.py",
    "harness/records/test_remote",
    "harness/search/test_remote_stores.py",
    "harness/search/test_searching.py",
    "harness/cli/test_command_line.py",
    "harness/tracking",
)
"""Where tests start Ray or servers, or look at a clock: they are not for running beside others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(ALONE):
            item.add_marker("alone")


@pytest.fixture(scope="session")
def generated_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder for the session, so that a set is generated once."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYMBENCH_DATA", str(folder))
        yield folder


@pytest.fixture(scope="module")
def small_molecules(generated_data: Path) -> Iterator[None]:
    """Small molecules in the place of the sets that are not generated."""
    from tests.published_files import small_long_range

    with pytest.MonkeyPatch.context() as patch:
        small_long_range(generated_data, patch, dict.fromkeys(("train.pt", "val.pt", "test.pt"), [2, 3, 4, 5] * 3))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_machine() -> Iterator[None]:
    """A test that wants the store or the server that the environment names says so. Ray's workers start at niceness 15:
    beside anything that computes they would get next to nothing.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "SYMBENCH_STORE"):
            patch.delenv(name, raising=False)
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture(autouse=True)
def fixed_chance() -> None:
    """Whatever a test draws from torch's global generator is the same every time."""
    torch.manual_seed(0)
