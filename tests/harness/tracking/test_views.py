"""The views of MLflow's pages: what they contain, and what Chromium shows when one is opened."""

from __future__ import annotations

import base64
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import sync
from harness.tracking.connection import connect
from harness.tracking.server import running
from harness.tracking.views import MOST_CHARACTERS, TAG, View, publish

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
NAMES = st.sets(st.sampled_from(["test/mse", "validation/mse", "curve/value", "cost/train_seconds", "train/loss"]))


def state_of(tag: str) -> dict[str, Any]:
    kind, _, packed = tag.partition(";")
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(packed)))  # type: ignore[no-any-return]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not chromium or not driver:
        reason = "chromium and chromedriver are needed, and one of them is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    options = Options()
    options.binary_location = chromium
    for flag in (*FLAGS, "--window-size=1500,1100", f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


def test_a_page_opens_with_the_runs_of_its_task_and_a_chart_of_its_metric(
    store: Store, put: Callable[..., Record], make_job: Callable[..., Job], browser: webdriver.Chrome
) -> None:
    for seed, mse in ((1, 0.5), (2, 0.125)):
        put(make_job(seed), metrics={"mse": mse, "best_epoch": 3.0})
    put(make_job(3, task="pattern"))
    sync(store, store.mlflow_uri)
    client = connect(store.mlflow_uri)
    [view, _] = publish(client, client.get_experiment_by_name("symbench/quick"))
    with running(store.mlflow_uri, store.root, 0) as (url, _):
        browser.get(view.address(url))
        WebDriverWait(browser, 60).until(lambda page: "2 matching runs" in text_of(page) and bars(page) == 2)
        text = text_of(browser)
    assert text.index("gnn-ga seed=2 nbody") < text.index("gnn-ga seed=1 nbody")  # best first
    assert "nbody by mse" in text and "test/mse" in text and "pattern" not in text
    assert "best_epoch" not in text  # one value, so no bars


def text_of(page: webdriver.Chrome) -> str:
    return str(page.find_element("tag name", "body").text)


def bars(page: webdriver.Chrome) -> int:
    return len(page.find_elements("css selector", ".barlayer .point"))


def test_a_description_of_a_user_is_kept_and_that_of_symbench_links_to_the_views(
    store: Store, put: Callable[..., Record]
) -> None:
    put()
    sync(store, store.mlflow_uri)
    client = connect(store.mlflow_uri)
    found = client.get_experiment_by_name("symbench/quick")
    assert "[nbody: 1 runs by mse](#/experiments/" in found.tags["mlflow.note.content"]
    client.set_experiment_tag(found.experiment_id, "mlflow.note.content", "mine")
    sync(store, store.mlflow_uri)
    assert client.get_experiment(found.experiment_id).tags["mlflow.note.content"] == "mine"
    assert f"{TAG}symbench-nbody" in found.tags


@given(names=NAMES, many=st.integers(0, 300), direction=st.sampled_from(["min", "max"]))
def test_a_view_orders_by_the_metric_and_draws_no_other_bars(names: set[str], many: int, direction: str) -> None:
    view = View(experiment_id="1", suite="s", task="nbody", metric="mse", direction=direction, names=set(names))
    view.names |= {f"test/{number * 7919:x}" for number in range(many)}
    tag = view.tag()
    state = state_of(tag)
    assert state["orderByKey"] == f"metrics.`{view.score}`" and state["orderByAsc"] == (direction == "min")
    assert len(tag) <= MOST_CHARACTERS
    drawn = [chart for chart in state["compareRunCharts"] if not chart["deleted"]]
    assert [chart["metricKey"] for chart in drawn if chart["type"] == "BAR"] == [view.score]
    assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == len(state["compareRunCharts"])
