"""Which code a plug-in has: found wherever it is installed, the same in every place, another after any change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.errors import SymbenchError
from harness.records.description import describe
from harness.records.plugin_code import PluginCode, others_of, plugin_code, used_by
from harness.records.provenance import provenance
from harness.records.record import Record
from harness.records.store import Store
from harness.registry import resolve
from harness.spec import Job, RunSpec
from harness.suites import plan
from harness.suites.loading import load
from tests.distributions import CARDS, both, found_in, put

HERE = CARDS.replace("NAME", "other")
THERE = HERE.replace('name="other_nbody"', 'name="other_nbody", implementation="far.away:Task"')
LAYOUTS: dict[str, tuple[str, dict[str, str]]] = {
    "a module": ("cards_of_other", {"cards_of_other.py": HERE}),
    "a package": ("other.cards", {"other/__init__.py": "", "other/cards.py": HERE, "other/deep/er.py": "x = 1"}),
    "a shared folder": ("shared.other.cards", {"shared/other/__init__.py": "", "shared/other/cards.py": HERE}),
    "a module in a shared folder": ("shared.cards", {"shared/cards.py": HERE}),
    "two packages": (
        "other.cards",
        {"other/__init__.py": "", "other/cards.py": THERE, "far/__init__.py": "", "far/away.py": "class Task: pass"},
    ),
}


def install(folder: Path, layout: str, editable: bool = False) -> None:
    module, sources = LAYOUTS[layout]
    put(folder, "other", both("other", module), {} if editable else sources)
    for path, text in sources.items() if editable else ():
        (folder / "src" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "src" / path).write_text(text)


def code_in(folder: Path, patch: pytest.MonkeyPatch) -> PluginCode:
    with patch.context() as inner:
        inner.syspath_prepend(str(folder / "src"))
        with found_in(folder, inner):
            assert "other_nbody" in registry.tasks() and "other_egnn" in registry.methods()
            return plugin_code()["other"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_digest_wherever_it_lies_and_another_after_a_change(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, editable = (tmp_path / name for name in ("first", "second", "editable"))
    for folder in (first, second):
        install(folder, layout)
    install(editable, layout, editable=True)
    found = [code_in(folder, monkeypatch) for folder in (first, second, editable)]
    assert len({code.digest for code in found}) == 1
    assert {code.version for code in found} == {"1.0"}
    assert all(str(root.path).startswith(str(editable / "src")) for root in found[2].roots)
    for number, path in enumerate(LAYOUTS[layout][1]):
        changed = tmp_path / f"changed{number}"
        install(changed, layout)
        (changed / path).write_text((changed / path).read_text() + "\n# \n")
        assert code_in(changed, monkeypatch).digest != found[0].digest, path


def test_what_counts_as_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "a package")
    before = code_in(tmp_path, monkeypatch).digest
    (tmp_path / "other/notes.txt").write_text("x")
    (tmp_path / "other/__pycache__").mkdir(exist_ok=True)
    (tmp_path / "other/__pycache__/old.py").write_text("x")
    assert code_in(tmp_path, monkeypatch).digest == before
    (tmp_path / "other/fast.so").write_text("x")
    compiled = code_in(tmp_path, monkeypatch).digest
    assert compiled != before
    (tmp_path / "other/fast.so").rename(tmp_path / "other/faster.so")
    assert code_in(tmp_path, monkeypatch).digest not in (before, compiled)
    (tmp_path / "more.py").write_text("x = 1")
    (tmp_path / "other-1.0.dist-info/top_level.txt").write_text("other\nmore\nmissing\ntasks\n")
    assert [root.module for root in code_in(tmp_path, monkeypatch).roots] == ["more", "other"]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("other", "third"):
        put(tmp_path, name, both(name))
    with found_in(tmp_path, monkeypatch):
        yield tmp_path


def test_only_the_packages_of_a_run_decide_it_and_its_record_lists_all(two: Path) -> None:
    ours, mixed = resolve("nbody", "egnn", "quick", 0), resolve("nbody", "third_egnn", "quick", 0)
    assert used_by([ours]).keys() == set()
    assert used_by([mixed]).keys() == {"third"}
    assert used_by([mixed, resolve("other_nbody", "egnn", "quick", 0)]).keys() == {"other", "third"}
    said = provenance(Job(spec=mixed, suite="s"), wall_seconds=1.0, command=[])["plugins"]
    assert said == json.loads(json.dumps(said))
    assert {name: one["used"] for name, one in said.items()} == {"other": False, "third": True}
    assert said["third"]["version"] == "1.0" and said["third"]["digest"] == plugin_code()["third"].digest


def recorded(store: Store, spec: RunSpec, change: Callable[[dict[str, Any]], None] = lambda said: None) -> None:
    said = json.loads(json.dumps(provenance(Job(spec=spec, suite="s"), wall_seconds=1.0, command=[])))
    change(said)
    description = describe(spec)
    store.write(
        Record(
            spec=spec,
            suite="s",
            status="succeeded",
            description=description,
            started="2026-01-01T00:00:00+00:00",
            finished="2026-01-01T00:00:01+00:00",
            metrics={description.metric: 1.0},
            provenance=said,
        ),
        [],
    )


def test_a_plan_says_which_records_other_code_made(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = two / "mine.yaml"
    suite.write_text(
        "protocol: quick\nseeds: 6\nexperiments: [{tasks: [nbody], methods: [egnn, other_egnn, third_egnn]}]\n"
    )
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda said: None,
        lambda said: said["plugins"]["other"].update(digest="0"),
        lambda said: said["plugins"]["other"].update(version="0.9"),
        lambda said: said.pop("plugins"),
        lambda said: said.update(plugins=["other"]),
    ]
    loaded, store = load(suite), Store(two / "store")
    for job in loaded.expand().jobs:
        if job.spec.seed < len(changes):
            recorded(store, job.spec, changes[job.spec.seed])  # type: ignore[arg-type]
    planned = plan.plan(loaded, store)
    assert {name: [job.spec.seed for job in jobs] for name, jobs in planned.by_other_code.items()} == {
        "other": [1, 2, 3, 4],
        "third": [3, 4],
    }
    assert len(planned.todo) == 3  # seed 5: they count as done
    first, second = planned.notes()
    assert "the plug-in other than today's" in first and "nbody x other_egnn, seeds 1, 2, 3, 4" in first
    assert "4 records" in first and "raise the version of its card" in first and "\n" not in first
    assert "nbody x third_egnn, seeds 3, 4" in second
    assert plan.plan(loaded, None).notes() == []


def test_a_record_without_plug_ins_is_whole_where_none_is_used() -> None:
    assert others_of(resolve("nbody", "egnn", "quick", 0), {}) == []


def test_what_cannot_be_imported_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {
        "other_cards.py": HERE.replace('name="other_nbody"', 'name="other_nbody", implementation="other_task:Task"'),
        "other_task.py": "import no_such_package\nclass Task: pass\n",
    }
    put(tmp_path, "other", both("other"), sources)
    suite = tmp_path / "mine.yaml"
    suite.write_text("protocol: quick\nexperiments: [{tasks: [other_nbody], methods: [egnn]}]\n")
    with found_in(tmp_path, monkeypatch):
        with pytest.raises(SymbenchError, match=r"plug-in other 1\.0, .*: the module other_task cannot be imported"):
            plan.plan(load(suite), None)
        suite.write_text(suite.read_text().replace("other_nbody", "nbody"))
        assert len(plan.plan(load(suite), None).jobs) == 1


def test_a_moved_copy_is_the_same_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "here", "two packages")
    before = code_in(tmp_path / "here", monkeypatch)
    shutil.move(tmp_path / "here", tmp_path / "there")
    after = code_in(tmp_path / "there", monkeypatch)
    assert after.digest == before.digest and after.roots != before.roots
    assert replace(after, roots=()) == replace(before, roots=())


def test_a_file_in_another_folder_is_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "a package")
    before = code_in(tmp_path, monkeypatch).digest
    shutil.move(tmp_path / "other/deep", tmp_path / "other/deeper")
    assert code_in(tmp_path, monkeypatch).digest != before


def test_a_list_of_modules_that_is_no_text_tells_of_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "a package")
    (tmp_path / "other-1.0.dist-info/top_level.txt").write_bytes(b"\xff\xfe\n")
    assert [root.module for root in code_in(tmp_path, monkeypatch).roots] == ["other"]
