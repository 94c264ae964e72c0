"""A site is whole, safe and complete: every link resolves, its numbers are those of the report, and nothing is lost."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from typer.testing import CliRunner

from harness.cli import app
from harness.collate import collate
from harness.errors import SymbenchError
from harness.report import write_report
from harness.site import add_bundle, write_site
from harness.site.folder import MARKER
from tests.harness.report.chromium import load, script
from tests.harness.report.conftest import browser  # noqa: F401
from tests.harness.site.sites import (
    Parsed,
    broken_links,
    bundle_of,
    files_of,
    pages_of,
    ran_on,
    results,
    rows,
    store_of,
)
from tests.harness.synthetic import demo_records, make_record, renamed

HOSTILE = ("../../x", "CON", "a/b", "é Ω", "y" * 300, "Z" * 300, '<script>alert("1")</script> & {{ 7*7 }}')


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of two stores and a bundle, with results that were measured twice, failures and hostile names."""
    folder = tmp_path_factory.mktemp("demo")
    hostile = [
        renamed(make_record(method="gnn-ga", seed=seed), method=name, task=name) for name in HOSTILE for seed in (0, 1)
    ]
    stores = [
        ("demo", store_of(folder / "demo", demo_records())),
        ("hostile", store_of(folder / "hostile", hostile)),
    ]
    bundle = bundle_of(folder, "lab", ran_on(results(0.01), "2026-07-05", "b"))
    write_site(folder / "site", stores=stores, bundles=[bundle])
    return folder / "site"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A small site of one store."""
    write_site(tmp_path / "site", stores=[("ours", store_of(tmp_path / "ours", results(0.2)))])
    return tmp_path / "site"


def test_every_link_resolves_and_every_page_is_well_formed(demo: Path) -> None:
    pages = pages_of(demo)
    assert len(pages) > 40
    assert broken_links(demo) == []
    for name, page in pages.items():
        assert not page.unclosed and not page.mistakes, name
        assert len(page.ids) == len(set(page.ids)), name


def test_nothing_is_loaded_from_elsewhere_and_shared_files_are_written_once(demo: Path) -> None:
    files = files_of(demo)
    assert sum(b"plotly.js v" in body for body in files.values()) == 1
    for name, body in files.items():
        if name.endswith(".html"):
            assert b"default-src 'none'; script-src 'self'" in body
            assert not [link for link in Parsed(body.decode()).links if "://" in link or link.startswith("/")]


def test_every_task_and_method_has_a_page_of_its_own(demo: Path) -> None:
    index = pages_of(demo)["index.html"]
    tasks = {link for link in index.links if link.startswith("tasks/")}
    methods = {link for link in index.links if link.startswith("methods/")}
    there = {name for name in files_of(demo) if name.endswith(".html")} - {"index.html"}
    assert there == tasks | methods
    assert len(tasks) == 3 + len(HOSTILE) and methods >= {"methods/egnn.html", "methods/gnn-ga.html"}
    assert len({name.lower() for name in there}) == len(there)


def test_bundles_are_listed_and_can_be_downloaded(demo: Path) -> None:
    listed = rows(pages_of(demo)["index.html"], "sources-table")
    assert [row["Bundle"].rpartition("-")[0] for row in listed] == ["demo", "hostile", "lab"]
    assert [int(row["Shown"]) for row in listed] == [int(row["Runs"]) for row in listed]
    assert sorted(f"bundles/{row['Bundle']}.zip" for row in listed) == sorted(
        name for name in files_of(demo) if name.endswith(".zip")
    )


def test_the_numbers_of_a_task_are_those_of_the_report(tmp_path: Path) -> None:
    store = store_of(tmp_path / "results" / "store", demo_records())
    report = Parsed(write_report(collate(store), store, tmp_path / "report")[0].read_text("utf-8"))
    write_site(tmp_path / "site", stores=[("demo", store)])
    for task in ("graph8c", "exp_classify", "nbody"):
        page = pages_of(tmp_path / "site")[f"tasks/{task}.html"]
        for kind in ("board", "cost", "samples", "sizes"):
            theirs = [table for name, table in report.tables.items() if name.startswith(f"{kind}-")]
            ours = [table for name, table in page.tables.items() if name.startswith(f"{kind}-")]
            assert all(table in theirs for table in ours), (task, kind)
            assert ours or (kind, task) in {("sizes", "graph8c"), ("sizes", "exp_classify")}


def test_a_method_has_its_rank_among_all(site: Path) -> None:
    (row,) = rows(pages_of(site)["methods/gnn-ga.html"], "results")
    board = rows(pages_of(site)["tasks/nbody.html"], "board-1-1")
    (same,) = [one for one in board if one["Method"] == "gnn-ga"]
    assert row["Rank"] == f"{same['Rank']}of 2 rows" and same["Rank"] == "2"
    assert row["Score"] == f"{same['mse ↓']}mse ↓"
    (costs,) = rows(pages_of(site)["methods/gnn-ga.html"], "costs")
    assert costs["Parameters"] == "208,387"


def test_a_bundle_is_added_once(site: Path, tmp_path: Path) -> None:
    lab = bundle_of(tmp_path, "lab", ran_on(results(0.1), "2026-07-05", "b"))
    outcome = add_bundle(site, lab)
    assert outcome is not None and [*outcome.added.values()] == [10] and len(outcome.sources) == 2
    before = files_of(site)
    assert add_bundle(site, lab) is None
    assert files_of(site) == before
    history = rows(pages_of(site)["methods/egnn.html"], "history-table")
    assert [row["Date"][:10] for row in history] == ["2026-07-05", "2026-03-02"]
    board = rows(pages_of(site)["tasks/nbody.html"], "board-1-1")
    assert sum("run by lab-" in row["Method"] for row in board) == 2 and len(board) == 4
    with zipfile.ZipFile(site / f"bundles/{outcome.sources[1]}.zip") as archive:
        assert json.loads(archive.read("manifest.json"))["name"] == "lab"


def test_the_same_runs_under_the_same_name_are_known(site: Path, tmp_path: Path) -> None:
    before = files_of(site)
    outcome = write_site(site, stores=[("ours", store_of(tmp_path / "copy", results(0.2)))])
    assert (outcome.added, len(outcome.known), len(outcome.sources)) == ({}, 1, 1)
    assert files_of(site) == before


def test_a_later_bundle_of_the_same_name_takes_the_place_of_the_earlier_one(site: Path, tmp_path: Path) -> None:
    store = store_of(tmp_path / "ours", results(0.2, ("mlp-ga",)))
    outcome = write_site(site, stores=[("ours", store)])
    assert len(outcome.sources) == len(outcome.replaced) == 1 and [*outcome.added.values()] == [15]
    assert len(rows(pages_of(site)["index.html"], "methods-table")) == 3
    assert add_bundle(site, bundle_of(tmp_path, "ours", results(0.2))) is None
    assert broken_links(site) == []


def test_nobody_can_claim_the_runs_of_others(site: Path, tmp_path: Path) -> None:
    outcome = add_bundle(site, bundle_of(tmp_path, "evil", results(0.2)))
    assert outcome is not None and [*outcome.added.values()] == [0]
    assert "evil" not in "".join(row["Method"] for row in rows(pages_of(site)["tasks/nbody.html"], "board-1-1"))
    shown = {row["Bundle"].split("-")[0]: row["Shown"] for row in rows(pages_of(site)["index.html"], "sources-table")}
    assert shown == {"ours": "10", "evil": "0"}


def test_a_damaged_bundle_is_refused_and_the_site_stays(site: Path, tmp_path: Path) -> None:
    lab = bundle_of(tmp_path, "lab", results(0.1))
    body = bytearray(lab.read_bytes())
    body[len(body) // 2] ^= 1
    lab.write_bytes(body)
    before = files_of(site)
    with pytest.raises(SymbenchError) as caught:
        CliRunner().invoke(app, ["site", "add", str(lab), "--site", str(site)], catch_exceptions=False)
    assert "\n" not in str(caught.value)
    assert files_of(site) == before and not list(site.parent.glob(".*.tmp"))


@pytest.mark.parametrize("moves", [1, 4, 5, 12])
def test_an_interrupted_writing_leaves_the_old_site(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    lab, before, done = bundle_of(tmp_path, "lab", results(0.1)), files_of(site), list[Path]()
    replace = os.replace

    def interrupted(source: Path, target: Path) -> None:
        done.append(target)
        if len(done) == moves + 1:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("harness.site.folder.os.replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            add_bundle(site, lab)
    assert files_of(site) == before and not list(site.parent.glob(".*.tmp"))


def test_a_folder_that_is_no_site_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    stores = [("ours", store_of(tmp_path / "ours", results(0.2)))]
    for place in (tmp_path / "thesis", tmp_path / "thesis" / "chapter.tex"):
        with pytest.raises(SymbenchError, match="holds files but no site"):
            write_site(place, stores=stores)
    assert files_of(tmp_path / "thesis") == {"chapter.tex": b"x"}
    with pytest.raises(SymbenchError, match="no site at"):
        add_bundle(tmp_path / "nothing", bundle_of(tmp_path, "lab", results(0.1)))


def test_files_of_others_in_a_site_stay(site: Path) -> None:
    for name in ("CNAME", "tasks/notes.html", ".git/HEAD"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("mine")
    write_site(site)
    assert {name for name, body in files_of(site).items() if body == b"mine"} == {
        "CNAME",
        "tasks/notes.html",
        ".git/HEAD",
    }


@pytest.mark.parametrize("body", [b"", b"[]", b'{"pages": ["../../x.html"]}', b'{"pages": ["tasks/../../x.html"]}'])
def test_a_marker_that_names_files_elsewhere_is_refused(site: Path, body: bytes) -> None:
    (site / MARKER).write_bytes(body)
    with pytest.raises(SymbenchError, match="cannot be read"):
        write_site(site)


def test_a_link_out_of_the_site_is_not_followed(site: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.rename(site / "tasks", tmp_path / "tasks")
    (site / "tasks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SymbenchError, match="leads out of the site"):
        write_site(site)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_bundle_that_was_put_there_is_shown_and_one_that_was_deleted_is_gone(site: Path, tmp_path: Path) -> None:
    lab = bundle_of(tmp_path, "lab", results(0.1, ("mlp-ga",)))
    lab.rename(site / "bundles" / "from a pull request.zip")
    outcome = write_site(site)
    assert [*outcome.added.values()] == [5] and (site / "methods" / "mlp-ga.html").exists()
    assert sorted(path.stem for path in (site / "bundles").iterdir()) == sorted(outcome.sources)
    (site / f"bundles/{outcome.sources[1]}.zip").unlink()
    assert len(write_site(site).sources) == 1
    assert not (site / "methods" / "mlp-ga.html").exists() and broken_links(site) == []


def test_pages_are_the_same_whenever_they_are_written(site: Path) -> None:
    before = files_of(site)
    write_site(site)
    assert files_of(site) == before


def test_commands_say_what_they_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store_of(tmp_path / "all" / "ours", results(0.2))
    bundle_of(tmp_path / "all", "lab", results(0.1))
    (tmp_path / "all" / "store-0").rename(tmp_path / "theirs")

    def say(*words: str) -> str:
        found = CliRunner().invoke(app, ["site", *words], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found.stdout

    lines = say("--sources", "all", "--out", "site").splitlines()
    assert [line.split("-")[0] for line in lines[:2]] == ["ours", "lab"]
    assert lines[2] == "Site: site/index.html (1 task, 2 methods, 2 bundles)"
    assert "nothing was changed" in say("add", "all/lab.zip", "--site", "site")
    assert json.loads(say("add", "all/lab.zip", "--site", "site", "--json")) == {"site": "site", "changed": None}
    again = json.loads(say("--out", "site", "--json"))
    assert len(again["changed"]["sources"]) == 2 and again["changed"]["added"] == {}
    with pytest.raises(SymbenchError, match="nothing to show"):
        say("--out", "other")
    with pytest.raises(SymbenchError, match="no store and no bundle"):
        say("--out", "other", "--sources", "site")


@pytest.fixture(scope="module")
def chrome(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:  # noqa: F811
    yield browser


@pytest.mark.parametrize("width", [1400, 390])
def test_pages_open_from_disk_in_a_browser(chrome: webdriver.Chrome, demo: Path, width: int) -> None:
    for name in ("index.html", "tasks/nbody.html", "methods/egnn.html"):
        load(chrome, demo / name, width)
        assert [entry for entry in chrome.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
        assert script(chrome, "return document.documentElement.scrollWidth") <= width
        assert script(chrome, "return getComputedStyle(document.querySelector('.columns')).display") == "grid"
        if name != "index.html":
            assert script(chrome, "return document.querySelectorAll('#history .main-svg').length") > 0
