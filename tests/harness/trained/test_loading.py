"""A loaded model is the one that was scored; what cannot be loaded is said in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.errors import PluginError, StoreError, SymbenchError, UnknownName
from harness.execution.run_job import run_job
from harness.records.compaction import compact
from harness.records.layout import IMPORTED
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Resources
from harness.trained import loading
from harness.trained.loading import load
from harness.training.stack_note import stack_of
from tests.harness.records.conftest import Machine, objects
from tests.harness.synthetic import make_record
from tests.harness.trained.kept import kept_job, trained, trained_in_a_stack
from tests.harness.training.small_problems import particles_spec


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def record(store: Store) -> Record:
    return trained(store)


def recorded(record: Record, names: Mapping[str, float]) -> dict[str, float]:
    return {name: record.metrics[name] for name in names}


@pytest.mark.parametrize(
    ("method", "settings"),
    [("mlp-ps", {}), ("egnn", {"precision": "float64"}), ("gnn-canonical", {"test_repeats": 3})],
)
def test_a_loaded_model_has_the_scores_of_its_record(method: str, settings: dict[str, object], tmp_path: Path) -> None:
    record = trained(Store(tmp_path), method, **settings)
    found = load(record.digest, tmp_path)
    scores = found.score()
    assert scores == recorded(record, scores) and "mse" in scores and "mse_transformed" in scores
    assert not found.module.training and found.spec == record.spec and found.task.name == "nbody"


def test_a_model_of_a_stack_has_the_scores_of_its_record(tmp_path: Path) -> None:
    records = trained_in_a_stack(Store(tmp_path), "mlp-ps", 3)
    for record in records:
        scores = load(record.digest, tmp_path).score()
        assert scores == recorded(record, scores) and stack_of(record.notes) == 3
    assert len({record.weights.sha256 for record in records if record.weights}) == 3


def test_a_loaded_model_predicts(store: Store, record: Record) -> None:
    found = load(record.digest, store.root)
    x = found.problem.data("test").inputs
    names = ("node_scalars", "points", "vectors", "edge_scalars")
    predicted = found.predict(x)
    assert predicted.shape == (20, 5, 3, 1) and not predicted.requires_grad
    assert torch.equal(found.predict({name: getattr(x, name) for name in names}), predicted)


def test_group_samples_are_those_of_the_seed(tmp_path: Path) -> None:
    found = load(trained(Store(tmp_path), "mlp-ps").digest, tmp_path)
    x = found.problem.data("test").inputs
    same = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    assert torch.equal(found.predict(x, 2), found.predict(x, 2, seed=0))
    assert not torch.equal(found.predict(x, 2), found.predict(x, 2, seed=1))
    assert torch.equal(*(found.predict(x, generator=one) for one in same))


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"point": torch.ones(1, 5, 3, 1)}, "There is no input 'point': did you mean 'points'?"),
        ({"points": torch.ones(1, 5, 3, 2)}, "The model takes points with 1 channels, not 2."),
        ({}, "The model takes points with 1 channels, not 0."),
    ],
)
def test_other_tensors_are_refused(
    store: Store, record: Record, tensors: dict[str, torch.Tensor], sentence: str
) -> None:
    with pytest.raises(SymbenchError, match="^" + sentence.replace("?", r"\?")):
        load(record.digest, store.root).predict(tensors)


def test_a_unique_prefix_is_enough(store: Store, record: Record) -> None:
    assert load(record.digest[:6], store.root).record == record
    with pytest.raises(UnknownName, match="There is no run 0000 in the store"):
        load("0000", store.root)
    with pytest.raises(UnknownName, match="no digest of a run"):
        load("../records", store.root)
    with pytest.raises(StoreError, match="There is no store at nowhere"):
        load(record.digest, "nowhere")


def test_an_ambiguous_prefix_names_the_runs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found: dict[str, list[str]] = {}
    for seed in range(17):  # two of them begin with the same digit
        record = make_record(seed=seed)
        store.write(record, [])
        found.setdefault(record.digest[0], []).append(record.digest)
    prefix, (first, second, *_) = next((prefix, some) for prefix, some in found.items() if len(some) > 1)
    with pytest.raises(UnknownName, match=f"runs begin with '{prefix}' .*: give more digits") as caught:
        load(prefix, tmp_path)
    assert first in str(caught.value) and second in str(caught.value)


def test_a_record_in_a_segment_finds_its_weights(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = trained(store)
    compact(store)
    assert not list((tmp_path / "records").glob("*.json"))
    scores = load(record.digest, tmp_path).score()
    assert scores == recorded(record, scores)


def test_a_store_can_be_moved(tmp_path: Path) -> None:
    record = trained(Store(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    assert load(record.digest, tmp_path / "there").record == record


def test_weights_are_fetched_from_an_address(nearby: Machine) -> None:
    here = nearby("here")
    record = trained(here)
    assert record.weights is not None
    there = nearby("there")
    assert record.weights.file in objects(there) and not there.weights_path(record.weights).exists()
    scores = load(record.digest, there.address).score()
    assert scores == recorded(record, scores) and there.weights_path(record.weights).exists()


def test_a_run_without_weights_says_how_to_get_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = run_job(kept_job("egnn", resources=Resources()), store, None)
    assert record.weights is None and "weights" not in record.to_dict()
    again = "symbench run tests --set resources.keep_weights=true --store NEW"
    with pytest.raises(StoreError, match=f"did not keep its weights: '{again}' trains it again"):
        load(record.digest, tmp_path)


def test_a_run_without_a_model_says_so(tmp_path: Path) -> None:
    record = make_record("graph8c", "gin", notes=("No weights were kept: a run on graph8c has no single model.",))
    Store(tmp_path).write(record, [])
    with pytest.raises(
        StoreError, match=f"^Run {record.digest} has no weights: a run on graph8c has no single model.$"
    ):
        load(record.digest, tmp_path)


def test_a_failed_run_has_no_model(tmp_path: Path) -> None:
    record = make_record(error="It broke.")
    Store(tmp_path).write(record, [])
    with pytest.raises(StoreError, match=r"failed \(It broke.\), so it has no trained model"):
        load(record.digest, tmp_path)


def test_an_imported_run_has_no_weights(tmp_path: Path, store: Store, record: Record) -> None:
    folder = Store(tmp_path).root / IMPORTED / "theirs-12345678" / "records"
    folder.mkdir(parents=True)
    (folder / f"{record.digest}.json").write_text(json.dumps(record.to_dict()))
    with pytest.raises(UnknownName, match="imported with the bundle theirs-12345678, and bundles have no weights"):
        load(record.digest, tmp_path)


def test_changed_and_missing_weights_are_not_loaded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = trained(store)
    assert record.weights is not None
    path = store.weights_path(record.weights)
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)
    with pytest.raises(StoreError, match="were changed after they were written"):
        load(record.digest, tmp_path)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        load(record.digest, tmp_path)


@pytest.mark.parametrize("kind", ["task", "method"])
def test_another_version_is_refused_unless_it_is_wanted(
    kind: str, store: Store, record: Record, tmp_path: Path
) -> None:
    assert record.weights is not None
    older = replace(record, spec=replace(record.spec, **{f"{kind}_version": "0"}))
    Store(tmp_path).write(older, [], store.weights_path(record.weights).read_bytes())
    name = getattr(record.spec, kind)
    with pytest.raises(PluginError, match=f"with version 0 of the {kind} {name}, which has version . now: install"):
        load(older.digest, tmp_path)
    assert load(older.digest, tmp_path, other_code=True).record == older


def test_other_code_of_a_plugin_is_refused(store: Store, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "others_of", lambda spec, provenance: ["their-package"])
    with pytest.raises(PluginError, match="trained with other code of the plug-in their-package"):
        load(record.digest, store.root)
    assert load(record.digest, store.root, other_code=True).record == record


def test_a_record_names_no_file_outside_of_its_folder(record: Record) -> None:
    for file in ("../secret.safetensors", "weights/../../x.safetensors", "/etc/passwd", "weights/x.txt"):
        values = record.to_dict() | {"weights": {"file": file, "bytes": 1, "sha256": "0"}}
        with pytest.raises(ValueError, match="no file of weights"):
            Record.from_dict(values)


def test_a_spec_does_not_depend_on_what_is_kept() -> None:
    assert kept_job("egnn", epochs=3).spec == particles_spec("egnn", epochs=3, curve_samples=[1])
