"""Whatever holds names of an earlier version is read as if it had been written today: suites, searches, records,
segments, bundles, tables and plug-ins. A renamed method is the same method, so its runs keep their digests."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from harness import registry
from harness.bundles.bundle import RECORDS
from harness.bundles.exporting import export
from harness.bundles.importing import checked_bundle, import_bundle
from harness.bundles.reference import reference_runs
from harness.cli import app
from harness.collate import collate
from harness.collate.incremental import STAMP
from harness.collate.regression import regression
from harness.errors import SymbenchError
from harness.records.compaction import compact
from harness.records.record import Record
from harness.records.store import Store
from harness.renames import current_name, current_record
from harness.search.journal import Journal
from harness.search.loading import load as load_search
from harness.spec import RunSpec, digest_of
from harness.suites.loading import load
from harness.suites.plan import plan
from tests.distributions import found_in, put
from tests.harness.synthetic import make_record

# Computed at commit ad9135a, the last one before methods were renamed, with seed 3.
BEFORE = [
    ("nbody", "egnn", "quick", "0e6daa94d1b034ab"),
    ("exp_classify", "gin", "paper", "025c290dcb675edf"),
    ("graph8c", "gcn", "quick", "7973d93c5d1ee023"),
    ("nbody", "gnn-canonical", "paper", "14403ded9a900988"),
    ("nbody", "gnn-learned", "paper", "21db1d8e83397bfe"),
    ("nbody", "transformer-haar", "quick", "9b89aba38d949ab8"),
    ("nbody", "gnn-identity", "standard", "cd0c565b7372bc10"),
    ("graph8c", "mlp-frame", "quick", "46be02f858a01889"),
    ("graph8c", "gin_id-minimal_frame", "quick", "41f4620d3337ab0b"),
    ("exp_classify", "mlp-learned", "paper", "b22279a75a70dc9e"),
    ("exp_classify", "mlp-identity", "quick", "4c4359c50531a116"),
    ("pattern", "vit-haar", "quick", "049c8c697c5aab5a"),
]
OLD = {"none": "identity", "ga": "haar", "fa": "frame", "mfa": "minimal_frame", "ps": "learned"}
METHODS = ["egnn", "gnn-canonical", *(f"gnn-{sampler}" for sampler in OLD)]
RECORDS_TODAY = [
    *(make_record(method=method, seed=seed, value=0.1 + seed) for method in METHODS for seed in range(3)),
    make_record("graph8c", "gin_id-mfa"),
    make_record("exp_classify", "mlp-fa", error="It broke."),
]
SUITE = """
protocol: quick
seeds: 3
experiments:
  - {tasks: [nbody], methods: [METHODS], task_params: {nodes: 5}}
overrides:
  - {method: OVERRIDDEN, settings: {lr: 0.005}}
"""
SEARCH = """
task: nbody
method: METHOD
protocol: quick
space: {settings.lr: {choice: [0.1, 0.2]}}
trials: 2
"""


def as_before(record: Record) -> dict[str, Any]:
    """The JSON that an earlier version wrote of this run."""
    values = record.to_dict()
    base, dash, sampler = record.spec.method.rpartition("-")
    values["spec"]["method"] = base + dash + OLD.get(sampler, sampler)
    described = values["description"]
    described["sampler"] = OLD.get(described["sampler"], described["sampler"])
    described["control"] = described["control"].replace("_transformed", "_moved")
    values["metrics"] = {name.replace("_transformed", "_moved"): value for name, value in values["metrics"].items()}
    return values


def store_of(root: Path, *, old: bool) -> Store:
    store = Store(root)
    for record in RECORDS_TODAY:
        store.write(record, [])
        if old:
            store.record_path(record.digest, record.status).write_text(json.dumps(as_before(record), indent=1) + "\n")
    return store


@pytest.fixture
def old(tmp_path: Path) -> Store:
    store = store_of(tmp_path / "old" / "store", old=True)
    assert any("learned" in path.read_text() for path in store.record_files())
    return store


@pytest.fixture
def new(tmp_path: Path) -> Store:
    return store_of(tmp_path / "new" / "store", old=False)


def suite_file(folder: Path, methods: str, overridden: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(SUITE.replace("METHODS", methods).replace("OVERRIDDEN", overridden))
    return path


# Identity


@pytest.mark.parametrize(("task", "method", "protocol", "digest"), BEFORE)
def test_a_digest_of_an_earlier_version_is_that_of_today(task: str, method: str, protocol: str, digest: str) -> None:
    changes: dict[str, Mapping[str, Any]] = {}
    if task == "exp_classify":
        changes["task_params"] = {"data": "generated"}
    if method.startswith("vit"):
        changes["base"] = {"weights": "random"}
    spec = registry.resolve(task, current_name(method), protocol, 3, **changes)
    assert spec.digest == digest
    assert digest_of({**spec.to_dict(), "method": method}) == digest


@pytest.mark.parametrize("record", RECORDS_TODAY[::3], ids=lambda record: record.spec.method)
def test_a_record_and_its_setting_keep_their_digests_when_names_are_replaced(record: Record) -> None:
    before = as_before(record)
    after = current_record(before, registry.is_method)
    assert after == record.to_dict()
    assert before["digest"] == digest_of(before["spec"]) == digest_of(after["spec"]) == record.digest
    assert RunSpec.from_dict(before["spec"]).setting == record.spec.setting


def test_published_results_have_the_names_of_today() -> None:
    folder = Path(registry.__file__).parents[1] / "results" / "published"
    for path in folder.glob("*/records/*.json"):
        values = json.loads(path.read_text())
        assert current_record(values, registry.is_method) == values
        assert registry.is_method(values["spec"]["method"])


# Records


@pytest.mark.parametrize("compacted", [False, True])
def test_a_store_of_an_earlier_version_reads_as_one_of_today(old: Store, new: Store, compacted: bool) -> None:
    if compacted:
        compact(old)
    assert old.statuses() == new.statuses()
    assert list(old.records()) == list(new.records()) == sorted(RECORDS_TODAY, key=lambda record: record.digest)
    assert all(old.read(record.digest) == record for record in RECORDS_TODAY)
    mine, theirs = collate(old), collate(new)
    for name, frame in theirs.frames().items():
        assert_frame_equal(mine.frames()[name].drop(STAMP, strict=False), frame.drop(STAMP, strict=False))
    assert not any(word in mine.runs.write_json() for word in ("-learned", "haar", "_moved"))


def test_a_plan_counts_runs_of_an_earlier_version_as_done(old: Store, tmp_path: Path) -> None:
    found = plan(load(suite_file(tmp_path, "gnn-*, egnn", "mlp-ps")), old)
    assert len(found.done) == len(found.jobs) == 3 * len(METHODS)


def test_a_run_of_today_takes_the_place_of_one_that_failed_before(old: Store) -> None:
    [failed] = [record for record in RECORDS_TODAY if record.failure]
    done = make_record("exp_classify", "mlp-fa")
    assert old.statuses()[failed.digest] == "failed"
    old.write(done, [])
    assert old.statuses()[failed.digest] == "succeeded" and old.read(failed.digest) == done
    assert collate(old).runs.filter(digest=failed.digest)["status"].to_list() == ["succeeded"]


# Bundles and earlier results


def test_a_bundle_of_an_earlier_version_is_imported_and_known(old: Store, new: Store, tmp_path: Path) -> None:
    export(old, tmp_path / "lab")
    assert any("learned" in text for text in pl.read_parquet(tmp_path / "lab" / RECORDS)["record"])
    known = import_bundle(new, checked_bundle(tmp_path / "lab"))
    assert (known.added, known.known) == (0, len(RECORDS_TODAY))
    empty = Store(tmp_path / "third" / "store")
    assert import_bundle(empty, checked_bundle(tmp_path / "lab")).added == len(RECORDS_TODAY)
    assert set(collate(empty).runs["method"]) == {record.spec.method for record in RECORDS_TODAY}


@pytest.mark.parametrize("kind", ["store", "bundle"])
def test_results_of_an_earlier_version_are_the_same_cells(old: Store, new: Store, tmp_path: Path, kind: str) -> None:
    if kind == "bundle":
        export(old, tmp_path / "lab.zip")
    before = reference_runs(tmp_path / "lab.zip" if kind == "bundle" else old.root)
    found = regression(collate(new).runs, before)
    assert set(found["change"]) == {"same"} and found["why"].null_count() == found.height


# Names that somebody writes


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]


def test_a_suite_with_old_names_is_that_of_today_after_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    today = load(suite_file(tmp_path, "gnn-ps, '*-fa', egnn", "gnn-ps")).expand()
    assert warnings(caplog) == []
    suite = load(suite_file(tmp_path, "gnn-learned, '*-frame', egnn", "gnn-learned"))
    planned = plan(suite, None, ["task=nbody, method=gnn-learned"])
    assert suite.expand() == today
    assert [job.spec.method for job in planned.jobs] == ["gnn-ps"] * 3 and planned.jobs[0].spec.settings.lr == 0.005
    [said] = warnings(caplog)
    assert "'gnn-learned' is now called 'gnn-ps'" in said and "'*-frame' is now called '*-fa'" in said


def test_set_and_only_take_old_names_after_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = suite_file(tmp_path, "gnn-ps, egnn", "gnn-ps")
    suite = load(path, ["experiments.0.methods=[gnn-haar, mlp-*]", "overrides.0.method='*-haar'"])
    assert {job.spec.method for job in plan(suite, None).jobs} >= {"gnn-ga", "mlp-none"}
    assert len(warnings(caplog)) == 1
    caplog.clear()
    found = plan(load(path), None, ["method=gnn-learned", "task=nbody,method=egnn"])
    assert {job.spec.method for job in found.jobs} == {"gnn-ps", "egnn"}
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("name", ["gnn-learnd", "unknown-learned", "learned"])
def test_a_name_that_never_was_is_still_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SymbenchError, match=f"there is no method '{name}'"):
        load(suite_file(tmp_path, name, "all"))


def test_a_search_with_an_old_name_goes_on_with_its_trials(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "lr.yaml").write_text(SEARCH.replace("METHOD", "gnn-learned"))
    search = load_search(tmp_path / "lr.yaml")
    assert search.method == search.example.spec.method == "gnn-ps" and len(warnings(caplog)) == 1
    store = Store(tmp_path / "store")
    Journal(store, search).add({"settings.lr": 0.1})
    identity = store.root / "search.json"
    identity.write_text(identity.read_text().replace("gnn-ps", "gnn-learned"))
    assert Journal(store, search).points == [{"settings.lr": 0.1}]


def test_commands_take_old_names_after_one_warning(old: Store, caplog: pytest.LogCaptureFixture) -> None:
    for words in (
        ["check", "gnn-learned", "--task", "nbody", "--set", "task_params.nodes=3", "--samples", "1,2", "--json"],
        ["compare", "gnn-learned", "gnn-haar", "--store", str(old.root), "--json"],
        ["show", "gnn-learned", "--json"],
        ["show", "gnn-learned", "--task", "nbody", "--json"],
    ):
        caplog.clear()
        done = CliRunner().invoke(app, words)
        assert json.loads(done.stdout), done.output
        assert len([one for one in warnings(caplog) if "'gnn-learned' is now called 'gnn-ps'" in one]) == 1
        if words[0] == "check":
            assert json.loads(done.stdout)["method"] == "gnn-ps"


# Plug-ins

PLUGIN = """
from dataclasses import replace
from baselines.cards import MethodCard
from baselines.catalogue import PROBABILISTIC, MLP
from tasks.cards import Recipe
from tasks.catalogue import NBODY

TASK = replace(
    NBODY, name="mine", control="mse_moved",
    recipes=(Recipe(method="learned", settings={"lr": 0.5}), Recipe(method="mlp-haar", settings={"lr": 0.25})),
)
SHADOWED = MethodCard(base=MLP, sampler=replace(PROBABILISTIC, name="learned"))
OWN = MethodCard(base=MLP, sampler=replace(PROBABILISTIC, name="learned", version="mine"))
NET = MethodCard(base=replace(MLP, name="net"), sampler=PROBABILISTIC)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(points: str) -> Any:
        put(tmp_path / "packages", "mine", points, {"mine_cards.py": PLUGIN})
        return found_in(tmp_path / "packages", monkeypatch)

    (tmp_path / "packages").mkdir()
    return install


def test_recipes_and_the_control_of_a_plug_in_may_have_old_names(plugin: Any, caplog: pytest.LogCaptureFixture) -> None:
    with plugin("[symbench.tasks]\nt = mine_cards:TASK\n"):
        card = registry.task("mine")
        assert card.control == "mse_transformed" and [one.method for one in card.recipes] == ["ps", "mlp-ga"]
        rates = [registry.resolve("mine", name, "quick", 0).settings.lr for name in ("mlp-ps", "mlp-ga", "gnn-ps")]
        assert rates == [0.5, 0.25, 0.5]
        [said] = warnings(caplog)
        assert said.startswith("The plug-in mine 1.0") and "'learned' is now called 'ps'" in said


def test_a_plug_in_with_an_old_name_of_its_own_keeps_it(
    plugin: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with plugin("[symbench.methods]\nm = mine_cards:OWN\n"):
        suite = load(suite_file(tmp_path, "mlp-learned, mlp-ps, gnn-learned", "mlp-learned"))
        specs = [job.spec for job in suite.expand().jobs[::3]]
        assert [spec.method for spec in specs] == ["mlp-learned", "mlp-ps", "gnn-ps"]
        assert [spec.settings.lr == 0.005 for spec in specs] == [True, False, False]
        assert len({spec.digest for spec in specs}) == 3
        assert registry.method("mlp-learned").version != registry.method("mlp-ps").version
        [said] = warnings(caplog)
        assert "gnn-learned" in said and "mlp-learned" not in said
        own = make_record(method="mlp-learned")
        assert Record.from_dict(own.to_dict()) == own and own.spec.method == "mlp-learned"


def test_a_plug_in_whose_runs_would_be_taken_for_those_of_another_method_is_left_out(plugin: Any) -> None:
    with plugin("[symbench.methods]\nm = mine_cards:SHADOWED\n"):
        assert not registry.is_method("mlp-learned")
        [found] = registry.plugins()
        assert found.fault and "mlp-learned and mlp-ps" in found.fault and "version other than" in found.fault


def test_a_network_of_a_plug_in_with_a_built_in_sampler_was_renamed_too(plugin: Any, tmp_path: Path) -> None:
    with plugin("[symbench.methods]\nm = mine_cards:NET\n"):
        record = make_record(method="net-ps")
        before = as_before(record)
        assert before["spec"]["method"] == "net-learned" and digest_of(before["spec"]) == record.digest
        assert Record.from_dict(before) == record
        assert {job.spec.method for job in load(suite_file(tmp_path, "net-learned", "all")).expand().jobs} == {"net-ps"}
