"""One record as a page of Markdown."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from harness.records.record import Record


def report(record: Record) -> str:
    """Describes a run: settings, test metrics, cost, provenance, and the failure if there is one."""
    spec, about, provenance = record.spec, record.description, record.provenance
    sections = [
        f"# {_cell(spec.task)} x {_cell(spec.method)}, seed {spec.seed}: {record.status}",
        _table(
            ("run", record.digest),
            [
                ("suite", record.suite),
                ("protocol", spec.protocol),
                ("group", about.group),
                ("base model", f"{about.base_model}, {about.weights}" if about.weights else about.base_model),
                ("sampler", about.sampler or "none"),
                ("variant", about.variant or "none"),
                ("started", record.started),
                ("finished", record.finished),
            ],
        ),
    ]
    if record.failure:
        sections.append(f"## Failure\n\n{_cell(record.failure.sentence)}")
    sections += _values("Test metrics", record.metrics)
    if record.curve:
        rows = [astuple(point) for point in record.curve]
        header = (
            "group samples",
            f"{about.metric}",
            "standard error",
            "variance of the estimate",
            "equivariance error",
        )
        sections.append(f"## Sample complexity\n\n{_table(header, rows)}")
    if record.output_variance:
        names = ("weights", "group samples", "repeats", "output variance", "mean loss", "loss variance")
        repeated = [astuple(point) for point in record.output_variance]
        sections.append(f"## Variance over repeated predictions\n\n{_table(names, repeated)}")
    sections += _values("Cost", record.cost)
    if record.notes:
        sections.append("## Notes\n\n" + "\n".join(f"- {_cell(note)}" for note in record.notes))
    where = ("host", "device", "symbench_version", "git_commit", "git_dirty", "wall_seconds")
    sections += _values("Provenance", {name: provenance[name] for name in where if name in provenance})
    return "\n\n".join(sections) + "\n"


def _values(title: str, values: Mapping[str, Any]) -> list[str]:
    return [f"## {title}\n\n{_table(('name', 'value'), values.items())}"] if values else []


def _table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    """The text of one cell, with markup escaped."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
