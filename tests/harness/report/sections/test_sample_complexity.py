"""What the figures over samples and sizes draw, and what the remarks say about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.collate import Tables, collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report import write_report
from harness.report.rendering.formats import small
from harness.report.sections.group_size_scaling import ProtocolSizes, group_size_scaling
from harness.report.sections.sample_complexity import ComparisonGroupCurves, sample_complexity
from tests.harness.synthetic import make_record, write

NOTE = "The curve counts pairs among the first 500 structures only."
FEW = {"epochs": 2, "test_samples": 4}


def tables_of(root: Path, *records: Record) -> Tables:
    write(root / "store", *records)
    return collate(Store(root / "store"))


def curves_of(root: Path, *records: Record) -> ComparisonGroupCurves:
    return sample_complexity(tables_of(root, *records))[0].comparison_groups[0]


def sizes_of(root: Path, *records: Record) -> ProtocolSizes:
    return group_size_scaling(tables_of(root, *records))[0].protocols[0]


def remarks(curves: ComparisonGroupCurves) -> str:
    assert curves.figure_group is not None
    return " ".join(curves.figure_group.remarks)


def test_notes_of_runs_are_beside_their_figures_and_scores(tmp_path: Path) -> None:
    records = [make_record("graph8c", method, notes=(NOTE,)) for method in ("gin", "mlp-ga")]
    assert curves_of(tmp_path / "all", *records).remarks == (NOTE,)
    some = curves_of(tmp_path / "some", *records, make_record("graph8c", "mlp-fa"))
    assert some.remarks == (f"gin, mlp-ga: {NOTE}",)
    store = Store(tmp_path / "all" / "store")
    write_report(collate(store), store, tmp_path / "all")
    for name in ("leaderboard.html", "leaderboard.md"):
        assert (tmp_path / "all" / name).read_text(encoding="utf-8").count(NOTE) == 2


def test_curves_that_hide_one_another_are_named(tmp_path: Path) -> None:
    found = curves_of(tmp_path, *(make_record("graph8c", m, value=0.0) for m in ("gin", "mlp-none", "mlp-ga")))
    assert found.figure_group is not None
    metric, variance = found.figure_group.figures
    assert metric.caption == (
        "n = 500 test examples; 1 seed. gin, mlp-ga and mlp-none coincide."
    )
    assert "coincide" not in variance.caption
    assert "(not on the logarithmic axis): gin, mlp-none." in remarks(found)


def test_a_variance_of_rounding_errors_does_not_stretch_the_axis(tmp_path: Path) -> None:
    exact = make_record(method="gnn-fa", variance=3e-11)
    found = curves_of(tmp_path, make_record(method="gnn-ga", variance=1.0), exact, make_record(method="egnn"))
    assert found.figure_group is not None
    traces = [trace["meta"] for trace in found.figure_group.figures[1].spec["data"]]
    drawn = {meta["series"] for meta in traces if "series" in meta}
    series = {series.name: series.id for series in found.figure_group.legend}
    assert drawn == {series["gnn-ga"]}
    assert "The variance is a rounding error, below 1e-09 of the largest (not drawn): gnn-fa." in remarks(found)
    assert "(not on the logarithmic axis): egnn." in remarks(found)


def test_methods_of_one_sample_are_named(tmp_path: Path) -> None:
    one = make_record(method="gnn-canonical")
    noisy = replace(one, curve=tuple(replace(point, variance=0.1) for point in one.curve))
    assert "These methods use one group element at every k, so k changes nothing: gnn-canonical." in remarks(
        curves_of(tmp_path, make_record(method="gnn-ga"), noisy)
    )


def test_comparison_groups_have_their_own_tables_and_say_what_all_rows_changed(tmp_path: Path) -> None:
    main = [make_record(method=method) for method in ("egnn", "gnn-ga")]
    few = [make_record(method=method, task_params={"nodes": 8}, settings=FEW) for method in ("egnn",)]
    (task,) = sample_complexity(tables_of(tmp_path, *main, *few))
    first, second = task.comparison_groups
    assert first.figure_group is not None and second.figure_group is None
    assert first.remarks == ()
    assert second.remarks == ("Changed from the published settings of quick in every row: epochs=2, test_samples=4",)
    assert [row[0].note for table in (*first.tables, *second.tables) for row in table.rows] == [""] * 9


def test_runs_of_one_size_are_no_curve_over_sizes(tmp_path: Path) -> None:
    many = [
        make_record(method=method, task_params={"nodes": n, "train": 200}, settings=FEW)
        for method in ("egnn", "gnn-ga")
        for n in (4, 8, 16)
    ]
    found = sizes_of(tmp_path, *many, make_record(method="egnn"))
    assert [series.name for series in found.figure_group.legend] == ["egnn", "gnn-ga"]
    assert len(found.table.rows) == 6
    assert [row[0].note for row in found.table.rows] == [""] * 6
    assert "epochs=2, test_samples=4, train=200" in found.remarks[0].replace("settings.", "")
    assert "one size only: egnn." in found.remarks[1]


def test_sizes_run_in_different_settings_are_still_shown(tmp_path: Path) -> None:
    found = sizes_of(tmp_path, *(make_record(task_params={"nodes": n}, settings={"epochs": n}) for n in (4, 8)))
    assert sorted(row[0].note for row in found.table.rows) == ["epochs=4", "epochs=8"]
    assert sorted(series.name for series in found.figure_group.legend) == ["egnn (epochs=4)", "egnn (epochs=8)"]


def test_curves_say_on_how_many_examples_they_are_measured(tmp_path: Path) -> None:
    records = [make_record(method=method, settings={"curve_size": n}) for method, n in (("egnn", 20), ("gnn-ga", 40))]
    assert curves_of(tmp_path / "one", records[0]).chips == ("first 20 test examples",)
    assert curves_of(tmp_path / "two", *records).chips == ("first 20 to 40 test examples",)


def test_curves_of_a_score_that_drops_on_transformed_inputs_say_so(tmp_path: Path) -> None:
    records = [
        make_record("exp_classify", "mlp-none", value=0.96, control=0.5),
        make_record("exp_classify", "mlp-ga", value=0.6),
    ]
    found = curves_of(tmp_path, *records)
    what, how = found.remarks
    assert what.startswith("Not symmetric: ")
    assert how == "Ranked and shown by accuracy on transformed inputs, on the whole test set: mlp-none."
    (row,) = (row for row in found.tables[0].rows if row[0].text == "mlp-none")
    assert {cell.text for cell in row[2:-1]} == {"0.5000"}


def test_a_column_of_variances_keeps_one_form() -> None:
    assert [small(value) for value in (0, 1.234e-3, 9.87e-4, 1.2345, 3e-11)] == [
        "0",
        "0.00123",
        "9.87e-04",
        "1.23",
        "3.00e-11",
    ]
