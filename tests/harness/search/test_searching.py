"""Whole searches on a real local Ray: what they leave, killed workers, a killed driver, trials that all fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
import yaml

from harness.records.store import Store
from harness.search.loading import load
from harness.search.results import SearchResult
from harness.search.searching import run_search
from harness.spec import Job
from harness.suites import loading

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
TINY: dict[str, Any] = {
    "name": "tiny",
    "task": "nbody",
    "method": "egnn",
    "protocol": "quick",
    "settings": {"epochs": 4, "batch_size": 10},
    "task_params": {"train": 20, "validation": 20, "test": 20},
    "base": {"width": 4},
    "space": {"settings.lr": {"loguniform": [1e-4, 1e-2]}, "base.layers": {"choice": [1, 2]}},
    "trials": 6,
    "grace": 2,
    "reduction": 2,
    "compare": 0,
}


class Watcher:
    """Progress that remembers, and kills the process of a trial once."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.starts: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.sentences: list[str | None] = []
        self.notes: list[str] = []
        self.counts: tuple[int, int] | None = None
        self.killed = 0
        self._kill_at = kill_at

    def begin(self, todo: int, done: int) -> None:
        self.counts = todo, done

    def started(self, job: Job) -> None:
        self.starts[job.spec.digest] += 1
        if self._kill_at is not None and len(self.starts) >= self._kill_at and not self.killed:
            names = ("ray::Trial", "ray::ResourceTrainable")
            processes = psutil.Process().children(recursive=True)
            for actor in [one for one in processes if "".join(one.cmdline()).startswith(names)][:1]:
                actor.kill()
                self.killed += 1

    def finished(self, job: Job, status: str, sentence: str | None) -> None:
        self.ends[job.spec.digest] += 1
        self.sentences.append(sentence)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None: ...


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SearchResult, Path, Watcher]]:
    """A search of six trials, one of whose processes was killed."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYMBENCH_DATA", str(folder / "data"))
        watcher = Watcher(kill_at=2)  # the first to be stopped early, whose record comes later, is the second
        store = folder / "store"
        before = environment()
        yield run_search(load(folder / "tiny.yaml"), store, address=None, progress=watcher, slots=2), store, watcher
        assert environment() == before


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("RAY_", "TUNE_"))}


Searched = tuple[SearchResult, Path, Watcher]


def test_every_trial_has_one_record_apart_from_those_of_runs(searched: Searched) -> None:
    result, store, watcher = searched
    assert watcher.killed == 1
    own = Store(store / "searches" / "tiny")
    assert sorted(own.statuses()) == sorted(trial.digest for trial in result.trials)
    assert len(result.trials) == 6
    lost = [trial for trial in result.trials if trial.status == "failed"]  # if the process was between two trials
    assert len(lost) <= 1
    assert all(str(trial.sentence).startswith("The trial did not run: The actor died") for trial in lost)
    assert Store(store).statuses() == {}
    assert watcher.ends == dict.fromkeys(own.statuses(), 1)
    for record in own.records():
        assert (record.metrics, record.suite) == ({}, "search/tiny")


def test_the_table_has_the_best_first_and_is_in_the_store(searched: Searched) -> None:
    result, store, _ = searched
    scores = [trial.score for trial in result.trials]
    good = [score for score in scores if score is not None]
    assert good == sorted(good) == scores[: len(good)]
    frame = pl.read_parquet(store / "searches" / "tiny" / "trials.parquet")
    assert frame["score"].to_list() == scores
    assert frame["settings.lr"].to_list() == [trial.values["settings.lr"] for trial in result.trials]
    assert pl.read_csv(store / "searches" / "tiny" / "trials.csv").columns == frame.columns
    assert {trial.status for trial in result.trials} >= {"finished", "stopped"}
    assert all(trial.epochs == 4 for trial in result.trials if trial.status == "finished")
    assert all(trial.epochs == 2 for trial in result.trials if trial.status == "stopped")


def test_the_best_is_a_suite(searched: Searched) -> None:
    result, _, _ = searched
    assert result.suite is not None
    jobs = loading.load(result.suite).expand().jobs
    assert [job.spec.seed for job in jobs] == [1, 2, 3, 4, 5]
    assert {job.spec.settings.lr for job in jobs} == {result.trials[0].values["settings.lr"]}
    assert {job.spec.base["layers"] for job in jobs} == {result.trials[0].values["base.layers"]}


def test_trials_are_runs_of_the_search_in_mlflow_and_show_nothing_of_the_test(searched: Searched) -> None:
    from harness.tracking.connection import connect

    result, store, _ = searched
    client = connect(Store(store).mlflow_uri)
    experiment = client.get_experiment_by_name("symbench/search/tiny")
    runs = client.search_runs([experiment.experiment_id])
    assert all("symbench.digest" in run.data.tags and "mlflow.parentRunId" not in run.data.tags for run in runs)
    finished = [run for run in runs if run.info.status == "FINISHED"]
    good = sorted(trial.digest for trial in result.trials if trial.status != "failed")
    assert sorted(run.data.tags["symbench.digest"] for run in finished) == good
    assert not [name for run in runs for name in run.data.metrics if name.startswith("test/")]
    assert all("validation/mse" in run.data.metrics for run in finished)


def test_a_search_for_something_else_is_not_mixed_in(searched: Searched, tmp_path: Path) -> None:
    from harness.errors import SymbenchError

    _, store, _ = searched
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "settings": {"epochs": 5, "batch_size": 10}}))
    with pytest.raises(SymbenchError, match=r"has other settings: give this one another name \(--set name=tiny2\)"):
        run_search(load(tmp_path / "tiny.yaml"), store, address=None, progress=Watcher())


def command(folder: Path, *before: str) -> list[str]:
    program = [sys.executable, "-m", "harness.cli", "search", str(folder / "tiny.yaml")]
    return [*before, *program, "--store", str(folder / "store"), "--slots", "2"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")  # what these tests are about needs no MLflow
    return tmp_path


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs a process namespace of its own")
def test_after_the_driver_was_killed_the_same_command_does_the_rest(folder: Path) -> None:
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "trials": 5, "scheduler": "none"}))
    own = folder / "store" / "searches" / "tiny"
    killed = subprocess.Popen(command(folder, *NAMESPACE), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 150
    while len(list(own.glob("records/*.json"))) < 2:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()  # ends the namespace, and so every process of this Ray
    killed.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in own.glob("records/*.json")}
    proposed = (own / "trials.jsonl").read_text().splitlines()
    assert 2 <= len(before) < 5
    again = subprocess.run(command(folder, *NAMESPACE), cwd=folder, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"{5 - len(before)} runs to do, {len(before)} have a record already" in again.stdout
    after = {path.name: path.stat().st_mtime_ns for path in own.glob("records/*.json")}
    assert {name: after[name] for name in before} == before
    points = (own / "trials.jsonl").read_text().splitlines()
    assert points[: len(proposed)] == proposed
    assert len(after) == len(points) == len({*points}) == 5
    assert not (own / "tune").exists()


def test_the_best_is_compared_with_the_default_on_seeds_that_the_search_has_not_used(folder: Path) -> None:
    """Its runs are trials without a test; the same command trains nothing again, and one with more seeds only these."""
    text = {**TINY, "trials": 2, "compare": 1, "space": {"settings.lr": {"choice": [1e-2, 1e-3]}}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(text | {"settings": text["settings"] | {"lr": 1e-6}}))
    first = subprocess.run(command(folder), cwd=folder, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert "4 runs to do, 0 have a record already" in first.stdout and "4/4 done" in first.stdout
    own = Store(folder / "store" / "searches" / "tiny")
    runs = sorted((record.spec.seed, record.spec.settings.lr == 1e-6) for record in own.records())
    assert runs == [(0, False), (0, False), (1, False), (1, True)]
    assert all(record.metrics == {} for record in own.records())
    again = subprocess.run([*command(folder), "--set", "compare=2"], cwd=folder, capture_output=True, text=True)
    assert "2 runs to do, 2 have a record already" in again.stdout and len(own.statuses()) == 6
    found = json.loads((own.root / "against_default.json").read_text())
    assert (found["metric"], found["direction"], found["verdict"]) == ("mse", "min", "too few seeds")
    assert found["seeds"] == [1, 2] and (found["low"], found["high"]) == (None, None)
    gaps = [best - default for best, default in zip(found["best"], found["default"], strict=True)]
    assert found["difference"] == pytest.approx(sum(gaps) / 2) and found["difference"] < 0
    said = "Too few seeds to say whether the best setting beats the default: 5 are needed, and both have a score on 2."
    assert said in again.stdout


def test_when_all_trials_fail_one_sentence_says_why(folder: Path) -> None:
    hopeless = {"settings.lr": {"uniform": [9e8, 1e9]}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "trials": 2, "space": hopeless}))
    result = subprocess.run(command(folder), cwd=folder, capture_output=True, text=True)
    assert result.returncode == 1
    [sentence] = result.stderr.strip().splitlines()
    assert sentence.startswith("None of the 2 trials of tiny succeeded: NotFinite: The training loss is ")
    own = Store(folder / "store" / "searches" / "tiny")
    assert list(own.statuses().values()) == ["failed", "failed"]
    [account] = [json.loads(path.read_text()) for path in own.root.glob("launches/*.json")]
    assert sorted(account["digests"]) == sorted(own.statuses())
