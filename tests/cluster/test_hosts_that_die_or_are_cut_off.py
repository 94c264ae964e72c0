"""Three hosts in namespaces of their own, one killed and one cut off the network midway: one record for every run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.hosts import ROOT, RUNS


def missing() -> str | None:
    """Why this machine cannot be three hosts."""
    if os.geteuid() != 0:
        return "needs to be root"
    if absent := [name for name in ("unshare", "nsenter", "ip") if shutil.which(name) is None]:
        return f"needs the commands {', '.join(absent)}"
    words = ["unshare", "--net", "--mount", "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"]
    tried = subprocess.run(words, capture_output=True, text=True)
    return None if tried.returncode == 0 else f"needs network namespaces and virtual Ethernet: {tried.stderr.strip()}"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sb", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.skipif(missing() is not None, reason=f"{missing()}")
def test_a_launch_survives_a_host_that_dies_and_one_that_is_cut_off(folder: Path) -> None:
    words = [sys.executable, "-m", "tests.cluster.hosts", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert list(found["statuses"].values()) == ["succeeded"] * RUNS
    assert found["files"] == RUNS and found["seeds"] == list(range(RUNS))
    assert found["whole histories"] == RUNS  # also of those that were begun twice
    assert found["joins"] == 2 and found["after the return"] > 0
