"""The page in headless Chromium: how tests open it, draw its figures and run a script in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

NASTY = '<script>document.title="owned"</script> & "q" Ω'
LONG = "a_suite_with_a_name_of_one_long_word"


def screen(browser: webdriver.Chrome, width: int, scheme: str = "light") -> None:
    """A screen of a width in pixels, of a reader who prefers a colour scheme."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def load(browser: webdriver.Chrome, page: Path, width: int, scheme: str = "light") -> None:
    browser.get_log("browser")
    screen(browser, width, scheme)
    browser.get(page.as_uri())
    WebDriverWait(browser, 30).until(lambda driver: script(driver, "return document.readyState === 'complete'"))
    draw_all(browser)


def draw_all(browser: webdriver.Chrome) -> None:
    """Figures are drawn as they come into view, and all of them before the page is printed."""
    script(browser, "dispatchEvent(new Event('beforeprint'))")
    undrawn = "return [...document.querySelectorAll('figure:not([hidden])')].every(f => f.querySelector('.main-svg'))"
    WebDriverWait(browser, 30).until(lambda driver: script(driver, undrawn))


def script(browser: webdriver.Chrome, code: str, *values: Any) -> Any:
    return browser.execute_script(code, *values)
