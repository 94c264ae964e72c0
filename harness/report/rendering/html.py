"""The report as one HTML file that works offline."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.report.rendering.environment import environment

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_IN_SCRIPT = {ord(letter): f"\\u{ord(letter):04x}" for letter in "&<>\u2028\u2029"}
"""Letters that could end a script element, or a line of JavaScript, inside a JSON text."""
MINUS = "\u2212"
_POWER = re.compile(r"(?<=\b[kn2])\^(-?\d+(?:\.\d+)?|a)\b")

SCRIPTS = ("figures", "tables", "filters", "contents")
"""The files of the page's script, in the order in which they run."""


def render_html(contents: Mapping[str, Any]) -> str:
    """Renders the page. Every text is escaped; plotly, the style sheet and the script are embedded once.

    Plotly's source is embedded as a text, which the script evaluates when the first figure comes near: parsing it would
    delay the first screen.
    """
    from markupsafe import Markup

    jinja = html_environment("#{}".format)
    files = shared_files(jinja)
    return jinja.get_template("leaderboard.html.j2").render(
        **contents,
        stylesheet=Markup(files["style.css"]),
        script=Markup(files["page.js"]),
        plotly=Markup(files["plotly.js"]),
    )


def html_environment(href: Callable[[str], str]) -> Environment:
    """The environment of pages; ``href`` gives the link to the card of a method or task by its id."""
    jinja = environment(autoescape=True)
    jinja.filters |= {"json_script": json_script, "powers": powers, "href": href}
    return jinja


def shared_files(jinja: Environment) -> dict[str, str]:
    """The style sheet and the scripts that all pages have in common, by name; ``page.js`` needs ``plotly.js``."""
    from plotly.offline import get_plotlyjs

    script = "\n".join(_source(jinja, f"page/{name}.js") for name in SCRIPTS)
    return {"plotly.js": get_plotlyjs(), "page.js": script, "style.css": _source(jinja, "style.css")}


def json_script(value: Any) -> Markup:
    """JSON for a script element. No text in ``value`` can end the element."""
    from markupsafe import Markup

    text = json.dumps(_rounded(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_IN_SCRIPT))


def powers(text: str) -> Markup:
    """The text, escaped, with the exponents of powers such as ``k^-0.50`` raised."""
    from markupsafe import Markup, escape

    return Markup(_POWER.sub(lambda found: f"<sup>{found[1].replace('-', MINUS)}</sup>", str(escape(text))))


def _rounded(value: Any) -> Any:
    """``value`` with floats rounded to ten digits and non-finite floats replaced by None.

    Further digits depend on how threads shared a sum, so they would differ between two reports of the same records.
    """
    if isinstance(value, float):
        return float(f"{value:.10g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def _source(jinja: Environment, name: str) -> str:
    assert jinja.loader is not None
    return jinja.loader.get_source(jinja, name)[0]
