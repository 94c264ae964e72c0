"""The report as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from harness.report.rendering.environment import environment


def render_markdown(contents: Mapping[str, Any]) -> str:
    """Renders the tables and remarks of the report; the figures are in the HTML file only."""
    jinja = environment(autoescape=False)
    jinja.filters |= {"md": markdown_text, "md_title": _markdown_title}
    rendered = jinja.get_template("leaderboard.md.j2").render(**contents)
    return re.sub(r"\n{3,}", "\n\n", rendered).strip() + "\n"


def markdown_text(value: str) -> str:
    """``value`` on one line, escaped so that no Markdown reader takes any of it for markup."""
    escaped = re.sub(r"([\\`*_{}\[\]|~#$])", r"\\\1", html.escape(str(value), quote=False))
    return " ".join(escaped.split())


def _markdown_title(value: str) -> str:
    return markdown_text(value).replace('"', "&quot;")
