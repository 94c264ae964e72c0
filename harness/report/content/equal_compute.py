"""Quality at equal compute: the score that each method has when all may spend the same number of operations.

The rule: a method spends a budget on the largest measured number k of group samples that it pays for, and its score is
the one that its curve has at that k. Nothing is chosen by the score and nothing is interpolated, so no method gains
from a lucky k. The cost is counted in floating-point operations, which do not depend on the device or on what else ran
there. They are counted at the k of the test; each sample is drawn and computed on its own, so k samples cost k times
the operations of one (the tests count this). A sampler of a plug-in with a part that does not depend on k would cost
less than is shown beyond the k of the test, and more below it. A method that brings its own samples has one cost.

A curve is measured on the original inputs. A method that is ranked by a worse score, on transformed inputs or counting
only what is sound, therefore has no curve here: its one point is the score that ranks it, at the k of its test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.report.content.badges import Badges
from harness.report.content.captions import BANDS, STDERR, caption
from harness.report.content.comparison_groups import ComparisonGroup
from harness.report.content.control_metrics import drop
from harness.report.content.curves import Curve, is_flat
from harness.report.content.methods import method_cell
from harness.report.content.pareto import Point, cost_axis, tick_text
from harness.report.content.titles import arrow, better
from harness.report.rendering.cells import Cell, Column, Table, missing
from harness.report.rendering.figures import MAX_SERIES, Axis, FigureGroup, Line, figure, needs_log_axis
from harness.report.rendering.formats import estimate, listed, operations

RULE = (
    "Each method spends a budget on the largest measured k that it pays for; operations are counted at the k of the "
    "test and are proportional to k. The score at each k is that of the section Sample complexity."
)
BEST = "The best mean at this budget; whether it differs from the others is not tested here"
MOST_BUDGETS = 7
STEPS = ((1, 2, 5), (1, 3), (1,))
"""The first digits of round numbers, from fine to coarse."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """A prediction that was measured.

    Attributes:
        cost: Floating-point operations per example.
        samples: The number k of group samples; None if the method brings its own.
        mean: The score, mean over seeds.
        stderr: Its standard error; None if it is not known.
    """

    cost: float
    samples: int | None
    mean: float
    stderr: float | None


@dataclass(frozen=True, kw_only=True)
class EqualCompute:
    """The figure, which only the main group of a protocol has, and the table."""

    figure_group: FigureGroup | None
    table: Table


def equal_compute(
    id_: str,
    group: ComparisonGroup,
    points: Sequence[Point],
    curves: Mapping[tuple[str, str | None], Curve],
    labels: Mapping[str, str],
    marks: Badges,
) -> EqualCompute | None:
    """The scores of a comparison group at equal compute; None unless two methods can be compared.

    Args:
        id_: The start of the ids of figure and table.
        group: The rows that may be compared.
        points: The rows with their scores.
        curves: By setting and source, the rows of the table ``sample_complexity``.
        labels: The label of each setting.
        marks: The badges of the settings.
    """
    once = {point.series.id: point for point in points}.values()  # a setting has a point for each device
    every = [
        (point, spending(point, curves.get((point.row["setting"], point.row["source"]), []), group)) for point in once
    ]
    known = [(point, spent) for point, spent in every if spent]
    if len(known) < 2 or all(len(spent) == 1 for _, spent in known):
        return None
    absent = sorted({point.row["method"] for point, spent in every if not spent})
    return EqualCompute(
        figure_group=_figures(f"{id_}-figures", group, known, absent) if group.is_main else None,
        table=_table(f"{id_}-table", group, known, labels, marks, absent),
    )


def spending(point: Point, curve: Curve, group: ComparisonGroup) -> list[Spent]:
    """What a setting can spend, by ascending cost; nothing if its operations or its score are not known."""
    row, score = point.row, point.score
    flops, tested = row["flops_per_example"], row["test_samples"]
    if not flops or score.mean is None:
        return []
    scored = sorted((one for one in curve if one["mean"] is not None), key=lambda one: one["samples"])
    if len(scored) < 2 or not tested or drop(row, group):
        return [Spent(cost=flops, samples=tested, mean=score.mean, stderr=score.stderr)]
    if is_flat(scored):
        return [Spent(cost=flops, samples=None, mean=scored[0]["mean"], stderr=scored[0]["stderr"])]
    return [
        Spent(cost=flops * one["samples"] / tested, samples=one["samples"], mean=one["mean"], stderr=one["stderr"])
        for one in scored
    ]


def within(spent: Sequence[Spent], budget: float) -> Spent | None:
    """The most expensive prediction that costs at most ``budget``; None if there is none."""
    return max((one for one in spent if one.cost <= budget), key=lambda one: one.cost, default=None)


def budgets(costs: Iterable[float]) -> list[float]:
    """At most :data:`MOST_BUDGETS` round numbers, from one that pays for the cheapest to one that pays for all."""
    known = list(costs)
    powers = range(math.floor(math.log10(min(known))), math.ceil(math.log10(max(known))) + 1)
    for steps in STEPS:
        numbers = [step * 10.0**power for power in powers for step in steps]
        enough = next((one for one in numbers if one >= max(known)), numbers[-1])
        found = [one for one in numbers if min(known) <= one <= enough]
        if len(found) <= MOST_BUDGETS:
            return found
    return found[:: -(-len(found) // MOST_BUDGETS)][:-1] + found[-1:]


def _figures(
    id_: str, group: ComparisonGroup, known: Sequence[tuple[Point, list[Spent]]], absent: Sequence[str]
) -> FigureGroup:
    sign = -1.0 if group.direction == "max" else 1.0
    best = sorted(known, key=lambda pair: min(sign * one.mean for one in pair[1]))[:MAX_SERIES]
    lines = [
        Line(
            series=point.series,
            x=[one.cost for one in spent],
            y=[one.mean for one in spent],
            stderr=[one.stderr for one in spent],
        )
        for point, spent in best
    ]
    y = Axis(
        title=f"{group.metric} {arrow(group.direction)}",
        log=needs_log_axis([value for line in lines for value in line.y]),
    )
    x = cost_axis("FLOPs per example", [cost for line in lines for cost in line.x])
    protocol = f"protocol {group.protocol}"
    drawn = f"{len(best)} of {len(known)} curves are drawn, those that reach the best scores. The table has all."
    return FigureGroup(
        id=id_,
        title=f"{group.task}, {protocol}",
        chips=(protocol, *group.chips),
        legend=[line.series for line in lines],
        figures=[figure(f"{group.metric} at equal compute ({better(group.direction)})", lines, x, y)],
        remarks=(
            caption((point.row for point, _ in best), BANDS, examples=()),
            RULE,
            *([drawn] if len(best) < len(known) else []),
            *_remarks(known, absent),
        ),
    )


def _remarks(known: Sequence[tuple[Point, list[Spent]]], absent: Sequence[str]) -> Iterable[str]:
    if alone := sorted({point.row["method"] for point, spent in known if _is_alone(spent)}):
        yield (
            "One point, the score of the leaderboard, since there is no curve or it is not the score that ranks the "
            f"method: {listed(alone, 12)}."
        )
    if absent:
        yield f"Left out, since the operations were not counted or there is no score: {listed(list(absent), 12)}."


def _is_alone(spent: Sequence[Spent]) -> bool:
    return len(spent) == 1 and spent[0].samples is not None


def _table(
    id_: str,
    group: ComparisonGroup,
    known: Sequence[tuple[Point, list[Spent]]],
    labels: Mapping[str, str],
    marks: Badges,
    absent: Sequence[str],
) -> Table:
    limits = budgets(one.cost for _, spent in known for one in spent)
    sign = -1.0 if group.direction == "max" else 1.0
    scores = [[found.mean for _, spent in known if (found := within(spent, limit))] for limit in limits]
    best = [min(sign * value for value in values) if values else None for values in scores]
    rows = [
        [
            method_cell(point.row, labels[point.row["setting"]], marks),
            *(
                _cell(spent, limit, is_best=(found := within(spent, limit)) is not None and sign * found.mean == first)
                for limit, first in zip(limits, best, strict=True)
            ),
            Cell(text=str(point.row["seeds"]), sort=point.row["seeds"]),
        ]
        for point, spent in known
    ]
    said = (caption((point.row for point, _ in known), STDERR, examples=()), RULE, *_remarks(known, absent))
    return Table(
        id=id_,
        caption=f"{group.metric} {arrow(group.direction)} at equal compute",
        columns=[
            Column(title="Method"),
            *(
                Column(
                    title=f"{tick_text(limit)} FLOPs",
                    why="The score with at most this number of operations per example",
                    numeric=True,
                )
                for limit in limits
            ),
            Column(title="Seeds", why="The number of runs that gave a value", numeric=True),
        ],
        rows=rows,
        remark=said[0] if group.is_main else " ".join(said),  # the figure of the main group says the rest
    )


def _cell(spent: Sequence[Spent], limit: float, *, is_best: bool) -> Cell:
    found = within(spent, limit)
    if found is None:
        return missing(f"Its cheapest measured prediction takes {operations(spent[0].cost)} operations")
    return Cell(
        text=estimate(found.mean, found.stderr),
        sort=found.mean,
        note="" if found.samples is None else f"k = {found.samples}",
        mark="best" if is_best else "",
        why=BEST if is_best else "",
    )
