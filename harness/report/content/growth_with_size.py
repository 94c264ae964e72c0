"""The card of the first screen that says how cost and variance grow with the size of the group."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.collate import Tables
from harness.collate.significance import LEAST_SEEDS
from harness.report.content.answer_cards import (
    Answer,
    Block,
    Entry,
    Value,
    joined,
    sampler_name,
    sampler_order,
    sampler_style,
    short_titles,
    span,
)
from harness.report.content.comparison_groups import Row, by_task
from harness.report.content.curves import ROUNDING, Curve
from harness.report.content.published import PROTOCOL
from harness.report.content.titles import group_title
from harness.report.rendering.formats import counted, seconds
from harness.report.rendering.small_figures import Panel, panel
from harness.report.rendering.styles import method_style

_MOST_NAMED = 3
_MOST_CURVES = 12


@dataclass(frozen=True, kw_only=True)
class _Family:
    """The curves of one task, protocol and family of groups over the size, each on one device.

    Attributes:
        title: The short title of the task, with the group if the task has several families.
        link: The id of the task in the section of scaling.
        protocol: The protocol.
        group: The family of groups.
        curves: The curves of each sampler, in the order of a card.
    """

    title: str
    link: str
    protocol: str
    group: str
    curves: Mapping[str | None, Sequence[Curve]]

    @property
    def every(self) -> list[Curve]:
        """All curves."""
        return [curve for curves in self.curves.values() for curve in curves]

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return [row for curve in self.every for row in curve]


def growth_with_size(tables: Tables) -> Answer:
    """How time, memory and variance grow with the group, by task, protocol and family of groups."""
    found = _families(tables)
    several = len({one.protocol for one in found}) > 1
    return Answer(
        id="answer-sizes",
        question="How do cost and variance grow with the group?",
        sentence=_sentence(found) if found else "Not known: no method ran on two or more sizes of a task.",
        blocks=[_block(one, several) for one in found],
        open=1,
        remark=_remark(found) if found else "",
        link="sizes",
        link_text="Scaling",
    )


def _families(tables: Tables) -> list[_Family]:
    titles = short_titles(tables.scaling["task"].unique(maintain_order=True))
    found = []
    for number, (task, rows) in enumerate(by_task(tables.scaling).items(), start=1):
        grouped: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in rows:
            grouped[row["protocol"], _group_family(row)].append(row)
        several = len({group for _, group in grouped}) > 1
        for protocol, group in sorted(grouped, key=lambda key: (key[0] != PROTOCOL, key)):
            curves = _curves(grouped[protocol, group])
            title = f"{titles[task]} with {group_title(group)}" if several else titles[task]
            if curves:
                found.append(
                    _Family(title=title, link=f"sizes-{number}", protocol=protocol, group=group, curves=curves)
                )
    return found


def _group_family(row: Row) -> str:
    """The name of the group of a row; d stands for its size if the group is a parameter of the task."""
    names = json.loads(row["task_params"]).get("group")
    return " x ".join(names).replace("#", "d") if names else str(row["group"])


def _curves(rows: Sequence[Row]) -> dict[str | None, list[Curve]]:
    """The curves of at least two sizes, by sampler."""
    grouped: defaultdict[tuple[str, str, str | None, str | None], Curve] = defaultdict(list)
    for row in rows:
        grouped[row["method"], row["series"], row["source"], row["device"]].append(row)
    curves = [sorted(curve, key=lambda row: row["size"]) for curve in grouped.values()]
    found: defaultdict[str | None, list[Curve]] = defaultdict(list)
    for curve in sorted(curves, key=lambda curve: sampler_order(curve[0]["sampler"])):
        if len({row["size"] for row in curve}) > 1:
            found[curve[0]["sampler"]].append(curve)
    return dict(found)


def _sentence(found: Sequence[_Family]) -> str:
    grows = [
        f"{powers} on {one.title}" for one in found[:_MOST_NAMED] if (powers := _powers(one.every, "seconds_exponent"))
    ]
    said = [f"The time of a prediction grows as {joined(grows)}"] if grows else ["The time was not measured"]
    first = found[0]
    changes = [
        f"{change} with {sampler_name(sampler)}"
        for sampler, curves in first.curves.items()
        if (change := _change(curves, first))
    ][:2]
    if changes:
        said.append(f"On {first.title}, {_range(first)}, the variance of one sample changes {joined(changes)}")
    return ". ".join(said) + "."


def _powers(curves: Sequence[Curve], name: str) -> str:
    """The range of an exponent of the size n over some curves."""
    found = sorted(curve[0][name] for curve in curves if curve[0][name] is not None)
    return span([f"n^{found[0] + 0:.2f}", f"n^{found[-1] + 0:.2f}"]).replace("n^-0.00", "n^0.00") if found else ""


def _range(one: _Family) -> str:
    sizes = sorted({row["size"] for row in one.rows})
    return f"from n = {sizes[0]:,} to {sizes[-1]:,}"


def _ends(curve: Curve, one: _Family) -> tuple[float, float] | None:
    """The variance at the smallest and at the largest size; None if it is not known or only a rounding error."""
    most = max((row["variance"] or 0.0 for row in one.rows), default=0.0)
    first, last = curve[0]["variance"], curve[-1]["variance"]
    if first is None or last is None or min(first, last) <= ROUNDING * most:
        return None
    return first, last


def _change(curves: Sequence[Curve], one: _Family) -> str:
    """``from 0.94 to 0.027``, or the range of factors if there are several methods; empty if nothing is known."""
    ends = [found for curve in curves if (found := _ends(curve, one))]
    if len(ends) == 1:
        return f"from {ends[0][0]:.2g} to {ends[0][1]:.2g}"
    factors = _factors(ends)
    return f"by a factor of {factors}" if factors else ""


def _factors(ends: Sequence[tuple[float, float]]) -> str:
    """The range of the factors between the two ends."""
    found = sorted(last / first for first, last in ends)
    return span([_factor(found[0]), _factor(found[-1])]) if found else ""


def _factor(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _block(one: _Family, several_protocols: bool) -> Block:
    protocol = (f"protocol {one.protocol}",) if several_protocols else ()
    times = _powers(one.every, "seconds_exponent")
    memory = _powers(one.every, "memory_exponent")
    parts = [f"time {times}" if times else "", f"memory {memory}" if memory else ""]
    known = [f"{sampler_name(s)} {change}" for s, curves in one.curves.items() if (change := _change(curves, one))]
    variance = f"variance of one sample: {'; '.join(known)}" if known else ""
    said = "; ".join(filter(None, (*parts, variance))) or "no time or memory was measured"
    several_devices = len({row["device"] for row in one.rows}) > 1
    devices = "Measured on several devices; each exponent is from one of them." if several_devices else ""
    return Block(
        title=one.title,
        link=one.link,
        note=" · ".join((*protocol, group_title(one.group), _range(one).removeprefix("from "), *_measure(one))),
        sentence=f"On {one.title}, {_range(one)}: {said}.",
        columns=("time", "memory", "variance"),
        entries=[_entry(one, sampler, curves) for sampler, curves in one.curves.items()],
        remark=f"{_by_group(one)}{devices}".strip(),
        panel=_panel(one),
    )


def _measure(one: _Family) -> list[str]:
    """The measure of the group at the smallest and the largest size, if it grows."""
    for name, column in (("ln |G|", "log_group_size"), ("dim G", "group_dimension")):
        known = sorted({row[column] for row in one.rows if row[column] is not None})
        if len(known) > 1:
            return [f"{name} = {known[0]:.3g} to {known[-1]:.3g}"]
    return []


def _by_group(one: _Family) -> str:
    """A sentence on the exponents of costs in the measure of the group; empty if they are not known."""
    measure = next(iter(_measure(one)), "").partition(" =")[0]
    parts = []
    for cost, word in (("seconds", "time"), ("memory", "memory")):
        name = f"{cost}_group_exponent"
        rows = sorted((curve[0] for curve in one.every if curve[0][name] is not None), key=lambda row: row[name])
        if rows:
            low, high = rows[0][f"{name}_low"], rows[0][f"{name}_high"]
            alone = len(one.every) == 1 and low is not None and high is not None
            interval = f" [{low:.2f}, {high:.2f}]" if alone else ""
            parts.append(f"{word} {span([f'{rows[0][name] + 0:.2f}', f'{rows[-1][name] + 0:.2f}'])}{interval}")
    return f"Exponents in {measure}: {', '.join(parts)}. " if measure and parts else ""


def _entry(one: _Family, sampler: str | None, curves: Sequence[Curve]) -> Entry:
    cells = []
    for cost in ("seconds", "memory"):
        name, alone = f"{cost}_exponent", curves[0][0]
        low, high = alone[f"{name}_low"], alone[f"{name}_high"]
        interval = f"{low:.2f} to {high:.2f}" if len(curves) == 1 and low is not None and high is not None else ""
        cells.append(Value(text=_powers(curves, name) or "–", small=interval))  # noqa: RUF001
    ends = [found for curve in curves if (found := _ends(curve, one))]
    change = _change(curves, one).replace("from ", "").replace(" to ", " → ") if len(ends) == 1 else _factors(ends)
    exact = any(row["variance"] is not None for curve in curves for row in curve)
    if len(ends) > 1:
        change = f"×\N{NO-BREAK SPACE}{change}"  # noqa: RUF001
    cells.append(Value(text=change or ("none" if exact else "–")))  # noqa: RUF001
    return Entry(name=sampler_name(sampler), style=sampler_style(sampler), values=cells)


def _panel(one: _Family) -> Panel | None:
    """Time against the size on logarithmic axes, or None if it was not measured at two sizes."""
    drawn = []
    for curve in one.every[:_MOST_CURVES]:
        points = [(float(row["size"]), row["seconds_per_example"]) for row in curve]
        points = [(n, t) for n, t in points if n > 0 and t is not None and 0 < t < float("inf")]
        if len(points) > 1:
            drawn.append((method_style(curve[0]["sampler"], curve[0]["base_model"]), points))
    if not drawn:
        return None
    times = [t for _, points in drawn for _, t in points]
    sizes = sorted({n for _, points in drawn for n, _ in points})
    if sizes[0] == sizes[-1]:
        return None
    powers = _powers(one.every, "seconds_exponent")
    label = f"Seconds for one prediction against the size n of {one.title}, on logarithmic axes: {powers}"
    texts = {n: f"n = {n:,.0f}" if n == sizes[0] else f"{n:,.0f}" for n in sizes}
    return panel(label, drawn, texts, {t: _rounded(t) for t in _decades(min(times), max(times))})


def _decades(low: float, high: float) -> list[float]:
    """The powers of ten in a range, or its ends if there are fewer than two."""
    powers = [10.0**power for power in range(-12, 9)]
    inside = [power for power in powers if low <= power <= high]
    return inside if len(inside) > 1 else [low, high]


def _rounded(value: float) -> str:
    """A time with two digits, such as ``10 ms``."""
    number, unit = seconds(value).replace(",", "").split()
    two_digits = float(f"{float(number):.2g}")
    return f"{two_digits:g} {unit}"


def _remark(found: Sequence[_Family]) -> str:
    rows = [row for one in found for row in one.rows]
    fewest = min(row["seeds"] for row in rows)
    said = [
        "With n^a, doubling n multiplies the cost by 2^a",
        "Variance: of one sample, from the smallest to the largest n",
    ]
    if all(len({row["size"] for row in curve}) < 3 for one in found for curve in one.every):
        said.append("Two sizes only: no intervals")
    if fewest < LEAST_SEEDS:
        said.append(f"{counted(fewest, 'seed')}: no claim that samplers differ ({LEAST_SEEDS} are needed)")
    return ". ".join(said) + "."
