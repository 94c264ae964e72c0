"""Text as LaTeX prints it, whatever it is."""

from __future__ import annotations

import re

from harness.report.rendering.cells import Cell

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip
_SYMBOLS = {
    "±": r"$\pm$", "×": r"$\times$", "≈": r"$\approx$", "∝": r"$\propto$", "√": r"$\surd$", "·": r"$\cdot$",  # noqa: RUF001
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "ₙ": r"$_n$", "–": "--", "−": r"$-$", "σ": r"$\sigma$", "µ": r"$\mu$",  # noqa: RUF001
}  # fmt: skip
_LATIN = range(0xA1, 0x180)
"""What the fonts of every LaTeX have beyond ASCII."""


def latex_text(value: object) -> str:
    """On one line, with nothing in it that is a command; a letter that LaTeX may not have is named by its number."""
    return "".join(map(_character, " ".join(str(value).split())))


def latex_cell(cell: Cell) -> str:
    """The best is bold, what cannot be told from it underlined, a note smaller."""
    shown = latex_text(cell.text)
    if cell.code:
        shown = rf"\texttt{{{shown}}}"
    if cell.mark == "tied":
        return rf"\underline{{{shown}}}"
    if cell.mark == "best":
        shown = rf"\textbf{{{shown}}}"
    return rf"{shown} {{\footnotesize ({latex_text(cell.note)})}}" if cell.note else shown


def _character(letter: str) -> str:
    if letter in _SYMBOLS:
        return _SYMBOLS[letter]
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if re.match(r"[ -~]", letter) or ord(letter) in _LATIN:
        return letter
    return f"U+{ord(letter):04X}"
