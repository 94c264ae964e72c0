"""The card of the first screen that says how many group samples each sampler needs, and how its error falls."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness import registry
from harness.collate import Tables
from harness.collate.significance import LEAST_SEEDS
from harness.report.content.answer_cards import (
    Answer,
    Block,
    Entry,
    Value,
    capital,
    joined,
    sampler_name,
    sampler_order,
    sampler_style,
    short_titles,
    span,
)
from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.curves import Curve, is_flat
from harness.report.content.methods import takes_one_sample
from harness.report.rendering.formats import counted, listed, plain
from harness.report.rendering.small_figures import Dot, Scale, Strip, strip_scale

_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """The curves of one comparison group that depend on k, one for each method, by sampler.

    Attributes:
        title: The short title of the task.
        link: The id of the task in the section of sample complexity.
        group: The comparison group.
        curves: The curves of each sampler, in the order of a card.
        unchanged: The methods whose curves do not depend on k.
    """

    title: str
    link: str
    group: ComparisonGroup
    curves: dict[str | None, list[Curve]]
    unchanged: Sequence[str]

    @property
    def first(self) -> list[Row]:
        """One row of each curve; the columns of convergence are equal in all rows of a curve."""
        return [curve[0] for curves in self.curves.values() for curve in curves]


def samples_needed(tables: Tables) -> Answer:
    """The number of group samples that each sampler needs on each task, in the main group of each protocol."""
    found, several_k = _measured(tables)
    shown = [one for one in found if one.curves]
    several = len({one.group.protocol for one in found}) > 1
    return Answer(
        id="answer-samples",
        question="How many group samples are needed?",
        sentence=_sentence(shown) if shown else _missing(tables, several_k),
        blocks=[_block(one, several) for one in shown],
        open=3,
        remark=_remark(shown) if shown else "",
        link="samples",
        link_text="Sample complexity",
    )


def _measured(tables: Tables) -> tuple[list[_Measured], bool]:
    """The curves of every main group, and whether any curve has several k."""
    titles = short_titles(tables.sample_complexity["task"].unique(maintain_order=True))
    found, several_k = [], False
    for number, (task, rows) in enumerate(by_task(tables.sample_complexity).items(), start=1):
        for group in comparison_groups(rows):
            if not group.is_main:
                continue
            curves = [curve for curve in _curves(group.rows) if len(curve) > 1]
            several_k = several_k or bool(curves)
            random = [curve for curve in curves if _depends_on_k(curve)]
            by_sampler: defaultdict[str | None, list[Curve]] = defaultdict(list)
            for curve in sorted(_as_published(random, group), key=lambda one: sampler_order(one[0]["sampler"])):
                by_sampler[curve[0]["sampler"]].append(curve)
            moving = {curve[0]["method"] for curve in random}
            still = sorted({curve[0]["method"] for curve in curves} - moving)
            link = f"samples-{number}"
            found.append(_Measured(title=titles[task], link=link, group=group, curves=by_sampler, unchanged=still))
    return found, several_k


def _curves(rows: Iterable[Row]) -> list[Curve]:
    grouped: defaultdict[tuple[str, str | None], Curve] = defaultdict(list)
    for row in rows:
        grouped[row["setting"], row["source"]].append(row)
    return [sorted(curve, key=lambda row: row["samples"]) for curve in grouped.values()]


def _depends_on_k(curve: Curve) -> bool:
    random = any(row["variance"] for row in curve)
    return random and not is_flat(curve) and not takes_one_sample(curve[0]["method"])


def _as_published(curves: Sequence[Curve], group: ComparisonGroup) -> list[Curve]:
    """The curves of each method that were trained with the k of the protocol, else those with its largest k."""
    card = registry.tasks().get(group.task)
    protocol = card.protocols.get(group.protocol) if card else None
    published = protocol.train_samples if protocol else None
    trained: defaultdict[str, set[int]] = defaultdict(set)
    for curve in curves:
        trained[curve[0]["method"]].add(curve[0]["train_samples"] or 0)
    chosen = {method: published if published in values else max(values) for method, values in trained.items()}
    return [curve for curve in curves if (curve[0]["train_samples"] or 0) == chosen[curve[0]["method"]]]


def _missing(tables: Tables, several_k: bool) -> str:
    if several_k:
        return "Every method that ran gives the same prediction at every number of group samples, so one is enough."
    if tables.sample_complexity.is_empty():
        return "Not known: no run was evaluated with several numbers of group samples k."
    return "Not known: every run was evaluated with one number of group samples k, and two or more are needed."


def _sentence(shown: Sequence[_Measured]) -> str:
    lead = min((sampler for one in shown for sampler in one.curves), key=sampler_order)
    own = [one for one in shown if lead in one.curves]
    parts = [f"{_in_words(one.curves[lead])} on {one.title}" for one in own[:_MOST_NAMED]]
    more = f" ({len(own) - _MOST_NAMED} more below)" if len(own) > _MOST_NAMED else ""
    needs = f"Group samples that {sampler_name(lead)} needs for a score within 1 % of its limit: {joined(parts)}{more}."
    falls = _falls([row for one in shown for row in one.first])
    return f"{needs} {capital(falls)}." if falls else needs


def _in_words(curves: Sequence[Curve]) -> str:
    """``50``, ``20 to 200`` or ``more than 64``, the interval, and for which methods the number is not known."""
    known = _known(curves)
    unknown = _unknown(curves)
    if not known:
        return "unknown (noise above 1 %)"
    words = [_samples(row, row["samples_needed"], "more than ") for row in known]
    interval = "" if unknown else _interval(known, "more than ")
    aside = f" (unknown for {listed(unknown, _MOST_NAMED)})" if unknown else f" ({interval})" if interval else ""
    return span([words[0], words[-1]]) + aside


def _known(curves: Sequence[Curve]) -> list[Row]:
    rows = [curve[0] for curve in curves if curve[0]["samples_needed"] is not None]
    return sorted(rows, key=lambda row: (row["samples_needed"], row["samples_most"]))


def _unknown(curves: Sequence[Curve]) -> list[str]:
    return sorted({curve[0]["method"] for curve in curves if curve[0]["samples_needed"] is None})


def _samples(row: Row, k: float, beyond: str) -> str:
    return f"{beyond}{row['samples_most']:,}" if math.isinf(k) else f"{k:,.0f}"


def _falls(rows: Sequence[Row]) -> str:
    """How variance and equivariance error fall with k, over some settings; empty if it is not known."""
    variance = _exponents(rows, "variance_slope", 1)
    error = _exponents(rows, "equivariance_slope", 1)
    parts = [f"the variance falls as {variance}"] if variance else []
    if error:
        parts.append(f"the equivariance error {'' if variance else 'falls '}as {error}")
    ideal = " and ".join((*(["k^-1"] if variance else []), *(["k^-0.5"] if error else [])))
    return f"{', '.join(parts)} (independent samples: {ideal})" if parts else ""


def _exponents(rows: Sequence[Row], name: str, places: int = 2) -> str:
    """The range of an exponent, as a power of k."""
    found = sorted(row[name] for row in rows if row[name] is not None)
    return span([f"k^{found[0]:.{places}f}", f"k^{found[-1]:.{places}f}"]) if found else ""


def _block(one: _Measured, several_protocols: bool) -> Block:
    protocol = (f"protocol {one.group.protocol}",) if several_protocols else ()
    trained = sorted({row["train_samples"] for row in one.first if row["train_samples"] is not None})
    k = (f"k = {span([str(trained[0]), str(trained[-1])])} in training",) if trained else ()
    entries = [_entry(one, sampler, curves) for sampler, curves in one.curves.items()]
    words = (f"{sampler_name(sampler)} {_in_words(curves)}" for sampler, curves in one.curves.items())
    unchanged = f"k changes nothing: {listed(list(one.unchanged), _MOST_NAMED)}." if one.unchanged else ""
    return Block(
        title=one.title,
        link=one.link,
        note=" · ".join((*protocol, *one.group.chips, *k)),
        sentence=f"On {one.title}, samples needed: {'; '.join(words)}.",
        columns=("", "samples"),
        entries=entries,
        remark=unchanged,
    )


def _entry(one: _Measured, sampler: str | None, curves: Sequence[Curve]) -> Entry:
    rows = [curve[0] for curve in curves]
    known, unknown = _known(curves), _unknown(curves)
    limits = sorted(row["limit"] for row in rows if row["limit"] is not None)
    text = span([_samples(known[0], known[0]["samples_needed"], "> "), _last(known)]) if known else "unknown"
    small = f"{len(unknown)} unknown" if known and unknown else "noise > 1 %" if unknown else _interval(known)
    metric = one.group.metric.replace("_", " ")
    falls = _exponents(rows, "variance_slope")
    about = (
        f"{metric} → {span([f'{limits[0]:.3g}', f'{limits[-1]:.3g}'])}" if limits else "",
        f"variance {falls}" if falls else "",
    )
    label = (
        f"{sampler_name(sampler)} on {one.title}: {_in_words(curves)} group samples for {metric} within 1 % of "
        "its limit, on a logarithmic axis"
    )
    scale = strip_scale(1, max(2, *(row["samples_most"] for row in one.first)), log=True)
    role = sampler_style(sampler).role
    strip = Strip(
        label=label, dots=[_dot(row, scale, role) for row in known], ticks=[scale.at(k) for k in scale.decades()]
    )
    return Entry(
        name=sampler_name(sampler),
        small="; ".join(filter(None, about)),
        style=sampler_style(sampler),
        values=[Value(text=text, small=small)],
        strip=strip,
    )


def _last(known: Sequence[Row]) -> str:
    return _samples(known[-1], known[-1]["samples_needed"], "> ")


def _interval(known: Sequence[Row], beyond: str = "> ") -> str:
    """The interval of the only method; empty if there are several, or one seed."""
    if len(known) != 1 or known[0]["samples_needed_low"] is None or known[0]["samples_needed_high"] is None:
        return ""
    low, high = (_samples(known[0], known[0][f"samples_needed_{end}"], beyond) for end in ("low", "high"))
    return f"{low} to {high}" if low != high else ""


def _dot(row: Row, scale: Scale, role: str) -> Dot:
    needed, low, high = (row[f"samples_needed{end}"] for end in ("", "_low", "_high"))
    ends = [needed if end is None else end for end in (low, high)]
    return Dot(
        x=scale.at(needed),
        left=scale.at(ends[0]),
        right=scale.at(ends[1]),
        role=role,
        is_beyond=math.isinf(needed),
    )


def _remark(shown: Sequence[_Measured]) -> str:
    rows = [row for one in shown for row in one.first]
    fewest = min(row["seeds"] for row in rows)
    most = max(row["samples_most"] for row in rows)
    said = [f"The axis is logarithmic, from k = 1 to the largest k that was measured ({plain(most)} at most)"]
    if any(row["samples_needed"] is not None and math.isinf(row["samples_needed"]) for row in rows):
        said.append("An arrow says that not even the largest k is enough")
    if any(row["samples_needed_low"] is not None for row in rows):
        said.append("Bars and small ranges: 95 % intervals over seeds")
    if fewest < LEAST_SEEDS:
        bars = ", so there are no intervals" if fewest < 2 else ""
        said.append(f"{counted(fewest, 'seed')}{bars}: no claim that samplers differ ({LEAST_SEEDS} are needed)")
    return ". ".join(said) + "."
