"""LaTeX for papers: whatever names are, it is text, and every table is whole."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.collate import collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report import write_report
from harness.report.rendering.latex import latex_text
from tests.harness.synthetic import demo_records, make_record, renamed, write

HOSTILE = r"a_b & c% # $ {x} \input{/etc/passwd} ~ ^ <script> Ωδ^^41 [1] | é"
COMMANDS = (
    r"textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|pm|times|approx|propto|surd|cdot|"
    r"uparrow|downarrow|sigma|mu"
)


def latex(root: Path, *records: Record) -> str:
    store = Store(root / "results" / "store")
    write(store.root, *records)
    return write_report(collate(store), store, root / "results")[2].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    named = [
        renamed(make_record(method="gnn-ga", seed=seed), task=HOSTILE, method=HOSTILE, variant=HOSTILE)
        for seed in (0, 1)
    ]
    return latex(tmp_path_factory.mktemp("hostile"), *demo_records(2), *named, make_record(method="gnn-fa", error="no"))


def depth(text: str) -> int:
    """How many braces are open at the end; fails where one closes that none opened."""
    found = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", text):
        found += 1 if brace == "{" else -1
        assert found >= 0, text
    return found


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)&", row)) + 1


@given(st.text())
def test_any_text_becomes_text_on_one_line(value: str) -> None:
    shown = latex_text(value)
    assert depth(shown) == 0
    bare = re.sub(rf"\\(?:[{{}}$&#%_]|(?:{COMMANDS})\b(?:\{{\}})?)|\$(?:\\(?:{COMMANDS})|_n|-)\$", "", shown)
    assert not re.search(r"[\\$&#%_~^<>|\n\r]", bare), shown
    assert all(ord(letter) < 0x180 for letter in shown)


def test_braces_environments_and_columns_agree(hostile: str) -> None:
    assert depth(hostile) == 0
    tables = re.findall(r"\\begin\{table\}.*?\\end\{table\}", hostile, flags=re.DOTALL)
    assert len(tables) == hostile.count(r"\begin{table}") == hostile.count(r"\end{tabular}") >= 4
    for table in tables:
        columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", table)
        assert columns
        body = table[columns.end() : table.index(r"\bottomrule")]
        rows = [line for line in body.splitlines() if line.rstrip().endswith(r"\\")]
        assert len(rows) >= 2
        assert {cells(row) for row in rows} == {len(columns.group(1))}
        assert not [line for line in rows if line.lstrip().startswith(("[", "*"))]


def test_hostile_names_stay_names(hostile: str) -> None:
    assert r"\input{" not in hostile
    assert r"a\_b \& c\% \# \$ \{x\} \textbackslash{}input\{/etc/passwd\}" in hostile
    assert r"\textless{}script\textgreater{}" in hostile and "U+03A9" in hostile


def test_means_intervals_and_seeds_stand_in_each_table(tmp_path: Path) -> None:
    records = [make_record(method="egnn", seed=seed, value=value) for seed, value in enumerate((0.1, 0.2, 0.3))]
    text = latex(tmp_path, *records, make_record(method="gnn-ga", value=0.5), make_record(method="gnn-fa", error="no"))
    assert r"\texttt{egnn} & 1= & \textbf{0.200 $\pm$ 0.058} &" in text
    rows = [line for line in text.splitlines() if line.startswith(r"\texttt{gnn-fa}")]
    assert len(rows) == 1 and "every run failed" in rows[0]
    assert re.search(r"\\texttt\{egnn\}.* 0\.2000 \[0\.1000, 0\.3000\] & .* 3 & 0 \\\\", text)


def test_it_compiles(hostile: str, tmp_path: Path) -> None:
    engine = shutil.which("tectonic") or shutil.which("pdflatex")
    if engine is None:
        pytest.skip("neither tectonic nor pdflatex is installed")
    (tmp_path / "leaderboard.tex").write_text(hostile, encoding="utf-8")
    preamble = "\\documentclass{article}\\usepackage[utf8]{inputenc}\\usepackage{booktabs}"
    (tmp_path / "paper.tex").write_text(preamble + "\\begin{document}\\input{leaderboard}\\end{document}\n")
    options = [] if "tectonic" in engine else ["-interaction=nonstopmode", "-halt-on-error"]
    ended = subprocess.run([engine, *options, "paper.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
