"""Whatever breaks, at whatever moment: no record is lost, and none is made twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.records.store import Store
from harness.tracking.connection import connect
from tests.cluster.chaos import RUNS, MlflowServer, Site, kill_head, kill_node, site

MOMENTS = ("start", "middle", "record")
"""As the first run begins, midway in one while others have records, and between a history and its record."""

TARGETS = ("worker", "driver", "puts", "disk", "second launch", "mlflow", "node", "head")

ALWAYS = {("worker", "record"), ("second launch", "start")}
"""A short cut; ``make chaos`` plays the whole matrix."""

SURVIVED = ("worker", "node", "mlflow", "second launch")
"""What one launch gets over; after the others the same command does the rest."""

NOWHERE = "nowhere://"


def cases(*targets: str) -> list[Any]:
    return [
        pytest.param(target, moment, marks=() if (target, moment) in ALWAYS else pytest.mark.chaos)
        for target in targets
        for moment in MOMENTS
    ]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("gates")) as up:
        yield up


@pytest.mark.parametrize(("target", "moment"), cases(*TARGETS))
def test_nothing_is_lost_or_doubled(shared: Site, tmp_path: Path, target: str, moment: str) -> None:
    server = MlflowServer(tmp_path)
    mlflow = {"mlflow": server.uri, "worker": f"sqlite:///{tmp_path}/mlflow.db"}.get(target, NOWHERE)
    shared.begin(tmp_path, elsewhere=target == "puts", mlflow=mlflow)
    try:
        if target == "mlflow":
            server.start()
        play(shared, target, moment, server)
    finally:
        shared.end()
        server.kill()


def play(site: Site, target: str, moment: str, server: MlflowServer) -> None:
    """Breaks ``target`` at ``moment`` of a launch, repairs it, and lets the same command do the rest."""
    site.arm(moment)
    launch = site.launch()
    worker = site.caught(launch)
    kept, ran = site.kept(), site.ran()
    assert (moment == "start") == (kept == {}) or moment == "record"
    match target:
        case "worker":
            worker.kill()
        case "node":
            kill_node(worker)
        case "head":
            kill_head(site.nodes)
        case "driver":
            launch.kill()
        case "mlflow":
            server.kill()
        case "puts":
            site.objects.refusing = True
        case "disk":
            site.full(True)
        case "second launch":
            second = site.launch()
            said, _ = second.communicate(timeout=120)
            assert second.returncode == 1 and "Another launch (pid" in said, said
    site.open()
    said, _ = launch.communicate(timeout=120)
    if target == "puts":  # what was made here counts here; what could not be made is left to the next command
        assert "cannot be used" in said, said
    else:
        # Workers may do all there is to do before the head is missed.
        survived = target in SURVIVED or (target == "head" and len(site.kept()) == RUNS)
        assert (launch.returncode == 0) == survived, said
    assert "Traceback" not in said or target == "head", said
    repaired(site, target, server)
    again = site.launch()
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert_whole(site, kept)
    done = {name.partition(".")[0] for name in kept}
    assert {digest: site.ran()[digest] for digest in done} == {digest: ran[digest] for digest in done}
    if site.mlflow != NOWHERE:
        assert_mirrored(site.mlflow, site.store)


def repaired(site: Site, target: str, server: MlflowServer) -> None:
    site.objects.refusing = False
    site.full(False)
    if target == "mlflow":
        server.start()
    if target in ("node", "head"):
        site.nodes.restart()


def assert_whole(site: Site, kept: dict[str, bytes]) -> None:
    """Every run has one record with its history, and those that were there are as they were."""
    found = site.kept()
    store = site.store
    assert kept.items() <= found.items()
    assert sorted(found) == sorted(f"{record.digest}.json" for record in store.records())
    assert sorted(record.spec.seed for record in store.records()) == list(range(RUNS))
    assert set(store.statuses().values()) == {"succeeded"}
    for digest in store.statuses():
        assert store.history(digest)["step"].to_list() == [0, 1]


def assert_mirrored(uri: str, store: Store) -> None:
    client = connect(uri)
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED", "KILLED"}
    digests = [run.data.tags["symbench.digest"] for run in runs if "symbench.digest" in run.data.tags]
    finished = [run for run in runs if run.info.status == "FINISHED" and "symbench.digest" in run.data.tags]
    assert sorted(digests) == sorted(store.statuses())
    assert len(finished) == RUNS
