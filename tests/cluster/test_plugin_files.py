"""Plug-in files that only the driver has: workers, stacks, data-parallel processes and trials get them from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import registry
from harness.execution.launch import LaunchResult, launch
from harness.records.store import Store
from harness.search.loading import load as load_search
from harness.search.searching import run_search
from harness.spec import Job, Resources
from harness.suites.loading import load
from tests.cluster.nodes import several_nodes
from tests.cluster.test_nodes_that_die import Watcher
from tests.plugin_files import NETWORK, forgotten, write
from tests.tiny_suite import tiny_suite

SEARCH: dict[str, Any] = {
    "name": "own",
    "plugins": ["my_net.py"],
    "task": "nbody",
    "method": "mine",
    "protocol": "quick",
    "settings": {"epochs": 1, "batch_size": 10},
    "task_params": {"nodes": 4, "train": 20, "validation": 20, "test": 20},
    "space": {"settings.lr": {"loguniform": [1e-4, 1e-2]}},
    "trials": 1,
}


def jobs_of(folder: Path, **changes: Any) -> list[Job]:
    """The runs of a suite with a plug-in file, which is gone once they are known."""
    suite, file = folder / "own.yaml", write(folder)
    suite.write_text(f"plugins: my_net.py\n{tiny_suite(1, 'mine')}")
    found = load(suite, [f"{name}={value}" for name, value in changes.items()]).expand().jobs
    file.unlink()
    return found


def go(jobs: list[Job], store: Store, address: str | None) -> LaunchResult:
    result = launch(jobs, store, address=address, suite="own", progress=Watcher())
    assert result.failed == {}
    [file] = registry.files()
    for job in jobs:
        record = store.read(job.spec.digest)
        assert record is not None
        said = {"version": file.version, "digest": file.digest, "used": True}
        assert record.provenance["plugins"] == {"my_net.py": said}
    return result


def test_workers_on_this_machine_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    with forgotten():
        go(jobs_of(tmp_path), Store(tmp_path / "store"), None)


def test_nodes_get_the_file_from_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    store = Store(tmp_path / "store")
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(SEARCH))
    with several_nodes(monkeypatch, count=2) as nodes, forgotten():
        stacked = jobs_of(tmp_path, seeds=2, **{"resources.stack": 2})
        [shared] = jobs_of(tmp_path, seeds="[2]", **{"resources.workers": 2})
        assert shared.resources == Resources(workers=2)
        result = go([*stacked, shared], store, nodes.address)
        assert len(result.succeeded) == 3

        write(tmp_path)
        search = load_search(tmp_path / "search.yaml")
        (tmp_path / "my_net.py").unlink()
        found = run_search(search, store.root, address=nodes.address, progress=Watcher())
        assert [trial.status for trial in found.trials] == ["finished"]
        assert found.suite is not None
    with forgotten():
        assert len(load(found.suite).expand().jobs) == 5  # the file lies beside the suite
        [file] = registry.files()
        assert file.content.decode() == NETWORK and Path(file.path).parent == found.suite.parent
