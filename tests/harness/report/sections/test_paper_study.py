"""The published sample complexity: its numbers are complete, and ours are beside both published runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness.collate import collate
from harness.errors import SymbenchError
from harness.records.record import Record
from harness.records.store import Store
from harness.report.content.published_grids import PublishedStudy, study, values_at
from harness.report.rendering.cells import Cell, Table, missing
from harness.report.rendering.html import render_html
from harness.report.rendering.markdown import render_markdown
from harness.report.report import report_contents
from harness.report.sections.paper_study import StudyPart, paper_study
from tests.harness.synthetic import make_record, write

DASH = missing("").text
TRAINED = (1, 2, 5, 10, 20, 50)
EVALUATED = (1, 2, 5, 10, 20, 50, 100, 200)
SCHEMA = {
    "task": pl.String,
    "protocol": pl.String,
    "method": pl.String,
    "setting": pl.String,
    "variant": pl.String,
    "train_samples": pl.Int64,
    "stage": pl.String,
    "samples": pl.Int64,
    **{
        f"{quantity}{end}": pl.Float64
        for quantity in ("output_variance", "loss_mean", "loss_variance")
        for end in ("", "_stderr")
    },
    "seeds": pl.Int64,
    "repeats": pl.Int64,
}


def point(record: Record, stage: str = "trained", samples: int = 1, **values: Any) -> dict[str, Any]:
    """A row of the table ``output_variance``; ``setting`` is the digest of ``record`` (see :func:`frame`)."""
    spec = record.spec
    measured = {"output_variance": 0.05, "loss_mean": 0.4, "loss_variance": 0.2}
    return {
        "task": spec.task,
        "protocol": spec.protocol,
        "method": spec.method,
        "setting": record.digest,
        "variant": record.description.variant,
        "train_samples": spec.settings.train_samples,
        "stage": stage,
        "samples": samples,
        "seeds": 3,
        "repeats": 100,
        **measured,
        **{f"{name}_stderr": value / 10 for name, value in measured.items()},
        **values,
    }


def on_exp(method: str = "mlp-ps", protocol: str = "paper", data: str = "official", **changes: Any) -> Record:
    return make_record("exp_classify", method, protocol, task_params={"data": data}, **changes)


def frame(runs: pl.DataFrame, points: list[dict[str, Any]]) -> pl.DataFrame:
    """The table, with the settings that ``runs`` gives to the records."""
    settings = dict(runs.select("digest", "setting").iter_rows())
    return pl.DataFrame([{**row, "setting": settings[row["setting"]]} for row in points], schema=SCHEMA)


def shown(
    root: Path, records: list[Record], points: list[dict[str, Any]], histories: dict[str, pl.DataFrame] | None = None
) -> list[StudyPart]:
    write(root / "store", *records)
    runs = collate(Store(root / "store")).runs
    return paper_study(frame(runs, points), runs, histories.__getitem__ if histories else None)


def cell(table: Table, row: str, column: str) -> Cell:
    titles = [one.title for one in table.columns]
    return next(cells for cells in table.rows if cells[0].text == row)[titles.index(column)]


def test_the_grids_are_whole() -> None:
    """Both runs of three quantities, eight k at evaluation by six in training."""
    found = {(grid.quantity, grid.method, grid.version) for grid in study().trained}
    assert found == {
        (quantity, "mlp-ps", version)
        for quantity in ("output_variance", "loss_variance", "loss_mean")
        for version in ("release", "thread")
    }
    assert len(study().trained) == 6
    for grid in study().trained:
        assert tuple(grid.train_samples) == TRAINED and tuple(grid.values) == EVALUATED
    assert all(tuple(one.values) == EVALUATED for one in study().initialised)
    assert all(tuple(one.values) == TRAINED for one in study().by_training)


# Typed a second time: quantity, k in training, k at evaluation, release, thread.
@pytest.mark.parametrize(
    ("quantity", "train_samples", "samples", "release", "thread"),
    [
        ("output_variance", 1, 1, 0.0573, 0.0426),
        ("output_variance", 50, 1, 0.0805, 0.0968),
        ("output_variance", 10, 1, 0.1457, 0.129),
        ("output_variance", 5, 10, 2.31e-4, 2.79e-4),
        ("output_variance", 10, 50, 5.81e-6, 1.58e-6),
        ("output_variance", 1, 200, 2.41e-4, 3.53e-4),
        ("output_variance", 50, 200, 4.06e-6, 5.12e-6),
        ("loss_variance", 1, 1, 0.400, 0.201),
        ("loss_variance", 50, 1, 161, 316),
        ("loss_variance", 5, 2, 1.22, 1.21),
        ("loss_variance", 10, 20, 8.14e-3, 7.43e-4),
        ("loss_variance", 1, 200, 3.61e-4, 6.39e-4),
        ("loss_variance", 50, 200, 8.89e-3, 1.26e-3),
        ("loss_mean", 1, 1, 0.436, 0.492),
        ("loss_mean", 50, 1, 4.79, 7.21),
        ("loss_mean", 2, 5, 0.0275, 0.0228),
        ("loss_mean", 20, 100, 0.0593, 0.0422),
        ("loss_mean", 1, 200, 0.124, 0.263),
        ("loss_mean", 50, 200, 0.194, 0.0304),
    ],
)
def test_numbers_of_the_grids(quantity: str, train_samples: int, samples: int, release: float, thread: float) -> None:
    found = study().of_trained(quantity, "mlp-ps", train_samples, samples)
    assert found == {"release": release, "thread": thread}


def test_networks_as_initialised_fall_as_one_over_k_and_differ_by_the_published_ratio() -> None:
    learned = {"output_variance": (1.65e-7, 8.26e-10), "loss_variance": (6.87e-7, 3.42e-9)}
    for quantity, (first, last) in learned.items():
        haar, own = (
            [values_at(study().initialised, quantity, method, k)["release"] for k in EVALUATED]
            for method in ("mlp-ga", "mlp-ps")
        )
        assert (own[0], own[-1]) == (first, last)
        assert [a / b for a, b in zip(haar, own, strict=True)] == pytest.approx([1.86] * 8, rel=0.04)
        assert [a * k for a, k in zip(own, EVALUATED, strict=True)] == pytest.approx([first] * 8, rel=0.04)


def test_entropies_and_gradient_norms() -> None:
    entropies = {one.version: list(one.values.values()) for one in study().by_training}
    assert entropies == {
        "thread": [5.49, 4.94, 5.42, 5.69, 5.66, 5.76],
        "release": [4.974, 5.300, 5.358, 5.742, 5.748, 5.305],
    }
    assert study().uniform_entropy == 7.035
    by_epoch = {(one.quantity, one.method, one.version): one.values for one in study().by_epoch}
    epochs = (100, 500, 1000, 1500, 2000)
    assert by_epoch == {
        ("permutation_entropy", "mlp-ps", "thread"): dict(zip(epochs, (6.25, 6.04, 5.93, 5.84, 5.71), strict=True)),
        ("permutation_entropy", "mlp-ga", "thread"): dict.fromkeys(epochs, 7.03),
        ("gradient_norm", "mlp-ps", "thread"): dict(zip(epochs, (1.13, 1.12, 0.34, 2.0, 3.4), strict=True)),
        ("gradient_norm", "mlp-ps", "release"): dict(zip(epochs, (1.03, 0.277, 0.744, 9.54, 5.86), strict=True)),
        ("gradient_norm", "mlp-ga", "thread"): dict(
            zip(epochs, (1.35e-2, 4.27e-5, 1.74e-4, 2.44e-4, 1.65e-4), strict=True)
        ),
        ("gradient_norm", "mlp-ga", "release"): {100: 1.49e-2},
    }


def test_a_grid_with_a_gap_is_refused() -> None:
    whole = study().model_dump()
    del whole["trained"][0]["values"][5][2]
    with pytest.raises(ValueError, match="a value for every k in training"):
        PublishedStudy.model_validate(whole)


def test_our_numbers_are_beside_both_runs_of_the_same_k(tmp_path: Path) -> None:
    records = [on_exp(settings={"train_samples": k}) for k in (1, 3)]
    points = [point(record, samples=k) for record in records for k in (1, 4)]
    (part,) = shown(tmp_path, records, points)
    assert (part.protocol, part.chips) == ("paper", ())
    output, _, mean_loss = part.tables
    assert output.caption.startswith("Output variance of mlp-ps as trained")
    both = cell(output, "1", "trained with k = 1")
    assert (both.text, both.note) == ("0.0500 ± 0.0050", "release 0.0573, thread 0.0426")
    theirs = cell(output, "200", "trained with k = 50")
    assert (theirs.text, theirs.note, theirs.why) == (
        DASH,
        "release 4.06e-06, thread 5.12e-06",
        "Not measured here",
    )
    assert cell(output, "4", "trained with k = 3").note == "not published"
    assert cell(mean_loss, "1", "trained with k = 1").note == "release 0.436, thread 0.492"
    assert [row[0].text for row in output.rows] == ["1", "2", "4", "5", "10", "20", "50", "100", "200"]
    assert not any("do not follow the published protocol" in remark for remark in part.remarks)


def test_heat_maps_have_ours_beside_both_published_runs_in_the_same_colours(tmp_path: Path) -> None:
    records = [on_exp(settings={"train_samples": k}) for k in (1, 3)]
    (part,) = shown(tmp_path, records, [point(record, samples=k) for record in records for k in (1, 4)])
    assert part.heat_maps is not None
    titles = [figure.title for figure in part.heat_maps.figures]
    assert titles == [
        f"{name} of mlp-ps: {whose}"
        for name in ("Output variance", "Loss variance", "Mean loss")
        for whose in ("ours", "release", "thread")
    ]
    for place, quantity in enumerate(("output_variance", "loss_variance", "loss_mean")):
        maps = [figure.spec["data"][0] for figure in part.heat_maps.figures[3 * place : 3 * place + 3]]
        assert len({(one["zmin"], one["zmax"]) for one in maps}) == 1
        assert all(one["meta"]["rows"] == [1, 2, 3, 5, 10, 20, 50] for one in maps)
        assert all(one["meta"]["columns"] == [1, 2, 4, 5, 10, 20, 50, 100, 200] for one in maps)
        for version, one in zip(("release", "thread"), maps[1:], strict=True):
            for k, row in zip(one["meta"]["rows"], one["meta"]["values"], strict=True):
                for samples, value in zip(one["meta"]["columns"], row, strict=True):
                    assert value == study().of_trained(quantity, "mlp-ps", k, samples).get(version)
        known = [value for row in maps[0]["meta"]["values"] for value in row if value is not None]
        assert known == [point(records[0])[quantity]] * 4
    ours, release, _ = part.heat_maps.figures[:3]
    assert ours.caption == (
        "n = 200 validation examples; 100 repeats; 3 seeds; on hover, ± is one standard error over seeds."
    )
    assert release.caption.startswith("Published: figures in the authors' released code")
    assert release.caption.endswith("Validation set; 100 repeats; one run, so no interval.")
    words = [trace["text"] for trace in (ours.spec["data"][1], release.spec["data"][1])]
    assert {*words[0]} == {"not run"} and {*words[1]} == {"none"}


def test_one_k_in_training_of_what_was_not_published_has_no_heat_map(tmp_path: Path) -> None:
    (part,) = shown(tmp_path, [on_exp("mlp-ga")], [point(on_exp("mlp-ga"))])
    assert part.heat_maps is None


def test_another_protocol_or_data_set_is_named_and_shown_separately(tmp_path: Path) -> None:
    records = [
        on_exp(),
        on_exp(protocol="quick"),
        on_exp(data="generated"),
        on_exp(settings={"epochs": 7}),
    ]
    parts = shown(tmp_path, records, [point(record) for record in records])
    found = [(part.protocol, part.chips) for part in parts]
    assert found == [
        ("paper", ()),
        ("paper", ("epochs=7",)),
        ("paper", ("generated variant of EXP",)),
        ("quick", ()),
    ]
    said = "do not follow the published protocol"
    reported = [next((remark for remark in part.remarks if said in remark), "") for part in parts]
    reasons = (
        "settings changed from the published ones",
        "generated variant of EXP, not the official set",
        "protocol quick, not paper",
    )
    assert reported[0] == ""
    assert all(reason in remark for reason, remark in zip(reasons, reported[1:], strict=True))


def test_imported_runs_are_shown_separately(tmp_path: Path) -> None:
    record = on_exp()
    write(tmp_path / "store", record)
    write(tmp_path / "store" / "imported" / "others", record)
    runs = collate(Store(tmp_path / "store")).runs
    points = [{**point(record), "setting": setting} for setting in runs["setting"]]
    ours, others = paper_study(pl.DataFrame(points, schema=SCHEMA), runs)
    assert (ours.chips, others.chips) == ((), ("run by others",))


def test_what_was_not_trained_needs_the_published_network_only(tmp_path: Path) -> None:
    records = [on_exp(method, settings={"epochs": 0}) for method in ("mlp-ga", "mlp-ps")]
    points = [
        point(record, "initialised", k, output_variance=3e-7 / k, output_variance_stderr=1e-9, repeats=50)
        for record in records
        for k in (1, 2)
    ]
    (part,) = shown(tmp_path, records, points)
    (table,) = part.tables
    assert part.chips == () and table.caption.startswith("Networks as initialised")
    assert cell(table, "mlp-ga", "k = 1").text == "3.00e-07 ± 1.0e-09"
    assert cell(table, "mlp-ga", "k = 1").note == "release 3.07e-07"
    assert cell(table, "mlp-ps", "k = 2").note == "release 8.09e-08"
    assert any("(variances over 50 repeats, not 100)" in remark for remark in part.remarks)


def test_entropies_and_histories_stand_beside_the_published_ones(tmp_path: Path) -> None:
    records = [
        replace(on_exp(seed=seed), metrics={"accuracy": 1.0, "permutation_entropy_trained": 5.6 + seed / 10})
        for seed in (0, 1)
    ]
    norms = pl.DataFrame({"step": [99, 499], "name": ["train/gradient_norm"] * 2, "value": [1.5, 0.5]})
    part = shown(tmp_path, records, [point(records[0])], {record.digest: norms for record in records})[0]
    tables = {table.caption.split(",")[0]: table for table in part.tables}
    entropy = cell(tables["Entropy of the mean of 100 sampled permutations"], "mlp-ps", "trained with k = 10")
    assert (entropy.text, entropy.note) == ("5.650 ± 0.050", "release 5.742, thread 5.69")
    norm = cell(tables["By epoch"], "mlp-ps", "epoch = 100")
    assert (norm.text, norm.note) == ("1.500 ± 0", "release 1.03, thread 1.13")
    assert cell(tables["By epoch"], "mlp-ps", "epoch = 2000").text == DASH


def test_a_damaged_history_has_no_part_by_epoch(tmp_path: Path) -> None:
    record = on_exp()
    write(tmp_path / "store", record)

    def damaged(digest: str) -> pl.DataFrame:
        raise SymbenchError(digest)

    runs = collate(Store(tmp_path / "store")).runs
    (part,) = paper_study(frame(runs, [point(record)]), runs, damaged)
    assert not any(table.caption.startswith("By epoch") for table in part.tables)


def test_a_task_of_which_nothing_was_published_says_so(tmp_path: Path) -> None:
    record = make_record("nbody", "transformer-ps", "paper")
    (part,) = shown(tmp_path, [record], [point(record)])
    assert part.remarks == ("No study of this kind was published for this task.",)
    assert {one.note for table in part.tables for row in table.rows for one in row[1:]} == {"not published"}


def test_the_section_is_in_page_and_text_where_there_is_something_to_show(tmp_path: Path) -> None:
    record = on_exp()
    write(tmp_path / "store", record)
    tables = collate(Store(tmp_path / "store"))
    contents = report_contents(tables, store_name="store")
    title = "Published sample complexity"
    assert title not in render_markdown(contents)
    contents["paper_study"] = paper_study(frame(tables.runs, [point(record)]), tables.runs)
    assert f"## {title}" in render_markdown(contents)
    assert "release 0.0573, thread 0.0426" in render_markdown(contents)
    page = render_html(contents)
    assert 'id="study"' in page and 'href="#study"' in page
    ids = [table.id for part in contents["paper_study"] for table in part.tables]
    assert len({*ids}) == len(ids) and all(json.dumps(one) in page for one in ids)
    assert paper_study(pl.DataFrame(schema=SCHEMA), tables.runs) == []
