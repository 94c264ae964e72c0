"""Legends: grouped by sampler if they are long."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from harness.report.rendering.cells import Badge
from harness.report.rendering.figures import UNGROUPED, Axis, Line, Series, by_sampler, figure
from harness.report.rendering.styles import method_style
from harness.report.rendering.vector import Layout, draw

SAMPLERS = ("ps", None, "ga", "of_a_plugin", "none", "fa")


def legend(count: int) -> list[Series]:
    return [
        Series(id=str(n), name=f"m{n}", style=method_style(SAMPLERS[n % len(SAMPLERS)], "mlp")) for n in range(count)
    ]


@given(st.integers(0, 30))
def test_a_legend_of_more_than_eight_is_grouped_and_no_entry_is_lost(count: int) -> None:
    every = legend(count)
    groups = by_sampler(every)
    assert sorted(one.id for _, members in groups for one in members) == sorted(one.id for one in every)
    if count <= UNGROUPED:
        assert groups == [("", every)]
    else:
        assert all(len({one.style.role for one in members}) == 1 for _, members in groups)


def test_groups_have_names_in_a_fixed_order() -> None:
    assert [name for name, _ in by_sampler(legend(12))] == [
        "no sampler",
        "ga",
        "fa",
        "ps",
        "other samplers",
        "equivariant",
    ]


def test_the_legend_of_a_vector_figure_is_in_the_same_order_and_has_badges(tmp_path: Path) -> None:
    every = legend(11)
    every.append(Series(id="z", name="z", style=every[2].style, badges=(Badge(text="not sound", why="why"),)))
    lines = [Line(series=one, x=[1, 2], y=[1.0, n + 1.0], stderr=[None] * 2) for n, one in enumerate(every)]
    drawn = figure("a figure", lines, Axis(title="k"), Axis(title="mse"))
    draw(drawn, every, tmp_path / "f.svg", Layout(width=1))
    texts = [
        "".join(one.itertext())
        for one in ElementTree.parse(tmp_path / "f.svg").iter("{http://www.w3.org/2000/svg}text")
    ]
    names = {one.name: one.name for one in every} | {"z": "z [not sound]"}
    expected = [names[one.name] for _, members in by_sampler(every) for one in members]
    assert [text for text in texts if text in expected] == expected
