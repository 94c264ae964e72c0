"""The tables of the report as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.report.rendering.cells import Cell
from harness.report.rendering.environment import environment

_DELIMITERS = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}
"""Jinja's own delimiters are braces, which LaTeX is full of."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
_SYMBOLS = {
    "±": r"$\pm$",
    "×": r"$\times$",  # noqa: RUF001
    "≈": r"$\approx$",
    "∝": r"$\propto$",
    "√": r"$\surd$",
    "·": r"$\cdot$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "ₙ": r"$_n$",
    "–": "--",  # noqa: RUF001
    "−": r"$-$",  # noqa: RUF001
    "σ": r"$\sigma$",  # noqa: RUF001
    "µ": r"$\mu$",
}
_LATIN = range(0xA1, 0x180)
"""The letters beyond ASCII that the fonts of every LaTeX installation have."""


def render_latex(contents: Mapping[str, Any]) -> str:
    """Renders the tables of the leaderboard and of the ranks for a paper, with the package booktabs."""
    jinja = environment(autoescape=False, **_DELIMITERS)
    jinja.filters |= {"tex": latex_text, "tex_cell": latex_cell}
    return jinja.get_template("leaderboard.tex.j2").render(**contents).rstrip() + "\n"


def latex_text(value: object) -> str:
    """``value`` on one line, with no LaTeX command in it.

    A letter that a LaTeX font may lack is replaced by its Unicode number.
    """
    return "".join(map(_character, " ".join(str(value).split())))


def latex_cell(cell: Cell) -> str:
    """The text of a cell: the best is bold, what does not differ significantly is underlined, the rest small."""
    shown = latex_text(cell.text)
    if cell.code:
        shown = rf"\texttt{{{shown}}}"
    if cell.mark == "tied":
        return rf"\underline{{{shown}}}"
    if cell.mark == "best":
        shown = rf"\textbf{{{shown}}}"
    small = "; ".join((*(badge.text for badge in cell.badges), *([cell.note] if cell.note else [])))
    return rf"{shown} {{\footnotesize ({latex_text(small)})}}" if small else shown


def _character(letter: str) -> str:
    if letter in _SYMBOLS:
        return _SYMBOLS[letter]
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if re.match(r"[ -~]", letter) or ord(letter) in _LATIN:
        return letter
    return f"U+{ord(letter):04X}"
