"""Names are whatever somebody wrote, and stay text: in the page, in the data of its figures, and in their tooltips."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.rendering.html import json_script
from tests.harness.report.test_report import Page, report
from tests.harness.synthetic import default_provenance, make_record, renamed

NAMES = {
    "the end of a script": "</script><script>alert(1)</script>",
    "the end of a script, written otherwise": "</ScRiPt ><img src=x onerror=alert(1)>",
    "a comment in a script": "<!--<script>",
    "the end of a comment": "--> ]]>",
    "line ends of JavaScript": "a\u2028b\u2029c",
    "quotes": '" onmouseover="alert(1) \' `',
    "a backslash": "\\u003c/script\\u003e \\",
    "a link in plotly's own markup": "<a href='javascript:alert(1)'>x</a><b>y</b>",
    "an entity": "&lt;script&gt; &amp; &#60;",
    "templates": "{{ 7*7 }} {% raw %} %{x} ${7*7} <% << >>",
    "what JSON escapes": "a\tb\x01c\x7f",
}
MARKUP = re.compile(r"</?b>|<br>|<extra></extra>")
"""What this project puts into texts that plotly reads as markup."""


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a figure, with its key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, key)
    elif isinstance(value, str):
        yield key, value


@pytest.fixture(scope="module", params=NAMES.values(), ids=NAMES.keys())
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    name = request.param
    everywhere = dict.fromkeys(("task", "base_model", "sampler", "variant", "size_name", "group", "weights"), name)
    records = []
    for nodes in (4, 8):
        for seed in (0, 1):
            for method in (f"one {name}", f"other {name}"):
                device = {**default_provenance(), "device": f"{name} {seed}", "host": name}
                made = make_record(
                    method="gnn-ga",
                    seed=seed,
                    task_params={"nodes": nodes},
                    provenance=device,
                    suite=name,
                    notes=(name,),
                )
                made = replace(made, metrics={name: 0.5 + seed / 10})
                records.append(renamed(made, **everywhere, metric=name, method=method))
    failed = make_record(method="gnn-ps", error=name)
    written, _ = report(tmp_path_factory.mktemp("names"), *records, failed)
    return name, Page(written)


def figures(page: Page) -> list[dict[str, Any]]:
    return [json.loads(script) for script in page.scripts if script.startswith('{"data"')]


def test_no_name_makes_an_element(page: tuple[str, Page]) -> None:
    """Scripts are ours: figures, plotly and the page's own; nothing is loaded and no handler is set."""
    _, found = page
    drawn, others = figures(found), [script for script in found.scripts if not script.startswith('{"data"')]
    assert len(drawn) >= 6 and len(others) == 2
    assert all(link.startswith("#") or link == "data:," for link in found.loads)
    assert not found.handlers


def test_names_come_back_as_they_are(page: tuple[str, Page]) -> None:
    name, found = page
    shown = " ".join("".join(found.texts).split())
    assert " ".join(name.split()) in shown
    names = {trace["name"] for figure in figures(found) for trace in figure["data"] if "name" in trace}
    assert names >= {html.escape(f"{which} {name}", quote=False) for which in ("one", "other")}


def test_plotly_reads_no_markup_but_ours(page: tuple[str, Page]) -> None:
    _, found = page
    read = [
        (key, text)
        for figure in figures(found)
        for key, text in texts(figure)
        if key in ("name", "text", "hovertext", "hovertemplate", "ticktext", "title", "ticksuffix")
    ]
    assert {"name", "hovertext", "text"} <= {key for key, _ in read}
    for key, text in read:
        assert not re.search(r"[<>]", MARKUP.sub("", text)), (key, text)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(values)
def test_json_in_a_script_element_is_the_value_and_cannot_end_it(value: Any) -> None:
    written = json_script(value)
    assert json.loads(written) == value
    assert not re.search(r"[<>&\u2028\u2029]", written)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_in_json_is_a_gap(value: float) -> None:
    assert json.loads(json_script({"y": [value, 1.0]})) == {"y": [None, 1.0]}
