"""The page as a reader sees it: headless Chromium, from a file, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from harness.collate import collate
from harness.records.store import Store
from harness.report import write_report
from tests.harness.report.chromium import NASTY, draw_all, load, script
from tests.harness.synthetic import make_record, renamed, write


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_everything_is_drawn_and_nothing_is_fetched(
    browser: webdriver.Chrome, page: Path, width: int, scheme: str
) -> None:
    load(browser, page, width, scheme)
    figures = browser.find_elements(By.TAG_NAME, "figure")
    costs = 3 * 5
    shown = [figure for figure in figures if figure.is_displayed()]
    assert len(figures) - costs >= 3 * 2 + 3
    assert len(shown) == len(figures) - costs + 3
    for figure in shown:
        assert figure.find_elements(By.CSS_SELECTOR, ".main-svg")
        assert figure.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace path")
        assert 200 < figure.rect["width"] <= width
    empty = script(
        browser, "return [...document.querySelectorAll('table')].filter(t => !t.tBodies[0].rows.length).length"
    )
    for section in ("ran", "leaderboard", "papers", "cost", "samples", "sizes", "provenance"):
        assert browser.find_elements(By.CSS_SELECTOR, f"#{section} table"), section
    assert empty == 0
    assert script(browser, "return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert browser.title == "symbench leaderboard"


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_the_page_does_not_overflow(browser: webdriver.Chrome, page: Path, width: int) -> None:
    load(browser, page, width)
    script(browser, "document.querySelectorAll('details').forEach(item => item.open = true)")
    assert script(browser, "return document.documentElement.scrollWidth") <= width
    cells = "return [...document.querySelectorAll('tbody th')].filter(cell => cell.scrollWidth > cell.clientWidth + 1)"
    assert script(browser, f"{cells}.map(cell => cell.innerText)") == []
    outside = script(
        browser,
        "return [...document.querySelectorAll('main *')].filter(node => !node.closest('.scroll, pre, svg, .plot'))"
        ".filter(node => node.getBoundingClientRect().right > innerWidth + 1).map(node => node.outerHTML.slice(0, 99))",
    )
    assert outside == []


def test_the_first_screen_answers(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    sentences = browser.find_elements(By.CSS_SELECTOR, ".answer .says")
    figures = browser.find_elements(By.CSS_SELECTOR, ".answer svg[role=img]")
    assert len(sentences) == 3 and len({sentence.rect["x"] for sentence in sentences}) == 3
    assert all(sentence.rect["y"] + sentence.rect["height"] < 900 for sentence in sentences)
    assert all(figure.get_attribute("aria-label") for figure in figures)
    drawn = [figure for figure in figures if figure.is_displayed() and figure.rect["width"] > 50]
    assert len({figure.find_element(By.XPATH, "ancestor::article").get_attribute("id") for figure in drawn}) == 3
    load(browser, page, 390)
    cards = browser.find_elements(By.CSS_SELECTOR, ".answer")
    assert len({card.rect["x"] for card in cards}) == 1


def column(browser: webdriver.Chrome, table: str, index: int) -> list[str | None]:
    return script(
        browser,
        "const rows = [...document.getElementById(arguments[0]).tBodies[0].rows];"
        "return rows.map(row => row.cells[arguments[1]].dataset.sort)",
        table,
        index,
    )


def press(browser: webdriver.Chrome, table: str, index: int) -> None:
    script(
        browser,
        "document.getElementById(arguments[0]).tHead.rows[0].cells[arguments[1]].firstChild.click()",
        table,
        index,
    )


def test_columns_sort_both_ways_with_missing_last(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    board = browser.find_elements(By.CSS_SELECTOR, "#leaderboard table")[2].get_attribute("id") or ""
    before = column(browser, board, 1)
    known = [float(value) for value in before if value is not None]
    assert None in before and known == sorted(known)
    press(browser, board, 1)
    press(browser, board, 1)
    after = column(browser, board, 1)
    assert after[-1] is None
    assert [float(value or "nan") for value in after[:-1]] == sorted(known, reverse=True)
    press(browser, board, 0)
    names = [name or "" for name in column(browser, board, 0)]
    assert names == sorted(names) and len(names) == len(before)
    heads = script(browser, "return [...document.querySelectorAll(`#${arguments[0]} [aria-sort]`)].length", board)
    assert heads == 1


def test_a_head_stays_in_view_while_its_table_scrolls(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 768)
    moved = script(
        browser,
        "const box = document.querySelector('#leaderboard .scroll'); box.scrollIntoView({behavior: 'instant'});"
        "box.style.maxHeight = '12rem'; box.scrollTop = 120; box.scrollLeft = 200;"
        "const at = node => node.getBoundingClientRect(); const edge = at(box);"
        "return [box.scrollTop, at(box.querySelector('thead th')).top - edge.top,"
        " at(box.querySelectorAll('tbody th')[6]).left - edge.left]",
    )
    assert moved[0] > 0
    assert abs(moved[1]) <= 2 and abs(moved[2]) <= 2


def test_a_dash_shows_its_reason_when_pressed(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 390)
    dash = browser.find_elements(By.CSS_SELECTOR, "#leaderboard td.missing .unseen")[0]
    assert dash.rect["width"] <= 1
    script(browser, "arguments[0].parentNode.click()", dash)
    assert dash.rect["width"] > 50
    assert dash.text == "No confirmed published number for this method on this task"


def test_names_stay_text(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    legend = [item.text for item in browser.find_elements(By.CSS_SELECTOR, ".legend span")]
    assert NASTY in legend
    assert NASTY in [item.text for item in browser.find_elements(By.CSS_SELECTOR, "tbody th code")]
    assert browser.title == "symbench leaderboard"


STROKES = (
    "return [...document.querySelector('#samples .plot').querySelectorAll('.trace path.js-line')]"
    ".map(path => getComputedStyle(path).stroke)"
)


def test_the_legend_hides_and_shows_a_curve_in_all_figures_of_its_group(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    group = "document.querySelector('#samples .group')"
    count = f"return [...{group}.querySelectorAll('.plot')].map(plot => plot.querySelectorAll('.trace').length)"
    before = script(browser, count)
    press_legend = (
        f"[...{group}.querySelectorAll('.legend button')].find(b => b.textContent.includes('gin_id-ga')).click()"
    )
    script(browser, press_legend)
    hidden = script(browser, count)
    assert all(fewer < many for fewer, many in zip(hidden, before, strict=True))
    script(browser, press_legend)
    assert script(browser, count) == before


def test_the_name_of_a_sampler_hides_and_shows_all_its_curves(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    group = browser.find_element(By.CSS_SELECTOR, "#samples .group")
    of_ga = "return [...arguments[0].querySelectorAll('.sampler')].find(one => one.textContent.startsWith('ga '))"
    named = script(browser, of_ga, group)
    head, *curves = named.find_elements(By.TAG_NAME, "button")
    count = "return arguments[0].querySelector('.plot').querySelectorAll('.trace').length"
    before = script(browser, count, group)
    states = "return [...arguments[0].querySelectorAll('button')].map(one => one.getAttribute('aria-pressed'))"
    script(browser, "arguments[0].click()", head)
    assert set(script(browser, states, named)) == {"false"}
    others = group.find_elements(By.CSS_SELECTOR, "[data-series][aria-pressed=true]")
    assert len(others) == len(group.find_elements(By.CSS_SELECTOR, "[data-series]")) - len(curves)
    assert len(curves) > 1
    assert script(browser, count, group) < before
    script(browser, "arguments[0].click()", curves[0])
    assert script(browser, states, named) == ["true", "true", *["false"] * (len(curves) - 1)]
    script(browser, "arguments[0].click(); arguments[1].click()", curves[0], head)
    assert set(script(browser, states, named)) == {"true"}
    assert script(browser, count, group) == before


def test_figures_follow_the_readers_colour_scheme(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400, "light")
    learned = {"light": "rgb(15, 98, 192)", "dark": "rgb(90, 169, 255)"}
    assert learned["light"] in script(browser, STROKES)
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    WebDriverWait(browser, 10).until(lambda driver: learned["dark"] in script(driver, STROKES))
    assert learned["light"] not in script(browser, STROKES)


def test_a_reader_chooses_the_cost_and_the_front_stays_marked(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    group = browser.find_element(By.CSS_SELECTOR, "#cost .group")
    buttons = group.find_elements(By.CSS_SELECTOR, ".choice button")
    assert [button.text for button in buttons] == ["FLOPs", "time", "memory", "training time", "parameters"]
    script(browser, "arguments[0].click()", buttons[2])
    (figure,) = [one for one in group.find_elements(By.TAG_NAME, "figure") if one.is_displayed()]
    assert "against memory" in figure.find_element(By.TAG_NAME, "figcaption").text
    draw_all(browser)
    width = script(browser, "return arguments[0].querySelector('.main-svg').getBoundingClientRect().width", figure)
    assert abs(width - figure.rect["width"]) <= 2
    table = "document.querySelector('#cost table')"
    bold = script(
        browser,
        f"return [...{table}.tBodies[0].rows].filter(row => row.cells[5].matches('.best'))"
        ".map(row => row.querySelector('code').textContent)",
    )
    named = [text.text for text in figure.find_elements(By.CSS_SELECTOR, ".textpoint text")]
    assert bold and sorted(bold) == sorted(named)


def test_rows_are_filtered_by_all_words(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 390)
    box = browser.find_element(By.CSS_SELECTOR, "#leaderboard .toolbar")
    box.find_element(By.TAG_NAME, "input").send_keys("GIN -ps")
    rows = browser.find_element(By.CSS_SELECTOR, "#leaderboard table").find_elements(By.CSS_SELECTOR, "tbody tr")
    assert [row.find_element(By.TAG_NAME, "code").text for row in rows if row.is_displayed()] == ["gin_id-ps"]
    assert box.find_element(By.TAG_NAME, "output").text == f"1 of {len(rows)} rows"


def test_a_method_leads_to_its_card(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    for link in browser.find_elements(By.CSS_SELECTOR, "#leaderboard tbody th a")[:3]:
        card = browser.find_element(By.ID, (link.get_attribute("href") or "").split("#")[1])
        assert card.find_element(By.TAG_NAME, "code").text == link.text
        assert "Group elements" in card.text


def test_a_hundred_methods_stay_readable(browser: webdriver.Chrome, tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "store")
    records = [
        renamed(
            make_record(method="gnn-ga", seed=seed, value=1.0 + number / 100),
            method=f"plugin-{number:03}",
            base_model=f"b{number % 7}",
        )
        for number in range(100)
        for seed in (0, 1)
    ]
    write(store.root, *records)
    page = write_report(collate(store), store, store.root.parent)[0]
    load(browser, page, 390)
    assert len(browser.find_elements(By.CSS_SELECTOR, "#samples .legend [data-series]")) == 16
    assert len(browser.find_elements(By.CSS_SELECTOR, "#cost .legend [data-series]")) == 40 + 16  # at equal compute
    remarks = [item.text for item in browser.find_elements(By.CSS_SELECTOR, ".group .remark")]
    assert "16 of 100 curves are drawn, those that are best at their largest k. The table has all." in remarks
    for table in script(
        browser, "return [...document.querySelectorAll('#leaderboard table, #samples table')].map(t => t.id)"
    ):
        assert len(column(browser, table, 0)) == 100
    assert script(browser, "return document.documentElement.scrollWidth") <= 390
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
