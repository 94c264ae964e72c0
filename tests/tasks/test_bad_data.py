"""Data that cannot be had, is damaged, or is no data: one sentence that says what to do, and nothing half-written."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.errors import SymbenchError
from harness.execution.run_job import run_job, sentence_of
from harness.records.store import Store
from harness.registry import resolve
from harness.spec import Job, Resources
from harness.training import execute as execution
from harness.training.examples import check_examples
from tasks.catalogue.long_range import PeptidesSettings
from tasks.errors import DataError
from tasks.graphs import typed_graphs
from tasks.nbody import NBody
from tasks.peptides import PeptidesFunc
from tasks.ragged import RaggedPairs, Segments
from tasks.sources import cache, lrgb, modelnet, pattern, point_clouds
from tasks.symmetry.structure import Structure
from tasks.task import Dataset, Split, SupervisedTask
from tests.harness.training.small_problems import particles_spec
from tests.published_files import small_long_range

REPOSITORY = Path(__file__).resolve().parents[2]
NOWHERE = "http://localhost:9"


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and no other."""
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


# What a run says of data that it cannot have


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_geometric.datasets import ModelNet

    monkeypatch.setattr(pattern, "PUBLISHED", replace(pattern.PUBLISHED, url=f"{NOWHERE}/PATTERN_v2.zip"))
    for task, archive in (
        ("tasks.peptides.PeptidesFunc", lrgb.PEPTIDES_FUNC),
        ("tasks.peptides.PeptidesStruct", lrgb.PEPTIDES_STRUCT),
        ("tasks.pcqm_contact.PCQMContact", lrgb.PCQM_CONTACT),
    ):
        monkeypatch.setattr(f"{task}.archive", replace(archive, url=f"{NOWHERE}/{archive.name}"))
    for name in ("modelnet10", "modelnet40"):
        monkeypatch.setitem(ModelNet.urls, name.removeprefix("modelnet"), f"{NOWHERE}/{name}.zip")


WITHOUT_DATA: Mapping[str, tuple[str, str, dict[str, Any], str]] = {
    "pattern": ("pattern", "gin", {"data": "official"}, "put PATTERN_v2.zip from"),
    "peptides_func": ("peptides_func", "gin", {}, "put peptidesfunc.zip from"),
    "peptides_struct": ("peptides_struct", "gin", {}, "put peptidesstruct.zip from"),
    "pcqm_contact": ("pcqm_contact", "gin", {}, "put pcqmcontact.zip from"),
    "shapes_o3": ("shapes_o3", "mlp-ga", {"data": "modelnet10"}, "put modelnet10-v1-points2048.npz into"),
    "shapes_se3": ("shapes_se3", "mlp-ga", {"data": "modelnet40"}, "put modelnet40-v1-points2048.npz into"),
    "brec": ("brec", "gin", {}, "put brec.csv there"),
    "exp": ("exp", "gin", {"data": "official"}, "put exp.npz there"),
    "exp_classify": ("exp_classify", "gin", {"data": "official"}, "put exp.npz there"),
}


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("case", WITHOUT_DATA)
def test_a_run_without_its_data_fails_with_what_to_do(case: str, tmp_path: Path, data_folder: Path) -> None:
    task, method, params, remedy = WITHOUT_DATA[case]
    job = Job(spec=resolve(task, method, "quick", 0, task_params=params), resources=Resources(), suite="a test")
    record = run_job(job, Store(tmp_path / "store"), None)
    assert record.status == "failed" and record.failure is not None
    sentence = record.failure.sentence
    assert remedy in sentence and str(data_folder) in sentence
    assert sentence.endswith(".") and "Error:" not in sentence.partition("(")[0]
    assert not [path for path in data_folder.glob("*") if not path.name.endswith(".lock")]


def test_a_sentence_about_data_is_neither_cut_nor_prefixed() -> None:
    long = f"Put the file into {'/folder' * 100}."
    assert sentence_of(DataError(long)) == long


@pytest.mark.parametrize("task", ["exp", "exp_classify", "pattern", "shapes_o3", "shapes_se3"])
def test_a_misspelt_set_is_never_taken_for_another(task: str) -> None:
    """Above all not for the generated one, which its records would then not be labelled as."""
    with pytest.raises(SymbenchError, match="genrated"):
        resolve(task, "mlp-ga", "quick", 0, task_params={"data": "genrated"})
    right = resolve(task, "mlp-ga", "quick", 0, task_params={"data": "generated"})
    misspelt = replace(right, task_params={**right.task_params, "data": "genrated"})  # as from a record of others
    with pytest.raises(ValueError, match="genrated"):
        execution.problem_of(misspelt)


# Files that are not what they claim to be


@pytest.fixture
def small_modelnet(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(modelnet, "POINTS", 7)
    monkeypatch.setattr(modelnet, "SIZES", {"modelnet10": (4, 2)})
    random = np.random.default_rng(0)
    return {
        f"{half}_{name}": array
        for half, size in (("train", 4), ("test", 2))
        for name, array in (("points", random.normal(size=(size, 7, 3)).astype(np.float32)), ("label", np.arange(size)))
    }


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda arrays: arrays["train_points"].__setitem__((1, 2), np.nan), "a point is not finite"),
        (lambda arrays: arrays.update(test_points=arrays["test_points"][:1]), r"in place of 2 surfaces"),
        (lambda arrays: arrays.update(train_label=np.arange(3)), r"in place of 4 surfaces"),
        (lambda arrays: arrays.update(train_label=np.arange(4) - 1), "a label is no class"),
        (lambda arrays: arrays.update(train_label=np.ones(4) / 2), "a label is no class"),
    ],
)
def test_points_that_are_not_modelnets_are_named(
    small_modelnet: dict[str, Any], data_folder: Path, change: Any, fault: str
) -> None:
    data_folder.mkdir()
    path = data_folder / modelnet.file_name("modelnet10")
    cache.save(path, small_modelnet)
    assert len(point_clouds.published("modelnet10")["test"].label) == 2
    change(small_modelnet)
    cache.save(path, small_modelnet)
    with pytest.raises(DataError, match=rf"modelnet10-v1-points7\.npz does not hold .*{fault}.*; replace it"):
        point_clouds.published("modelnet10")


@pytest.mark.parametrize("label", [2.0, 0.5, -1.0, np.inf])
def test_labels_of_peptides_are_zero_or_one_or_unknown(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, label: float
) -> None:
    small_long_range(data_folder, monkeypatch, {"train.pt": (3, 4), "val.pt": (5,), "test.pt": (6,)})
    found = lrgb.peptides(PeptidesFunc.archive)
    monkeypatch.setattr(lrgb, "peptides", lambda archive: found)
    found["test"].target[0, 3] = np.nan
    PeptidesFunc(PeptidesSettings(nodes=6))
    found["test"].target[0, 4] = label
    with pytest.raises(DataError, match=r"A test label of Peptides-func is neither 0 nor 1: replace .*\.zip"):
        PeptidesFunc(PeptidesSettings(nodes=6))


# Examples that no model can read, whatever task they come from


class FromOutside(SupervisedTask):
    """As another package may bring one along."""

    def __init__(self, settings: Any = None) -> None:
        mask = torch.ones(3, 4, dtype=torch.bool)
        self.x = Structure.build(
            mask,
            node_scalars=torch.ones(3, 4, 2),
            points=torch.ones(3, 4, 3, 1),
            vectors=torch.ones(3, 4, 3, 1),
            edge_scalars=torch.ones(3, 4, 4, 1),
        )
        self.faulty: Split = "validation"
        self.kept = 3
        self.targets: Tensor | RaggedPairs = torch.zeros(3, 1)

    def data(self, split: Split) -> Dataset:
        if split != self.faulty:
            return Dataset(FromOutside().x, torch.zeros(3, 1))
        return Dataset(self.x, self.targets).first(self.kept)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return predictions.sum()

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {}


@pytest.mark.parametrize("channel", ["node_scalars", "points", "vectors", "edge_scalars"])
@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_features_that_are_not_finite_are_named(channel: str, value: float) -> None:
    problem = FromOutside()
    check_examples(problem)
    getattr(problem.x, channel)[2, 1] = value
    with pytest.raises(DataError, match=f"Example 2 of the validation split has {channel} that are not finite"):
        check_examples(problem)


class WithGaps(FromOutside):
    targets_may_be_unknown = True


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("kind", [FromOutside, WithGaps])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_targets_that_are_not_finite_are_named(split: Split, kind: type[FromOutside], value: float) -> None:
    """Not-a-number passes where it says that a target is not known; a whole split of unknown targets does not."""
    problem = kind({})
    problem.faulty, problem.targets = split, torch.zeros(3, 2, 4)
    problem.targets[1, 1, 2] = value
    if kind is WithGaps and math.isnan(value):
        check_examples(problem)
        problem.targets[:] = value
        with pytest.raises(DataError, match=f"The {split} split has no known target"):
            check_examples(problem)
        return
    with pytest.raises(DataError, match=f"Example 1 of the {split} split has targets that are not finite"):
        check_examples(problem)


def test_labels_of_pairs_that_are_not_finite_are_named() -> None:
    """The second graph has no pairs: the third one's begin where it begins."""
    problem, offset = FromOutside(), torch.tensor([0, 2, 2, 4])
    index, label = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 1]]), torch.zeros(4)
    problem.targets = RaggedPairs(4, torch.tensor([2, 2, 2]), Segments.between(offset), index, label)
    check_examples(problem)
    label[2] = torch.nan
    with pytest.raises(DataError, match="Example 2 of the validation split has targets that are not finite"):
        check_examples(problem)


def test_a_run_with_a_target_that_is_not_a_number_fails_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = NBody.data

    def gap(self: NBody, split: Split) -> Dataset:
        found = whole(self, split)
        if split == "test":
            found.targets[3, 0, 0] = torch.nan
        return found

    monkeypatch.setattr(NBody, "data", gap)
    job = Job(spec=particles_spec("egnn"), resources=Resources(), suite="a test")
    store = Store(tmp_path / "store")
    failure = run_job(job, store, None).failure
    assert failure is not None
    sentence = "Example 3 of the test split has targets that are not finite: repair it or leave it out."
    assert failure.sentence == sentence
    assert store.history(job.spec.digest).is_empty()


def test_empty_graphs_and_empty_splits_are_named() -> None:
    problem = FromOutside()
    problem.x.mask[1] = False
    with pytest.raises(DataError, match="Example 1 of the validation split has no nodes: leave it out"):
        check_examples(problem)
    problem.kept, problem.faulty = 0, "train"
    with pytest.raises(DataError, match="The train split has no examples: ask for at least one"):
        check_examples(problem)


def test_a_formula_above_the_padding_is_named() -> None:
    offset, types, edges = torch.tensor([0, 2, 5]), torch.ones(5), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    assert typed_graphs(offset, torch.tensor([0, 2, 4]), types, edges, nodes=3).node_counts.tolist() == [2, 3]
    with pytest.raises(DataError, match="Graph 1 has 3 nodes and the task pads to 2: leave it out"):
        typed_graphs(offset, torch.tensor([0, 2, 4]), types, edges, nodes=2)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_run_without_examples_fails_with_what_to_do(split: str, tmp_path: Path) -> None:
    """Refused before anything starts; said of a run that came another way."""
    params = {"data": "generated", "nodes": 12, "patterns": 2, "train": 4, "validation": 4, "test": 4}
    with pytest.raises(SymbenchError, match=f"'{split}' of 'pattern' should be a whole number, at least 1, not 0"):
        resolve("pattern", "gin", "quick", 0, task_params={**params, split: 0})
    spec = resolve("pattern", "gin", "quick", 0, task_params=params)
    job = Job(spec=replace(spec, task_params={**spec.task_params, split: 0}), resources=Resources(), suite="a test")
    failure = run_job(job, Store(tmp_path / "store"), None).failure
    assert failure is not None and failure.sentence == f"The {split} split has no examples: ask for at least one."


# Filling the cache

FILL = """
import sys
from pathlib import Path
import numpy as np
from tasks.errors import DataError
from tasks.sources import cache

def generate():
    Path(sys.argv[1]).touch()
    return {"a": np.random.default_rng(0).random(200_000)}

try:
    print(cache.arrays("x.npz", ["a"], generate)["a"].sum())
except DataError as error:
    print(error)
"""
HALF_A_MEBIBYTE = 512 * 1024
FILLED = f"{np.random.default_rng(0).random(200_000).sum()}\n"


def filled(tmp_path: Path, program: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", program, str(tmp_path / "begun")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, data_folder: Path) -> None:
    """The 1.5 MiB of the file do not fit where no file may have more than half a mebibyte."""
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({HALF_A_MEBIBYTE}, {HALF_A_MEBIBYTE}))\n"
    said = filled(tmp_path, limit + FILL).communicate(timeout=60)[0]
    target = data_folder / "x.npz"
    assert said == (
        f"{target} cannot be written (File too large): make room there, or set SYMBENCH_DATA to another folder.\n"
    )
    assert [path.name for path in data_folder.iterdir()] in ([], [".x.npz.lock"])
    assert filled(tmp_path, FILL).communicate(timeout=60)[0] == FILLED
    assert len(cache.load(target, ["a"])["a"]) == 200_000


def test_a_full_disk_is_not_taken_for_a_missing_network_or_a_damaged_archive(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    source = tmp_path / "PATTERN_v2.zip"
    source.write_bytes(b"archive")
    archive = replace(pattern.PUBLISHED, url=source.as_uri())
    monkeypatch.setattr("tasks.sources.published.shutil.copyfileobj", full)
    with pytest.raises(DataError, match=r"PATTERN_v2\.zip cannot be written \(No space left on device\): make"):
        archive.obtain()
    small_long_range(data_folder, monkeypatch, {"train.pt": (3,), "val.pt": (5,), "test.pt": (6,)})
    with pytest.raises(DataError, match=r"peptidesfunc-v1\.npz cannot be written \(No space left on device\)"):
        PeptidesFunc(PeptidesSettings(nodes=6))


def test_a_process_that_dies_while_it_fills_the_cache_leaves_nothing_that_is_read(
    tmp_path: Path, data_folder: Path
) -> None:
    """The first is killed with half of the file written; the second, which waits for it, makes it again."""
    half = """
import os, signal, time
def dies(path, contents):
    path.write_bytes(b"half of it")
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    first = filled(tmp_path, FILL.replace("try:", f"{half}\ncache.save = dies\ntry:", 1))
    while not (tmp_path / "begun").exists():
        assert first.poll() is None
    second = filled(tmp_path, FILL)
    said = second.communicate(timeout=60)[0]
    first.communicate(timeout=60)
    assert first.returncode == -signal.SIGKILL
    assert (second.returncode, said) == (0, FILLED)
    assert len(cache.load(data_folder / "x.npz", ["a"])["a"]) == 200_000
