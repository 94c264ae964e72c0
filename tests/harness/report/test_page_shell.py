"""What surrounds the sections: filters in the address, buttons of tables, contents, widths, keyboard, accessibility."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from selenium_axe_python import Axe

from harness.collate import collate
from harness.records.store import Store
from harness.report import write_report
from tests.harness.report.chromium import NASTY, draw_all, load, script
from tests.harness.synthetic import demo_records, write

SHOWN = "[...document.querySelectorAll('#leaderboard tbody tr')].filter(row => !row.closest('[hidden]'))"
SAVED = (
    "URL.createObjectURL = blob => { window.saved = blob; return 'blob:none'; };"
    "HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };"
)


def choose(browser: webdriver.Chrome, facet: str, value: str) -> None:
    boxes = "[...document.querySelectorAll('.filters .facet')].find(one => one.textContent.startsWith(arguments[0]))"
    box = f"[...{boxes}.querySelectorAll('[type=checkbox]')].find(box => box.value === arguments[1])"
    script(browser, f"{box}.click()", facet, value)


def shown(browser: webdriver.Chrome, facet: str) -> set[str]:
    return set(script(browser, f"return {SHOWN}.map(row => row.dataset[arguments[0]])", facet))


def query(browser: webdriver.Chrome) -> str:
    return script(browser, "return location.search")


def saved_rows(browser: webdriver.Chrome, table: str) -> list[list[str]]:
    """The rows of the file that the button ``CSV`` of a table would save."""
    script(browser, SAVED)
    script(browser, f"document.querySelector('{table}').closest('.table').querySelector('.toolbar').lastChild.click()")
    text = browser.execute_async_script("window.saved.text().then(arguments[0])")
    return list(csv.reader(io.StringIO(text)))


def test_filters_are_kept_in_the_address_and_the_way_back_undoes_them(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    every = shown(browser, "task")
    choose(browser, "Task", "nbody")
    choose(browser, "Sampler", "ps")
    assert query(browser) == "?task=nbody&sampler=ps"
    assert (shown(browser, "task"), shown(browser, "sampler")) == ({"nbody"}, {"ps"})
    browser.refresh()
    assert (shown(browser, "task"), shown(browser, "sampler")) == ({"nbody"}, {"ps"})
    browser.back()
    WebDriverWait(browser, 5).until(lambda driver: query(browser) == "?task=nbody")
    assert len(shown(browser, "sampler")) > 1
    browser.back()
    WebDriverWait(browser, 5).until(lambda driver: query(browser) == "")
    assert shown(browser, "task") == every


def test_filters_act_on_curves_cards_and_contents_and_empty_sections_say_so(
    browser: webdriver.Chrome, page: Path
) -> None:
    load(browser, page, 1400)
    choose(browser, "Task", "graph8c")
    choose(browser, "Sampler", "fa")
    script(browser, "document.querySelector('#cost').scrollIntoView({behavior: 'instant'})")
    draw_all(browser)
    legend = script(
        browser,
        "return [...document.querySelectorAll('.legend li:not(.sampler)')].filter(one => one.checkVisibility())"
        ".map(one => one.dataset.sampler)",
    )
    assert legend and set(legend) == {"fa"}
    cards = [card.text for card in browser.find_elements(By.CSS_SELECTOR, ".card .facts-line") if card.is_displayed()]
    assert "graph8c" in cards and "nbody" not in cards and "mlp-fa" in cards and "mlp-ps" not in cards
    links = "return [...document.querySelectorAll('.contents .tasks li:not([hidden])')].map(item => item.textContent)"
    assert set(script(browser, links)) == {"graph8c"}
    nothing = script(browser, "return [...document.querySelectorAll('section.empty')].map(section => section.id)")
    assert "sizes" in nothing and "leaderboard" not in nothing
    assert browser.find_element(By.CSS_SELECTOR, "#sizes").text.splitlines()[1] == "Nothing matches the filters."


def test_a_search_finds_rows_by_all_words_also_those_of_their_task(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    browser.find_element(By.CSS_SELECTOR, ".filters > input").send_keys("nbody egnn")
    assert query(browser) == "?search=nbody+egnn"
    assert (shown(browser, "task"), shown(browser, "method")) == ({"nbody"}, {"egnn"})
    browser.find_element(By.CSS_SELECTOR, ".filters .clear").click()
    assert query(browser) == "" and len(shown(browser, "task")) > 1


def test_a_link_keeps_the_filters_and_an_unknown_value_hides_nothing(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    every = shown(browser, "task")
    browser.get(page.as_uri() + "?task=nothing&other=kept#samples")
    assert shown(browser, "task") == every
    choose(browser, "Task", "nbody")
    assert script(browser, "return [location.search, location.hash]") == ["?other=kept&task=nbody", "#samples"]


def test_a_saved_table_has_numbers_and_what_the_page_shows_of_the_rows_in_view(
    browser: webdriver.Chrome, page: Path
) -> None:
    load(browser, page, 1400)
    choose(browser, "Sampler", "ps")
    table = "#task-3 table"
    head, *rows = saved_rows(browser, table)
    keys = script(
        browser,
        f"return [...document.querySelector('{table}').tBodies[0].rows].filter(row => !row.hidden)"
        ".map(row => [row.querySelector('code').textContent, row.cells[2].dataset.sort])",
    )
    score = next(place for place, title in enumerate(head) if "↓" in title)
    assert [[row[0].split(" (")[0], row[score]] for row in rows if row[score]] == [key for key in keys if key[1]]
    assert head[0] == "Method" and any(title.endswith(", as shown") for title in head)
    assert any("±" in text for row in rows for text in row)
    assert all(len(row) == len(head) for row in rows)
    assert script(browser, "return window.savedAs").endswith(".csv")


@pytest.mark.parametrize("formula", ["=1+1", " +cmd", "@SUM(1)", "-2+3", "\uff1d1"])
def test_no_saved_text_is_a_formula(browser: webdriver.Chrome, page: Path, formula: str) -> None:
    load(browser, page, 1400)
    script(browser, "document.querySelector('#what-ran tbody').rows[0].cells[0].textContent = arguments[0]", formula)
    assert saved_rows(browser, "#what-ran")[1][0] == "'" + formula.strip()


def test_a_copied_table_is_what_a_spreadsheet_pastes(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    script(browser, "navigator.clipboard.writeText = async text => { window.copied = text; }")
    script(browser, "document.querySelectorAll('#ran .toolbar button')[0].click()")
    status = browser.find_element(By.CSS_SELECTOR, "#ran .toolbar output")
    WebDriverWait(browser, 5).until(lambda driver: status.text.endswith("copied"))
    lines = [line.split("\t") for line in script(browser, "return window.copied").split("\n")]
    assert lines[0][:3] == ["Suite", "Protocol", "Task"]
    assert len({len(line) for line in lines}) == 1
    assert NASTY not in lines[0]


@pytest.mark.parametrize("width", [390, 1400])
def test_no_table_is_wider_than_the_page(browser: webdriver.Chrome, page: Path, width: int) -> None:
    load(browser, page, width)
    script(browser, "document.querySelectorAll('details').forEach(item => item.open = true)")
    wide = "[...document.querySelectorAll('table')].filter(table => table.getBoundingClientRect().width > innerWidth)"
    assert script(browser, f"return {wide}.map(table => table.id)") == []
    assert script(browser, "return document.documentElement.scrollWidth") <= width


def test_stacked_rows_say_the_title_of_each_value_and_can_be_sorted(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 390)
    titles = script(
        browser,
        "const table = document.querySelector('#task-3 table');"
        "return [...table.tBodies[0].rows[0].cells].slice(1).map((cell, place) =>"
        " [getComputedStyle(cell, '::before').content, table.tHead.rows[0].cells[place + 1].textContent])",
    )
    assert all(said == f'"{title.strip()}"' for said, title in titles)
    script(
        browser,
        "const one = document.querySelector('#task-3 .toolbar select');"
        "one.value = '0 down'; one.dispatchEvent(new Event('change'))",
    )
    rows = "[...document.querySelector('#task-3 table').tBodies[0].rows].map(row => row.cells[0].dataset.sort)"
    sorts = script(browser, f"return {rows}")
    assert len(sorts) > 8 and sorts == sorted(sorts, reverse=True)


def test_the_contents_mark_what_is_read(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    script(browser, "document.querySelector('#cost-2').scrollIntoView({behavior: 'instant'})")
    marked = "return [...document.querySelectorAll('.contents [aria-current]')].map(link => link.hash)"
    WebDriverWait(browser, 5).until(lambda driver: script(browser, marked) == ["#cost", "#cost-2"])


def focused(browser: webdriver.Chrome) -> WebElement:
    return browser.switch_to.active_element


def tab_to(browser: webdriver.Chrome, selector: str, most: int = 60) -> WebElement:
    """The element that the key Tab reaches; fails if it takes more than ``most`` presses."""
    for _ in range(most):
        focused(browser).send_keys(Keys.TAB)
        if script(browser, "return document.activeElement.matches(arguments[0])", selector):
            return focused(browser)
    raise AssertionError(f"{selector} is not reached")


def test_the_page_works_by_keyboard_alone(browser: webdriver.Chrome, page: Path) -> None:
    load(browser, page, 1400)
    assert "To the results" in tab_to(browser, ".skip", 1).text
    focused(browser).send_keys(Keys.ENTER)
    tab_to(browser, ".filters > input", 1)
    tab_to(browser, ".facet summary").send_keys(Keys.ENTER)
    tab_to(browser, ".facet [value=nbody]").send_keys(Keys.SPACE)
    assert query(browser) == "?task=nbody"
    focused(browser).send_keys(Keys.ESCAPE)
    assert focused(browser).tag_name == "summary" and not browser.find_elements(By.CSS_SELECTOR, ".facet[open]")
    script(browser, SAVED)
    tab_to(browser, "#leaderboard .toolbar button:last-child").send_keys(Keys.SPACE)
    assert script(browser, "return window.savedAs").endswith(".csv")
    head = tab_to(browser, "#leaderboard thead th:first-child button")
    assert script(browser, "return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    head.send_keys(Keys.ENTER)
    assert script(browser, "return arguments[0].parentNode.ariaSort", head) == "ascending"
    script(browser, "document.querySelector('#samples h2').scrollIntoView(); document.activeElement.blur()")
    script(browser, "const at = document.querySelector('#samples h2'); at.tabIndex = -1; at.focus()")
    entry = tab_to(browser, "#samples .legend button")
    entry.send_keys(Keys.SPACE)
    assert entry.get_attribute("aria-pressed") == "false"


@pytest.fixture(scope="module")
def short_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every section with few rows: what axe takes grows with the number of elements."""
    store = Store(tmp_path_factory.mktemp("short") / "results" / "store")
    methods = ("gin_id-fa", "mlp-ga", "egnn", "transformer-canonical", "transformer-ps")
    write(store.root, *(record for record in demo_records() if record.spec.method in methods))
    return write_report(collate(store), store, store.root.parent)[0]


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")])
def test_axe_has_no_serious_finding(browser: webdriver.Chrome, short_page: Path, width: int, scheme: str) -> None:
    load(browser, short_page, width, scheme)
    script(browser, "document.querySelectorAll('details:not(.facet)').forEach(item => item.open = true)")
    axe = Axe(browser)
    axe.inject()
    browser.set_script_timeout(120)
    found = axe.run(options={"resultTypes": ["violations"]})["violations"]
    bad = [one for one in found if one["impact"] in ("moderate", "serious", "critical")]
    assert not bad, axe.report(bad)
