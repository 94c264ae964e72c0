"""The study of samples in training and at evaluation, as the report shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from harness.collate import collate
from harness.records.history import HistoryRow
from harness.records.record import Record
from harness.records.store import Store
from harness.report import write_report
from harness.report.content.by_epoch import ENTROPY, LOSS, MAX_POINTS, _line
from harness.report.rendering.cells import missing
from harness.report.rendering.figures import Series
from harness.report.rendering.styles import method_style
from harness.report.sections.group_size_scaling import group_size_scaling
from harness.report.sections.sample_complexity import ComparisonGroupCurves, sample_complexity
from tests.harness.synthetic import make_record, write

DASH = missing("").text


def study(
    root: Path, *records: Record, histories: dict[str, pl.DataFrame] | None = None
) -> tuple[ComparisonGroupCurves, dict[str, list[list[str]]]]:
    """The main comparison group, and the texts of its tables by their captions."""
    write(root / "store", *records)
    tables = collate(Store(root / "store"))
    found = sample_complexity(tables, histories.__getitem__ if histories else None)[0].comparison_groups[0]
    return found, {table.caption: [[cell.text for cell in row] for row in table.rows] for table in found.tables}


def trained(k: int, method: str = "gnn-ga", seed: int = 0, **changes: float) -> Record:
    record = make_record(
        method=method, seed=seed, value=0.5, variance=2.0, samples=(1, 10, 100), settings={"train_samples": k}
    )
    points = (replace(point, equivariance=point.samples**-0.5, **changes) for point in record.curve)
    return replace(record, curve=tuple(points))


def flat(method: str) -> Record:
    record = make_record(method=method, value=0.4, samples=(1, 10, 100))
    return replace(record, curve=tuple(replace(point, value=0.4, variance=0.0) for point in record.curve))


def test_every_k_of_training_has_its_panel_with_the_flat_references(tmp_path: Path) -> None:
    records = [trained(k, seed=seed) for k in (1, 5) for seed in (0, 1)]
    found, _ = study(tmp_path, *records, flat("egnn"))
    assert found.figure_group is not None
    titles = [figure.title for figure in found.figure_group.figures]
    assert titles == [
        "mse against k, trained with k = 1 (lower is better)",
        "Estimator variance against k, trained with k = 1",
        "Equivariance error against k, trained with k = 1",
        "mse against k, trained with k = 5 (lower is better)",
        "Estimator variance against k, trained with k = 5",
        "Equivariance error against k, trained with k = 5",
        "mse at k = 100 (lower is better)",
        "Samples to within 1 % of the limit",
        "Estimator variance at k = 1",
    ]
    names = [series.name for series in found.figure_group.legend]
    assert names == ["egnn", "gnn-ga"]
    for place in (0, 3):
        curves = [trace for trace in found.figure_group.figures[place].spec["data"] if "marker" in trace]
        assert [trace["name"] for trace in curves] == names
    by_training = found.figure_group.figures[6].spec["data"][-1]
    assert by_training["x"] == [1, 5]


def test_the_tables_say_with_how_many_samples_a_method_was_trained(tmp_path: Path) -> None:
    _, tables = study(tmp_path, *(trained(k, seed=seed) for k in (1, 5) for seed in (0, 1)), flat("egnn"))
    assert [row[:2] for row in tables["mse ↓ by number of group samples k"]] == [
        ["egnn", DASH],
        ["gnn-ga", "1"],
        ["gnn-ga", "5"],
    ]
    egnn, first, second = tables["How many samples are enough"]
    assert egnn[2:] == ["0.4000", "any", DASH, DASH, "1"]
    assert first[2:] == second[2:]
    assert first[2:] == ["0.5000", "100 [100, 100]", "-1.00 [-1.00, -1.00]", "-0.50 [-0.50, -0.50]", "2"]
    errors = tables["Equivariance error by number of group samples k"]
    assert [row[2:5] for row in errors] == [[DASH, DASH, DASH], ["1.00", "0.316", "0.100"], ["1.00", "0.316", "0.100"]]


def test_what_was_not_reached_is_larger_than_the_largest_k(tmp_path: Path) -> None:
    slow = make_record(method="gnn-ga", value=0.5, samples=(1, 2, 4))
    _, tables = study(tmp_path, slow)
    assert tables["How many samples are enough"][0][2:] == ["0.5000", "> 4", "-1.00", DASH, "1"]
    assert "Equivariance error by number of group samples k" not in tables


def test_both_k_are_in_one_heat_map_with_the_numbers_of_the_tables(tmp_path: Path) -> None:
    records = [trained(k, seed=seed, variance=0.1 * k + 0.01 * seed) for k in (1, 5) for seed in (0, 1)]
    found, tables = study(tmp_path, *records, flat("egnn"))
    assert found.heat_maps is not None
    assert [figure.title for figure in found.heat_maps.figures] == [
        "mse of gnn-ga by both k (lower is better)",
        "Estimator variance of gnn-ga by both k",
        "Equivariance error of gnn-ga by both k",
    ]
    for drawn, caption in zip(found.heat_maps.figures, tables, strict=False):
        (trace,) = drawn.spec["data"]
        rows = [row for row in tables[caption] if row[0] == "gnn-ga"]
        assert [row[1] for row in rows] == [str(k) for k in trace["meta"]["rows"]] == ["1", "5"]
        for row, hovers, values in zip(rows, trace["hovertext"], trace["meta"]["values"], strict=True):
            for shown, hover, value in zip(row[2:5], hovers, values, strict=True):
                assert float(shown.split(" ")[0]) == pytest.approx(value, rel=5e-3)
                assert float(hover.split("<b>")[1].split(" ")[0].removesuffix("</b>")) == pytest.approx(value, rel=5e-3)
        assert drawn.caption == "n = 100 test examples; 2 seeds; on hover, ± is one standard error over seeds."
    alone, _ = study(tmp_path / "one", trained(1), flat("egnn"))
    assert alone.heat_maps is None


def test_runs_of_an_earlier_version_have_their_heat_map_too(tmp_path: Path) -> None:
    earlier = [replace(one, spec=replace(one.spec, task_version="0")) for one in (trained(1), trained(5))]
    found, _ = study(tmp_path, *earlier)
    assert found.heat_maps is not None
    (trace,) = found.heat_maps.figures[0].spec["data"]
    assert trace["meta"]["rows"] == [1, 5]


def test_only_the_first_methods_have_heat_maps_and_the_others_are_named(tmp_path: Path) -> None:
    methods = ("gnn-ga", "gnn-ps", "mlp-ga", "mlp-ps", "transformer-ga")
    found, _ = study(tmp_path, *(trained(k, method) for method in methods for k in (1, 5)))
    assert found.heat_maps is not None
    assert found.heat_maps.remarks[1] == "No heat maps, only tables: transformer-ga."
    assert len(found.heat_maps.figures) == 4 * 3


def history(loss: float, entropy: float | None) -> pl.DataFrame:
    steps = list(range(1000))
    parts = [pl.DataFrame({"step": steps, "name": LOSS, "value": [loss] * 1000})]
    if entropy is not None:
        parts.append(pl.DataFrame({"step": steps, "name": ENTROPY, "value": [entropy] * 1000}))
    return pl.concat(parts)


def test_validation_loss_and_entropy_by_epoch_at_the_published_k(tmp_path: Path) -> None:
    runs = {
        (method, k, seed): make_record("exp_classify", method, seed=seed, settings={"train_samples": k})
        for method in ("mlp-ga", "mlp-ps")
        for k in (2, 50)
        for seed in (0, 1)
    }
    one = make_record("exp_classify", "mlp-canonical")
    histories = {one.digest: history(0.5, None)}
    for (method, k, seed), record in runs.items():
        histories[record.digest] = history(float(k + seed), 1.0 if method == "mlp-ps" else 4.0)
    found, _ = study(tmp_path / "both", *runs.values(), one, histories=histories)
    assert found.figure_group is not None
    loss, entropy = found.figure_group.figures[-2:]
    assert (loss.title, entropy.title) == (
        "Validation loss by epoch",
        "Entropy of the mean sampled permutation by epoch",
    )
    for drawn, levels in ((loss, [2.5, 2.5]), (entropy, [4.0, 1.0])):
        lines = [trace for trace in drawn.spec["data"] if "name" in trace]
        assert [trace["name"] for trace in lines] == ["mlp-ga", "mlp-ps"]
        assert [trace["y"][0] for trace in lines] == pytest.approx(levels)
        assert len(lines[0]["x"]) == 200
    alone, _ = study(tmp_path / "alone", *(r for (m, *_), r in runs.items() if m == "mlp-ga"), histories=histories)
    assert alone.figure_group is not None
    assert "epoch" not in " ".join(figure.title for figure in alone.figure_group.figures)


def test_a_damaged_history_is_left_out_by_epoch_and_named(tmp_path: Path) -> None:
    runs = [make_record("exp_classify", method, seed=seed) for method in ("mlp-ga", "mlp-ps") for seed in (0, 1, 2)]
    store = Store(tmp_path / "store")
    for record in runs:
        entropy = 1.0 if record.spec.method == "mlp-ps" else 4.0
        rows = [(step, name, value, 0.0) for step, name, value in history(float(record.spec.seed), entropy).iter_rows()]
        store.write(record, [HistoryRow(*row) for row in rows])
    damaged = store.history_path(runs[-1].digest, "succeeded")
    damaged.write_bytes(b"no parquet")
    found = sample_complexity(collate(store), store.history)[0].comparison_groups[0].figure_group
    assert found is not None
    left_out = f"Left out of the figures by epoch, since their histories are damaged: {runs[-1].digest}."
    assert found.remarks[-1] == left_out
    loss = next(figure for figure in found.figures if figure.title == "Validation loss by epoch")
    assert [trace["y"][0] for trace in loss.spec["data"] if "name" in trace] == pytest.approx([1.0, 0.5])
    write_report(collate(store), store, tmp_path)
    assert "histories are damaged" in (tmp_path / "leaderboard.html").read_text(encoding="utf-8")


def test_the_written_report_holds_the_study(tmp_path: Path) -> None:
    write(tmp_path / "store", *(trained(k) for k in (1, 5)))
    store = Store(tmp_path / "store")
    write_report(collate(store), store, tmp_path)
    for name in ("leaderboard.html", "leaderboard.md"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "How many samples are enough" in text and "Trained with k" in text


def test_families_of_groups_are_separate_and_say_how_cost_grows(tmp_path: Path) -> None:
    """O(d) and C_m of one task share the name of their size, and nothing else."""
    grid = [(group, d) for group, degrees in (("O(#)", (2, 3, 5)), ("C_#", (4, 64))) for d in degrees]
    chosen = [{"group": [group], "degree": d, "stabilised": 0.0} for group, d in grid]  # C_4 moves every input
    records = [make_record("teacher_space_invariant", "mlp-ga", task_params=one, samples=(1, 4)) for one in chosen]
    write(tmp_path / "store", *records)
    (task,) = group_size_scaling(collate(Store(tmp_path / "store")))
    of_c, of_o = task.protocols
    assert [part.figure_group.chips[1] for part in task.protocols] == ["C_d", "O(d)"]
    assert [part.protocol for part in task.protocols] == ["quick · C_d", "quick · O(d)"]
    assert [[row[1].text for row in part.table.rows] for part in task.protocols] == [["4", "64"], ["2", "3", "5"]]
    titles = [figure.title for figure in of_o.figure_group.figures]
    assert titles == [
        "mse against size (lower is better)",
        "Variance of one sample against size",
        "Samples to within 1 % against size",
        "Time per example against size",
        "Memory against size",
    ]
    for part, ticks in ((of_c, ["4<br>1.4", "64<br>4.2"]), (of_o, ["2<br>1.0", "3<br>3.0", "5<br>10.0"])):
        assert part.figure_group.figures[0].spec["layout"]["xaxis"]["ticktext"] == ticks
    columns = [column.title for column in of_o.table.columns]
    cells = dict(zip(columns, of_o.table.rows[0], strict=True))
    assert cells["Samples to within 1 %"].text == "> 4"
    assert cells["Variance"].text == "1.00"


def test_sizes_are_drawn_in_the_units_of_their_axes_and_what_was_not_reached_is_an_arrow(tmp_path: Path) -> None:
    records = [
        make_record(
            method="gnn-ga",
            seed=seed,
            task_params={"nodes": n},
            samples=(1, 10, 100, 1000) if n < 16 else (1, 2),
            cost={"seconds_per_example": 1e-3 * n * (1 + seed), "peak_memory_bytes": 2**20 * n * (1 + seed)},
        )
        for n in (4, 8, 16)
        for seed in (0, 1)
    ]
    write(tmp_path / "store", *records)
    part = group_size_scaling(collate(Store(tmp_path / "store")))[0].protocols[0]
    drawn = {figure.title: figure.spec["data"] for figure in part.figure_group.figures}
    for title in ("Time per example against size", "Memory against size"):
        band, curve = drawn[title]  # means of 1 and 2 times n, and half of n for their error
        assert curve["y"] == pytest.approx([6, 12, 24]) and band["y"][:3] == pytest.approx([8, 16, 32])
    [needed] = [trace for trace in drawn["Samples to within 1 % against size"] if "name" in trace]
    assert (needed["x"], needed["y"][2]) == ([4, 8, 16], 2)  # of the last size two samples were the most
    assert needed["meta"]["censored"] == [False, False, True]


def test_long_histories_are_thinned_to_what_a_figure_can_hold() -> None:
    for epochs in (199, 200, 201, 399, 1001):
        means = pl.DataFrame(
            {"name": LOSS, "step": range(epochs), "mean": [1.0] * epochs, "stderr": [0.1] * epochs},
        )
        series = Series(id="s", name="s", style=method_style(None, "egnn"))
        found = _line(series, means, LOSS)
        assert 100 <= len(found.x) <= MAX_POINTS and found.x[0] == 0


def test_failed_runs_are_in_no_figure_by_epoch(tmp_path: Path) -> None:
    good = [make_record("exp_classify", method) for method in ("mlp-ga", "mlp-ps")]
    bad = make_record("exp_classify", "mlp-ga", seed=1, error="It broke.")
    histories = {record.digest: history(2.0, 1.0) for record in good} | {bad.digest: history(900.0, 1.0)}
    found, _ = study(tmp_path, *good, bad, histories=histories)
    assert found.figure_group is not None
    loss = next(figure for figure in found.figure_group.figures if figure.title == "Validation loss by epoch")
    assert {trace["y"][0] for trace in loss.spec["data"] if "name" in trace} == {2.0}


def test_of_three_settings_of_a_method_all_but_the_first_are_hollow(tmp_path: Path) -> None:
    records = [make_record(method="gnn-ga", settings={"lr": lr}) for lr in (0.1, 0.2, 0.3)]
    found, _ = study(tmp_path, *records, make_record(method="gnn-fa"))
    assert found.figure_group is not None
    styles = {series.name: series.style.hollow for series in found.figure_group.legend}
    assert sorted(hollow for name, hollow in styles.items() if "gnn-ga" in name) == [False, True, True]
    assert styles["gnn-fa"] is False
