"""One browser and one page of made-up results for all tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from harness.collate import collate
from harness.records.store import Store
from harness.report import write_report
from tests.harness.report.chromium import LONG, NASTY
from tests.harness.synthetic import demo_records, make_record, renamed, write

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        reason = "chromium and chromedriver are needed to style at the page, and one of them is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    options = Options()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("page") / "results" / "store")
    nasty = [
        renamed(make_record("graph8c", "mlp-ga", seed=seed, value=7.0, suite=LONG), method=NASTY, base_model=NASTY)
        for seed in (0, 1)
    ]
    write(store.root, *demo_records(), *nasty)
    return write_report(collate(store), store, store.root.parent)[0]
