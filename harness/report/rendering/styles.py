"""How a method looks in every figure and table: a colour for its sampler, a dash and a marker for its base model."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

ROLES = ("none", "ga", "fa", "mfa", "canonical", "ps")
EQUIVARIANT = "equivariant"
OTHER = "other"
_DASHES = {"mlp": "solid", "gin_id": "dash", "gnn": "dot", "transformer": "dashdot", "gin": "longdash", "egnn": "solid"}
_SYMBOLS = {
    "mlp": "circle", "gin_id": "square", "gnn": "diamond", "transformer": "triangle-up", "gin": "x", "egnn": "cross",
}  # fmt: skip
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
class Look:
    """``role`` names a colour of the style sheet; ``dash`` and ``symbol`` are plotly's; later settings are hollow."""

    role: str
    dash: str
    symbol: str
    hollow: bool = False

    @property
    def svg_dash(self) -> str:
        return SVG_DASHES[self.dash]

    @property
    def svg_marker(self) -> str:
        return SVG_MARKERS[self.symbol]


def look(sampler: str | None, base_model: str, *, hollow: bool = False) -> Look:
    """The same for the same names in every report, whatever else it shows."""
    role = EQUIVARIANT if sampler is None else sampler if sampler in ROLES else OTHER
    return Look(
        role, _pick(_DASHES, list(SVG_DASHES), base_model), _pick(_SYMBOLS, list(SVG_MARKERS), base_model), hollow
    )


def _pick(known: dict[str, str], choices: list[str], name: str) -> str:
    return known.get(name) or choices[zlib.crc32(name.encode()) % len(choices)]
