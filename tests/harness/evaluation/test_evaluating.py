"""Evaluations from Python: their numbers are those of runs, and what is done is not done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import DoesNotFit, SettingsError, StoreError, SymbenchError, UnknownName
from harness.evaluation import evaluating
from harness.evaluation.evaluating import evaluate
from harness.evaluation.scores import Evaluation
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.trained.loading import load
from harness.training.execute import execute
from tests.harness.synthetic import make_record
from tests.harness.training.small_problems import particles_spec

DATA = {"train": 40, "validation": 20, "test": 20}
SMALL = {"epochs": 1, "batch_size": 10, "train_samples": 2, "test_samples": 3, "curve_samples": [1]}


def evaluated(method: str = "egnn", **options: Any) -> Evaluation:
    return evaluate(method, "nbody", **{"settings": SMALL, "task_params": DATA, "seeds": 1, **options})


class Ran:
    """Counts the runs that are computed, each of which gives a record without training; may break one off."""

    def __init__(self, patch: pytest.MonkeyPatch, interrupted: int = -1) -> None:
        self.seeds: list[int] = []
        self._interrupted = interrupted
        patch.setattr(evaluating, "run_job", self)

    def __call__(self, job: Job, store: Store, tracker: None) -> Record:
        self.seeds.append(job.spec.seed)
        if job.spec.seed == self._interrupted:
            raise KeyboardInterrupt
        settings = {"task_params": DATA, "settings": SMALL}
        error = "It broke." if job.spec.seed == 3 else None
        record = make_record(seed=job.spec.seed, value=float(job.spec.seed), error=error, suite=job.suite, **settings)
        assert record.spec == job.spec
        store.write(record, [])
        return record


def test_its_numbers_are_those_of_a_run() -> None:
    threads = torch.get_num_threads()
    found = evaluated("egnn", seeds=[1])
    spec = particles_spec("egnn", 1, **SMALL)
    assert found.records[0].spec == spec and found.records[0].metrics == execute(spec).metrics
    assert torch.get_num_threads() == threads


def test_one_row_for_each_seed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    Ran(monkeypatch)
    found = evaluated(seeds=5)
    assert found.frame.select("seed", "status", "mse", "error").rows() == [
        (0, "succeeded", 0.0, None),
        (1, "succeeded", 1.0, None),
        (2, "succeeded", 2.0, None),
        (3, "failed", None, "It broke."),
        (4, "succeeded", 4.0, None),
    ]
    assert (found.metric, found.mean, found.interquartile_mean, found.interval) == ("mse", 1.75, 1.5, None)
    assert "Seed 3 failed: It broke." in caplog.text


def test_finished_seeds_are_kept_and_not_run_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = Ran(monkeypatch, interrupted=2)
    with pytest.raises(KeyboardInterrupt):
        evaluated(seeds=5, store=tmp_path)
    assert sorted(Store(tmp_path).statuses().values()) == ["succeeded", "succeeded"]
    ran._interrupted = -1
    first = evaluated(seeds=5, store=tmp_path)
    assert ran.seeds == [0, 1, 2, 2, 3, 4]
    assert evaluated(seeds=5, store=tmp_path).frame.equals(first.frame)
    assert ran.seeds[6:] == [3]  # a failed run is tried again


def test_weights_can_be_kept(tmp_path: Path) -> None:
    record = evaluated(store=tmp_path, keep_weights=True).records[0]
    assert load(record.digest, tmp_path).record == record
    with pytest.raises(SettingsError, match="name one with store="):
        evaluated(keep_weights=True)


def test_a_run_without_weights_names_the_function(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Ran(monkeypatch)
    record = evaluated(store=tmp_path).records[0]
    with pytest.raises(StoreError, match=r"symbench\.evaluate with keep_weights=True and a new store trains it again"):
        load(record.digest, tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"method": "egn"}, UnknownName, "did you mean 'egnn'"),
        ({"task": "nbdy"}, UnknownName, "did you mean 'nbody'"),
        ({"task": "graph8c", "task_params": {}}, DoesNotFit, "egnn does not fit graph8c: egnn needs points"),
        ({"protocol": "slow"}, UnknownName, "no protocol 'slow'"),
        ({"settings": {"epoch": 1}}, UnknownName, "did you mean 'epochs'"),
        ({"settings": {"lr": -1.0}}, SettingsError, "lr"),
        ({"settings": {"train_size": 10**6}}, SettingsError, "train_size should be at most 40"),
        ({"base": {"widht": 1}}, UnknownName, "did you mean 'width'"),
        ({"sampler": {"temperature": 1.0}}, SettingsError, "has no sampler"),
        ({"seeds": 0}, SettingsError, "seeds should be"),
        ({"seeds": [1, 1]}, SettingsError, "seeds should be"),
        ({"seeds": [-1]}, SettingsError, "seeds should be"),
        ({"device": "tpu"}, SettingsError, "no device 'tpu'"),
    ],
)
def test_errors_come_before_training(
    options: dict[str, Any], error: type[SymbenchError], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = Ran(monkeypatch)
    given = {"method": "egnn", "task": "nbody", "task_params": DATA, "store": tmp_path / "store", **options}
    with pytest.raises(error, match=sentence):
        evaluate(**given)
    assert not ran.seeds and not (tmp_path / "store").exists()


def test_a_seed_whose_run_raises_has_a_failed_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: Any, **options: Any) -> None:
        raise ValueError("too deep")

    monkeypatch.setattr("harness.training.supervised.new_fit", broken)
    found = evaluated()
    assert found.mean is None and found.interquartile_mean is None and found.interval is None
    assert found.frame["error"].item() == "ValueError: too deep"
    assert found.records[0].failure is not None and "in broken" in found.records[0].failure.traceback


def test_it_needs_neither_ray_nor_mlflow() -> None:
    import subprocess
    import sys

    program = "import sys, harness.evaluation.evaluating; print({'ray', 'mlflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"
