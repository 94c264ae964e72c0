"""The written files: escaped, self-contained, well-formed."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.collate import collate
from harness.errors import SymbenchError
from harness.records.record import Record
from harness.records.store import Store
from harness.report import write_report
from harness.report.rendering.markdown import markdown_text
from harness.report.rendering.styles import ROLES
from harness.report.sections.provenance import command
from tests.harness.synthetic import demo_records, make_record, renamed, write

NASTY = "<script>alert(\"1\")</script> | *x* `y` Ωδ 'q' ${z} {{ 7*7 }}"
STYLE = Path(__file__).parents[3] / "harness" / "report" / "templates" / "style.css"


def report(root: Path, *records: Record) -> tuple[str, str]:
    store = Store(root / "results" / "store")
    write(store.root, *records)
    paths = write_report(collate(store), store, root / "results")
    assert [path.name for path in paths] == ["leaderboard.html", "leaderboard.md", "leaderboard.tex"]
    return paths[0].read_text(encoding="utf-8"), paths[1].read_text(encoding="utf-8")


class Page(HTMLParser):
    """Texts outside script and style, the scripts, and every attribute that could load or run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "href", "data", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.texts.append(data)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return report(tmp_path_factory.mktemp("demo"), *demo_records())


def test_the_page_loads_nothing_and_embeds_plotly_once(demo: tuple[str, str]) -> None:
    page = Page(demo[0])
    assert page.loads and all(link.startswith("#") or link == "data:," for link in page.loads)
    assert sum("plotly.js v" in script for script in page.scripts) == 1
    assert "default-src 'none'" in demo[0]
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"@import|url\(", STYLE.read_text())


def test_every_link_of_the_contents_leads_somewhere(demo: tuple[str, str]) -> None:
    page = Page(demo[0])
    assert {link[1:] for link in page.loads if link.startswith("#")} <= set(page.ids)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    records = [
        renamed(
            make_record(method="gnn-ga", seed=seed),
            task=NASTY,
            method=NASTY,
            base_model=NASTY,
            sampler=NASTY,
            variant=NASTY,
        )
        for seed in (0, 1)
    ]
    failed = make_record(method="gnn-ps", error=NASTY, suite=NASTY)
    sizes = [
        renamed(make_record(method="egnn", task_params={"nodes": n}), method=NASTY, size_name=NASTY) for n in (4, 8)
    ]
    return report(tmp_path_factory.mktemp("nasty"), *records, failed, *sizes)


def test_names_stay_text_in_html(nasty: tuple[str, str]) -> None:
    page = Page(nasty[0])
    assert not any(script.startswith("alert(") for script in page.scripts)
    assert any(NASTY in text for text in page.texts)
    assert "49" not in [text.strip() for text in page.texts]
    figures = [json.loads(script) for script in page.scripts if script.startswith('{"data"')]
    names = {trace.get("name") for figure in figures for trace in figure["data"]}
    assert html.escape(NASTY, quote=False) in names


def test_names_stay_text_in_markdown(nasty: tuple[str, str]) -> None:
    assert "<script" not in nasty[1]
    assert markdown_text(NASTY) in nasty[1]


@pytest.mark.parametrize("which", ["demo", "nasty"])
def test_markdown_tables_are_well_formed(which: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(which)[1]
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(blocks) >= 5
    for block in blocks:
        lines = block.splitlines()
        widths = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}
        assert len(widths) == 1, block
        assert re.fullmatch(r"\|(?: (?:---:|:---) \|)+", lines[1])
        assert len(lines) >= 3
    for position, line in enumerate(text.splitlines()):
        if line.startswith("|"):
            assert text.splitlines()[position - 1].startswith("|") or not text.splitlines()[position - 1]


@given(st.text())
def test_markdown_text_is_one_line_without_markup(value: str) -> None:
    escaped = markdown_text(value)
    assert not re.search(r"[\n\r]", escaped)
    assert "<" not in escaped and ">" not in escaped.replace("&gt;", "")
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*\[]", escaped)


def test_the_markdown_says_what_the_page_says(demo: tuple[str, str]) -> None:
    for text in demo:
        for said in (
            "Protocol quick",
            "generated variant of EXP, not the official set",
            "out of memory",
            "probabilistic symmetrization",
        ):
            assert said.lower() in text.lower()
    assert "**" in demo[1]


def test_a_newer_schema_gives_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "store" / "records"
    folder.mkdir(parents=True)
    (folder / "0123.json").write_text('{"schema": 99}')
    page, markdown = report(tmp_path, make_record())
    for text in (page, markdown):
        assert "1 record is left out: written with schema 99, newer than the schema 1" in text


def test_a_dirty_tree_and_a_second_device_give_a_warning(tmp_path: Path) -> None:
    page, _ = report(
        tmp_path,
        make_record(provenance={"git_dirty": True, "git_commit": "abc", "device": "one"}),
        make_record(seed=1, provenance={"device": "two", "packages": "none", "cpus": 4}),
    )
    assert "1 run used code that differs from its commit" in page
    assert "2 kinds of device" in page


def test_an_empty_store_gives_a_page(tmp_path: Path) -> None:
    page, markdown = report(tmp_path)
    assert "No run has a record in this store yet" in page
    assert "Nothing to rank yet" in markdown


def test_same_tables_same_files(tmp_path: Path) -> None:
    records = demo_records()
    assert report(tmp_path / "one", *records) == report(tmp_path / "two", *records[::-1])


def test_an_unwritable_folder_gives_one_sentence(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "file").write_text("")
    with pytest.raises(SymbenchError, match="The report cannot be written to"):
        write_report(collate(store), store, tmp_path / "file")


@pytest.mark.parametrize(
    ("launched", "expected"),
    [
        (None, "symbench run quick --only task=nbody,method=egnn"),
        (["/bin/symbench", "demo"], "symbench run quick --only task=nbody,method=egnn"),
        (
            [
                "/bin/symbench",
                "run",
                "my.yaml",
                "--set",
                "seeds=3",
                "--store",
                "/tmp/s",
                "--only=task=x",
                "--address=auto",
            ],
            "symbench run my.yaml --set seeds=3 --only task=nbody,method=egnn",
        ),
        (["symbench", "run", "a b.yaml"], "symbench run 'a b.yaml' --only task=nbody,method=egnn"),
        (
            ["symbench", "--plugin", "a.py", "--plugin", "b.py", "run", "my.yaml", "--plugin", "c.py"],
            "symbench run my.yaml --plugin c.py --plugin a.py --plugin b.py --only task=nbody,method=egnn",
        ),
    ],
)
def test_the_command_that_reproduces_a_row(launched: list[str] | None, expected: str) -> None:
    assert command("quick", "nbody", "egnn", launched) == expected


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_are_readable_in_light_and_dark() -> None:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", block))
        for block in re.findall(r":root \{([^}]*)\}", STYLE.read_text())
    )
    for colours in (light, dark):
        for ground in ("page", "card", "shade"):
            for ink in ("ink", "muted", "accent", "bad"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for line in (*ROLES, "equivariant", "other", "guide"):
            assert contrast(colours[line], colours["card"]) >= 3, line
        assert contrast(colours["ink"], colours["warn"]) >= 4.5
        assert contrast(colours["good-ink"], colours["good"]) >= 4.5
