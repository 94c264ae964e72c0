"""How a method is drawn in every figure and table: a colour for its sampler, a dash and a marker for its base model."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

ROLES = ("none", "ga", "fa", "mfa", "canonical", "ps")
"""The samplers that have a colour of their own in the style sheet."""
EQUIVARIANT = "equivariant"
OTHER = "other"
_LINES = {
    "mlp": ("solid", "circle"),
    "gin_id": ("dash", "square"),
    "gnn": ("dot", "diamond"),
    "transformer": ("dashdot", "triangle-up"),
    "gin": ("longdash", "x"),
    "egnn": ("solid", "cross"),
}
"""The dash and the marker of base models that are often compared."""
SVG_DASHES = {"solid": "", "dash": "7 4", "dot": "2 3", "dashdot": "7 3 2 3", "longdash": "11 4"}
SVG_MARKERS = {
    "circle": "M17 2.5a3.5 3.5 0 1 1 0 7a3.5 3.5 0 1 1 0-7z",
    "square": "M13.7 2.7h6.6v6.6h-6.6z",
    "diamond": "M17 1.5l4.5 4.5l-4.5 4.5l-4.5-4.5z",
    "triangle-up": "M17 1.6l4.6 7.8h-9.2z",
    "x": "M14.2 1.8L17 4.6l2.8-2.8l1.4 1.4L18.4 6l2.8 2.8l-1.4 1.4L17 7.4l-2.8 2.8l-1.4-1.4L15.6 6l-2.8-2.8z",
    "cross": "M15.9 1.5h2.2v3.4h3.4v2.2h-3.4v3.4h-2.2V7.1h-3.4V4.9h3.4z",
}


@dataclass(frozen=True)
class Style:
    """How a method is drawn.

    Attributes:
        role: The name of a colour in the style sheet.
        dash: The dash of lines, as plotly calls it.
        symbol: The marker, as plotly calls it.
        hollow: Whether the marker is an outline only.
    """

    role: str
    dash: str
    symbol: str
    hollow: bool = False

    @property
    def svg_dash(self) -> str:
        """The dash as an SVG attribute."""
        return SVG_DASHES[self.dash]

    @property
    def svg_marker(self) -> str:
        """The marker as an SVG path."""
        return SVG_MARKERS[self.symbol]


def method_style(sampler: str | None, base_model: str, *, hollow: bool = False) -> Style:
    """The style of a method, which is the same in every report.

    Args:
        sampler: The name of the sampler; None for a method that is equivariant by construction.
        base_model: The name of the base model.
        hollow: Whether the marker is an outline only.
    """
    role = EQUIVARIANT if sampler is None else sampler if sampler in ROLES else OTHER
    known = _LINES.get(base_model)
    dash, symbol = known or (_chosen(list(SVG_DASHES), base_model), _chosen(list(SVG_MARKERS), base_model))
    return Style(role, dash, symbol, hollow)


def _chosen(choices: Sequence[str], name: str) -> str:
    return choices[zlib.crc32(name.encode()) % len(choices)]
