"""The section on scaling: figures, the table of exponents, and what they say about methods that are exact."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.collate import collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report.rendering.cells import Cell, Table
from harness.report.rendering.figures import Figure
from harness.report.sections.group_size_scaling import ProtocolSizes, group_size_scaling
from tests.harness.synthetic import make_record, write

SIZES = (4, 8, 16)
ONE, TESTED = "Equivariance error of one sample against size", "Equivariance error with k = 4 against size"


def part_of(root: Path, *records: Record) -> ProtocolSizes:
    write(root / "store", *records)
    ((part,),) = (task.protocols for task in group_size_scaling(collate(Store(root / "store"))))
    return part


def sized(method: str, n: int, error: float = math.nan, **changes: Any) -> Record:
    """A record of n nodes with this equivariance error of one sample, and its root in k."""
    settings = {"test_samples": 4}
    record = make_record(method=method, task_params={"nodes": n}, settings=settings, **{"variance": n**0.5, **changes})
    curve = tuple(replace(point, equivariance=error / point.samples**0.5) for point in record.curve)
    return replace(record, curve=curve)


def rows_of(table: Table) -> list[dict[str, Cell]]:
    return [dict(zip([column.title for column in table.columns], row, strict=True)) for row in table.rows]


def drawn(part: ProtocolSizes, title: str) -> dict[str, tuple[list[float], list[float]]]:
    """The curves of a figure by name."""
    found: Figure = next(figure for figure in part.figure_group.figures if figure.title == title)
    return {trace["name"]: (trace["x"], trace["y"]) for trace in found.spec["data"] if "name" in trace}


def test_a_method_has_one_row_of_exponents_with_intervals_and_the_number_of_sizes(tmp_path: Path) -> None:
    """Time and memory of these records go as n^2, the variance of the sampled method as the root of n."""
    part = part_of(tmp_path, *(sized(method, n) for method in ("egnn", "gnn-ga") for n in SIZES))
    assert part.exponents is not None
    exact, sampled = rows_of(part.exponents)
    logs = np.log([math.lgamma(n + 1) for n in SIZES])
    in_group = np.polyfit(logs, 2 * np.log(SIZES), 1)[0]
    for row in (exact, sampled):
        assert row["Time in n"].text == row["Memory in n"].text == "2.00 [2.00, 2.00]"
        for cost in ("Time", "Memory"):
            assert row[f"{cost} in ln |G|"].sort == pytest.approx(in_group)
            assert row[f"{cost} in ln |G|"].text.startswith(f"{in_group:.2f} [")
        assert (row["Sizes"].text, row["Sizes"].why, row["Seeds"].text) == ("3", "4, 8, 16", "1")
    assert sampled["Variance in n"].text == "0.50 [0.50, 0.50]"
    assert exact["Variance in n"].mark == "missing" and "zero" in exact["Variance in n"].why
    assert not any("exponent" in column.title.lower() for column in part.table.columns)


def test_devices_have_exponents_of_their_own_and_one_size_has_none(tmp_path: Path) -> None:
    records = [
        sized("gnn-ga", n, provenance={"device": device}, seed=seed, cost={"seconds_per_example": 1e-3 * n**power})
        for seed, (device, power, sizes) in enumerate((("a", 1, SIZES), ("b", 3, (4, 8)), ("c", 1, (4,))))
        for n in sizes
    ]
    part = part_of(tmp_path, *records)
    assert part.exponents is not None
    shown = [(row["Device"].text, row["Sizes"].text, row["Time in n"].text) for row in rows_of(part.exponents)]
    assert shown == [("a", "3", "1.00 [1.00, 1.00]"), ("b", "2", "3.00")]


def test_errors_are_drawn_at_one_sample_and_as_tested_with_the_numbers_of_the_table(tmp_path: Path) -> None:
    part = part_of(tmp_path, *(sized("gnn-ga", n, error=0.5 / n) for n in SIZES))
    for title, column, share in ((ONE, "Error, k = 1", 1), (TESTED, "Error, k = 4", 0.5)):
        x, y = drawn(part, title)["gnn-ga"]
        assert (x, y) == (list(SIZES), pytest.approx([share * 0.5 / n for n in SIZES]))
        assert [row[column].sort for row in rows_of(part.table)] == y


def test_methods_that_are_exact_are_not_drawn_and_named(tmp_path: Path) -> None:
    exact = [sized("egnn", n, error=1e-7) for n in SIZES]
    partly = [sized("gnn-fa", n, error=1e-7 if n == 8 else 0.1) for n in SIZES]
    part = part_of(tmp_path, *exact, *partly, *(sized("gnn-ga", n, error=0.5) for n in SIZES))
    curves = drawn(part, ONE)
    assert {*curves} == {"gnn-ga", "gnn-fa"} and curves["gnn-fa"][0] == [4, 16]
    said = " ".join(part.figure_group.remarks)
    assert "Equivariant up to rounding at every size, with an error of at most 0.0001 (not drawn): egnn." in said
    assert "Equivariant up to rounding at some sizes, where they have no point: gnn-fa." in said
    assert "No variance is drawn where it is zero or a rounding error at every size: egnn." in said


def test_records_without_errors_have_neither_figures_nor_columns_of_them(tmp_path: Path) -> None:
    part = part_of(tmp_path, *(sized("gnn-ga", n) for n in SIZES))
    assert not any("Equivariance" in figure.title for figure in part.figure_group.figures)
    assert not any(column.title.startswith("Error") for column in part.table.columns)


def test_the_figures_say_sizes_seeds_and_intervals(tmp_path: Path) -> None:
    part = part_of(tmp_path, *(sized("gnn-ga", n, seed=seed) for n in SIZES for seed in range(2 + (n == 4))))
    said = part.figure_group.remarks[0]
    assert said.startswith("Sizes: nodes 4 to 16; ") and "2 to 3 seeds; bands are one standard error" in said


def test_two_equal_curves_say_so(tmp_path: Path) -> None:
    part = part_of(tmp_path, *(sized(method, n) for method in ("egnn", "gnn-ga") for n in SIZES))
    captions = {figure.title: figure.caption for figure in part.figure_group.figures}
    assert captions["mse against size (lower is better)"] == "egnn and gnn-ga coincide."
