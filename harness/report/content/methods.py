"""How methods appear: their cells in tables and their series in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from harness import registry
from harness.report.content.badges import Badges
from harness.report.content.comparison_groups import Row
from harness.report.content.titles import BUILT_IN, card_id, group_title, method_title
from harness.report.rendering.cells import Cell, Facets
from harness.report.rendering.figures import Series
from harness.report.rendering.styles import method_style


def method_cell(row: Row, note: str = "", badges: Badges | None = None) -> Cell:
    """The first cell of a method's row: its name with the colour and marker that it has in figures.

    After the name stand its ``badges``, and below it the pretrained weights, the source of imported runs and ``note``.
    """
    return Cell(
        text=row["method"],
        sort=row["method"].lower(),
        why=method_title(row["method"]),
        note="; ".join(filter(None, (row["weights"], row["source"] and f"run by {row['source']}", note))),
        code=True,
        style=method_style(row["sampler"], row["base_model"]),
        link=card_id("method", row["method"]),
        badges=badges.get((row["setting"], row["source"]), ()) if badges else (),
        facets=row_facets(row),
    )


def row_facets(row: Row) -> Facets:
    """The facets of a row of any table of :mod:`harness.collate`. Columns that the table does not have are left out."""
    return Facets(
        task=row.get("task") or "",
        method=row.get("method") or "",
        sampler=row["sampler"] or BUILT_IN if "sampler" in row else "",
        group=group_title(row.get("group") or ""),
        protocol=row.get("protocol") or "",
    )


def method_series(rows: Iterable[Row], labels: Mapping[str, str], badges: Badges | None = None) -> list[Series]:
    """One series for each row, which is one setting of a method.

    If a method has several settings, its series carry the label of their setting, and all but the first have hollow
    markers.

    Args:
        rows: One row for each setting, with ``method``, ``setting``, ``sampler`` and ``base_model``.
        labels: The label of each setting.
        badges: The badges of each setting.
    """
    rows = list(rows)
    settings = Counter(row["method"] for row in rows)
    drawn: Counter[str] = Counter()
    found = []
    for row in rows:
        method = row["method"]
        label = labels[row["setting"]] if settings[method] > 1 else ""
        found.append(
            Series(
                id=row["setting"],
                name=f"{method} ({label})" if label else method,
                style=method_style(row["sampler"], row["base_model"], hollow=drawn[method] > 0),
                badges=badges.get((row["setting"], row["source"]), ()) if badges else (),
                facets=row_facets(row),
            )
        )
        drawn[method] += 1
    return found


def takes_one_sample(method: str) -> bool:
    """Whether a method uses one group element at every k; False if it is not registered."""
    card = registry.methods().get(method)
    return card is not None and card.sampler is not None and card.sampler.single
