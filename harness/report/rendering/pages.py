"""The page's contents into HTML, Markdown and LaTeX."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from harness.report.rendering.latex import latex_cell, latex_text

_IN_SCRIPT = {ord(letter): f"\\u{ord(letter):04x}" for letter in "&<>\u2028\u2029"}
"""Letters that could end a script element, or a line of JavaScript, inside a JSON text."""


def render_html(contents: Mapping[str, Any]) -> str:
    """One self-contained file. Every text is escaped; plotly, style and script are embedded once."""
    environment = _environment(autoescape=True)
    environment.filters["json_script"] = _json_script
    parts = {name: Markup(_source(environment, name)) for name in ("style.css", "page.js")}
    return environment.get_template("leaderboard.html.j2").render(
        **contents, style=parts["style.css"], script=parts["page.js"], plotly=Markup(get_plotlyjs())
    )


def render_markdown(contents: Mapping[str, Any]) -> str:
    environment = _environment(autoescape=False)
    environment.filters |= {"md": markdown_text, "md_title": _markdown_title}
    rendered = environment.get_template("leaderboard.md.j2").render(**contents)
    return re.sub(r"\n{3,}", "\n\n", rendered).strip() + "\n"


def render_latex(contents: Mapping[str, Any]) -> str:
    """Tables of the leaderboard for a paper (booktabs)."""
    environment = _environment(autoescape=False).overlay(
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )  # LaTeX is full of braces
    environment.filters |= {"tex": latex_text, "tex_cell": latex_cell}
    return environment.get_template("leaderboard.tex.j2").render(**contents).rstrip() + "\n"


def markdown_text(value: str) -> str:
    """Text that no Markdown reader takes for markup, on one line."""
    escaped = re.sub(r"([\\`*_{}\[\]|~#$])", r"\\\1", html.escape(str(value), quote=False))
    return " ".join(escaped.split())


def _markdown_title(value: str) -> str:
    return markdown_text(value).replace('"', "&quot;")


def _json_script(value: Any) -> Markup:
    """JSON inside a script element: no text in it can end the element."""
    text = json.dumps(_rounded(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_IN_SCRIPT))


def _rounded(value: Any) -> Any:
    """Floats to ten digits: beyond, they depend on how threads happened to share a sum. What is not finite is a gap."""
    if isinstance(value, float):
        return float(f"{value:.10g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("harness.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
