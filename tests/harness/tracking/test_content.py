"""What a record becomes in MLflow, judged by MLflow's own rules."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records.record import Record
from harness.spec import Job
from harness.tracking import content
from harness.training.results import CurvePoint, VariancePoint

NASTY = ("<script>alert(1)</script>", "../../etc/passwd", "/absolute", "a//b", ".", "", "µ/Größe", "x" * 300, "a|b\nc")


@given(st.text())
@pytest.mark.filterwarnings("ignore")
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric, _validate_param

    clean = content.point(name, 1.0, 0, 0).name
    _validate_metric(clean, 1.0, 0, 0)
    _validate_param(clean, "value")


@given(st.lists(st.one_of(st.text(alphabet="a./|<\\ "), st.text()), unique=True))
def test_different_names_stay_different(names: list[str]) -> None:
    assert len({content.point(name, 1.0, 0, 0).name for name in names}) == len(names)


@pytest.mark.parametrize("name", ["train/loss", "test accuracy", "a.b-c_d:e", "µ/Größe"])
def test_a_name_that_mlflow_takes_stays_as_it_is(name: str) -> None:
    assert content.point(name, 1.0, 0, 0).name == name


@pytest.mark.parametrize("value", [None, "text", 10**400, object()])
def test_a_value_that_is_no_float_becomes_nan(value: Any) -> None:
    assert math.isnan(content.point("loss", value, 0, 0).value)


def test_params_are_the_whole_flattened_spec(make_job: Callable[..., Job]) -> None:
    spec = make_job(3, base={"width": 64, "norm": {"kind": "layer", "eps": 1e-5}, "heads": [1, 2]}, sampler={}).spec
    params = content.params(spec)
    assert params["task_params.nodes"] == "5"
    assert (params["base.norm.kind"], params["base.norm.eps"], params["base.heads"]) == ("layer", "1e-05", "[1, 2]")
    assert {f"settings.{name}" for name in spec.to_dict()["settings"]} <= set(params)
    assert (params["seed"], params["task"], params["settings.drop_last"]) == ("3", "nbody", "false")
    assert not any(name.startswith("sampler") for name in params)


def test_long_values_are_cut_for_the_list_and_whole_in_the_artifact(
    make_job: Callable[..., Job], make_record: Callable[..., Record]
) -> None:
    job = make_job(base={"layers": list(range(1000)), "text": "ü" * 9000})
    params = content.params(job.spec)
    assert len(params["base.text"]) == len(params["base.layers"]) == content.MAX_VALUE
    assert params["base.text"].endswith("…")
    assert json.loads(content.artifacts(make_record(job))["spec.json"]) == job.spec.to_dict()


def test_the_curve_is_a_metric_over_the_number_of_samples(make_record: Callable[..., Record]) -> None:
    points = content.closing_points(make_record())
    curve = {point.step: point.value for point in points if point.name == "curve/value"}
    assert curve == {1: 1.0, 2: 0.5, 64: 1 / 64}
    assert {point.step for point in points if point.name == "curve/variance"} == {1, 2, 64}
    finals = {point.name: point.value for point in points if point.step == 0}
    assert finals["test/mse"] == 0.25
    assert finals["cost/parameters"] == 1234.0
    assert math.isnan(finals["test/wild"])


def test_the_equivariance_error_is_mirrored_where_it_was_measured(make_record: Callable[..., Record]) -> None:
    measured = CurvePoint(samples=4, value=0.5, value_error=0.1, variance=0.2, equivariance=0.3)
    points = content.closing_points(make_record(curve=(measured,)))
    assert [(point.value, point.step) for point in points if point.name == "curve/equivariance"] == [(0.3, 4)]
    assert not any(point.name == "curve/equivariance" for point in content.closing_points(make_record()))


def test_variances_are_mirrored_by_stage_over_the_number_of_samples(make_record: Callable[..., Record]) -> None:
    measured = VariancePoint(
        stage="trained", samples=4, repeats=9, output_variance=0.1, loss_mean=0.2, loss_variance=math.nan
    )
    before = replace(measured, stage="initialised", samples=2, output_variance=0.7)
    record = make_record(output_variance=(before, measured))
    said = {(point.name, point.step): point.value for point in content.closing_points(record)}
    assert said["initialised/output_variance", 2] == 0.7 and ("trained/output_variance", 2) not in said
    points = {point.name: point for point in content.closing_points(record) if point.name.startswith("trained/")}
    assert {name: point.step for name, point in points.items()} == dict.fromkeys(points, 4)
    assert points["trained/output_variance"].value == 0.1 and points["trained/loss_mean"].value == 0.2
    assert math.isnan(points["trained/loss_variance"].value)
    assert "| trained | 4 | 9 | 0.1 | 0.2 | nan |" in content.artifacts(record)["report.md"]


def test_a_record_reads_back_to_the_same_content(make_record: Callable[..., Record]) -> None:
    for made in (make_record(), make_record(failed=True)):
        read = Record.from_dict(json.loads(json.dumps(made.to_dict())))
        assert repr(content.closing_points(read)) == repr(content.closing_points(made))
        assert content.artifacts(read) == content.artifacts(made)
        assert content.closing_tags(read) == content.closing_tags(made)


def test_the_report_says_what_happened_and_stays_a_page_whatever_things_are_called(
    make_record: Callable[..., Record],
) -> None:
    page = content.artifacts(make_record(metrics=dict.fromkeys(NASTY, 0.5), notes=("<img src=x>", "two\nlines")))
    lines = page["report.md"].splitlines()
    assert lines[0] == "# nbody x gnn-ga, seed 0: succeeded"
    assert "<script>" not in page["report.md"] and "<img" not in page["report.md"]
    assert r"| a\|b c | 0.5 |" in lines
    assert "- two lines" in lines
    failed = content.artifacts(make_record(failed=True))
    assert "ValueError: no" in failed["report.md"]
    assert failed["traceback.txt"] == "Traceback ..."


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'mlflow', 'torch', 'ray', 'polars', 'pandas'}"
    code = f"import sys, harness.tracking; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_is_named_by_what_it_is(make_job: Callable[..., Job], make_record: Callable[..., Record]) -> None:
    spec, about = make_job(7).spec, make_record().description
    assert content.run_name(spec, about) == "gnn-ga seed=7 nbody nodes=5"
    assert content.run_name(spec, replace(about, size=None)) == "gnn-ga seed=7 nbody"
    assert content.experiment_name("quick") == "symbench/quick"


def test_the_page_says_when_a_run_began_and_ended(make_record: Callable[..., Record]) -> None:
    record = make_record(minutes=3)
    lines = content.artifacts(record)["report.md"].splitlines()
    assert f"| started | {record.started} |" in lines and f"| finished | {record.finished} |" in lines


def test_what_is_not_known_is_no_tag(make_job: Callable[..., Job], make_record: Callable[..., Record]) -> None:
    home = content.Home("launch", "host:/store", "name")
    about = replace(make_record().description, size=None, sampler=None)
    opening, closing = content.opening_tags(make_job(), about, home), content.closing_tags(make_record())
    assert opening.keys() == {
        "symbench.digest",
        "symbench.task",
        "symbench.method",
        "symbench.seed",
        "symbench.protocol",
        "symbench.suite",
        "symbench.group",
        "symbench.metric",
        "symbench.direction",
        "symbench.kind",
        "symbench.base_model",
        "symbench.launch",
        "symbench.store",
        "symbench.store_id",
        "mlflow.user",
        "mlflow.source.name",
        "mlflow.source.type",
    }
    assert (opening["symbench.group"], opening["symbench.metric"]) == ("S_n x E(3)", "mse")
    assert closing == {
        "symbench.status": "succeeded",
        "symbench.finished": make_record().finished,
        "symbench.host": "somewhere",
        "symbench.device": "cpu",
        "symbench.git_commit": "0123abc",
        "symbench.git_dirty": "false",
        "mlflow.source.git.commit": "0123abc",
    }
