"""The card of the first screen that names the best methods of each task, by the ranking of the leaderboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.collate import Tables
from harness.collate.significance import LEAST_SEEDS
from harness.report.content.answer_cards import Answer, Block, Entry, Value, capital, joined, short_titles
from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.control_metrics import scores_by_seed
from harness.report.content.ranked_rows import RankedRows, ranked_rows
from harness.report.content.settings import Changes, changed_settings, setting_label, shared_changes
from harness.report.content.titles import arrow
from harness.report.rendering.figures import needs_log_axis
from harness.report.rendering.formats import counted, estimate, listed
from harness.report.rendering.small_figures import Dot, Scale, Strip, strip_scale
from harness.report.rendering.styles import method_style

MAX_DOTS = 40
_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class _Ranking:
    """The main comparison group of one protocol, ranked, with the name of each row.

    Attributes:
        title: The short title of the task.
        link: The id of the task in the leaderboard.
        group: The comparison group.
        ranked: Its rows, best first.
        names: The name of each row, with its settings if its method has several rows.
    """

    title: str
    link: str
    group: ComparisonGroup
    ranked: RankedRows
    names: Sequence[str]

    @property
    def best(self) -> list[int]:
        """The rows with the best score among those that have a rank."""
        placed = self.ranked.placed
        return [index for index in placed if self.ranked.values[index] == self.ranked.values[placed[0]]]

    @property
    def tied(self) -> list[int]:
        """The other rows that do not differ significantly from the best."""
        return [index for index, mark in enumerate(self.ranked.marks) if mark == "tied"]

    @property
    def is_clear(self) -> bool:
        """Whether one row is significantly better than all others."""
        return self.ranked.standings.tested and len(self.best) == 1 and not self.tied


def best_methods(tables: Tables) -> Answer:
    """The best methods of each task, in the main comparison group of each of its protocols."""
    found = _rankings(tables)
    scored = [one for one in found if one.ranked.placed]
    several = len({one.group.protocol for one in found}) > 1
    rows = 6 if len(found) == 1 else 3 if len(found) == 2 else 1
    return Answer(
        id="answer-best",
        question="Which method is best?",
        sentence=_sentence(found),
        blocks=[_block(one, several, rows, says_claim=len(found) > 1 and not _all_untested(found)) for one in found],
        open=4,
        remark=_remark(scored, several) if scored else "",
        link="leaderboard",
        link_text="Leaderboard",
    )


def _rankings(tables: Tables) -> list[_Ranking]:
    changes, scores = changed_settings(tables.runs), scores_by_seed(tables.runs)
    titles = short_titles(tables.accuracy["task"].unique(maintain_order=True))
    found = []
    for number, (task, rows) in enumerate(by_task(tables.accuracy).items(), start=1):
        for group in comparison_groups(rows):
            if group.is_main:
                ranked = ranked_rows(group, scores)
                names = _names(ranked.rows, changes)
                found.append(
                    _Ranking(title=titles[task], link=f"task-{number}", group=group, ranked=ranked, names=names)
                )
    return found


def _names(rows: Sequence[Row], changes: Changes) -> list[str]:
    common = shared_changes(rows, changes)
    count = Counter(row["method"] for row in rows)

    def name(row: Row) -> str:
        parts = (row["weights"], row["source"] and f"run by {row['source']}", setting_label(row, changes, common))
        label = "; ".join(filter(None, parts))
        return f"{row['method']} ({label})" if label and count[row["method"]] > 1 else str(row["method"])

    return [name(row) for row in rows]


def _sentence(found: Sequence[_Ranking]) -> str:
    if not found:
        return "No run has a record yet, so no method can be named."
    if len(found) == 1:
        return _answer(found[0])
    scored = [one for one in found if one.ranked.placed]
    if not scored:
        return "No run of any task gave a score, so no method can be named."
    clear = sum(one.is_clear for one in scored)
    untested = sum(not one.ranked.standings.tested for one in scored)
    where = "task" if len({one.group.protocol for one in found}) == 1 else "task and protocol"
    if _all_untested(found):
        each = f"No {where} has enough seeds to claim a best method: {_seeds(scored)} ({LEAST_SEEDS} are needed)."
        return f"{each} These methods have the best means."
    parts = [f"One method is significantly better than all others on {clear} of {len(found)} {where.split()[0]}s"]
    if shared := len(scored) - clear - untested:
        parts.append(f"the best do not differ significantly on {shared}")
    if untested:
        parts.append(f"too few seeds for a claim on {untested} ({LEAST_SEEDS} are needed)")
    return "; ".join(parts) + "."


def _all_untested(found: Sequence[_Ranking]) -> bool:
    """Whether there are several rankings, all with too few seeds for a claim: the card then says so only once."""
    return len(found) > 1 and not any(one.ranked.standings.tested for one in found)


def _seeds(rankings: Sequence[_Ranking]) -> str:
    """The numbers of seeds of all ranked rows: ``2 seeds`` or ``2 to 4 seeds``."""
    counts = sorted({one.ranked.seeds[index] for one in rankings for index in one.ranked.placed})
    most = counted(counts[-1], "seed")
    return most if len(counts) == 1 else f"{counts[0]} to {most}"


def _answer(one: _Ranking) -> str:
    """What the ranking says, in words."""
    if not one.ranked.placed:
        return f"On {one.title} no method has a score: {_why_none(one)}."
    names = [one.names[index] for index in one.best]
    verb = "has" if len(names) == 1 else "share"
    extreme = "lowest" if one.group.direction == "min" else "highest"
    metric = one.group.metric.replace("_", " ")
    score = one.ranked.scores[one.best[0]]
    claim = _claim(one)
    mean = "mean " if not one.ranked.standings.tested and len(one.ranked.placed) > 1 else ""
    only = " and" if len(one.ranked.placed) == 1 else ";"
    return (
        f"On {one.title}, {listed(names, _MOST_NAMED)} {verb} the {extreme} {mean}{metric}, "
        f"{estimate(score.mean, score.stderr)} ({_seeds_of_best(one)}){only} {claim}."
    )


def _seeds_of_best(one: _Ranking) -> str:
    return counted(min(one.ranked.seeds[index] for index in one.best), "seed")


def _why_none(one: _Ranking) -> str:
    failed = all(row["failed"] for row in one.ranked.rows)
    return "every run failed" if failed else "no run gave a value that can be ranked"


def _claim(one: _Ranking) -> str:
    """What may be claimed about the difference between the best and the others."""
    ranked = one.ranked
    others = len(ranked.placed) - len(one.best)
    if len(ranked.placed) == 1:
        return "is the only one with a score"
    if not ranked.standings.tested:
        enough = sum(ranked.seeds[index] >= LEAST_SEEDS for index in ranked.placed)
        how = f"only {counted(enough, 'row')} with enough seeds" if enough else _seeds([one])
        return f"no claim: {how} ({LEAST_SEEDS} are needed)"
    if one.tied:
        names = [one.names[index] for index in one.tied]
        verb = "does" if len(names) == 1 else "do"
        claim = f"{listed(names, _MOST_NAMED)} {verb} not differ significantly"
    elif len(one.best) > 1:
        claim = "they have the same score"
    else:
        claim = f"significantly better than {'the other one' if others == 1 else f'each of the {others} others'}"
    better = [
        one.names[index]
        for index, value in enumerate(ranked.values)
        if index not in ranked.placed and value > ranked.values[one.best[0]]
    ]
    return f"{claim}; not ranked, since it has too few seeds: {listed(better, _MOST_NAMED)}" if better else claim


def _block(one: _Ranking, several_protocols: bool, most: int, *, says_claim: bool) -> Block:
    protocol = (f"protocol {one.group.protocol}",) if several_protocols else ()
    note = " · ".join((*protocol, *one.group.chips))
    if not one.ranked.placed:
        why = f"{capital(_why_none(one))}."
        return Block(title=one.title, link=one.link, note=note, sentence=_answer(one), remark=why)
    shown = one.ranked.placed[:most]
    claim = _claim(one) if len(one.ranked.placed) > 1 else "the only method with a score"
    equal = [one.names[index] for index in one.best[most:]]
    same = f"Equal: {listed(equal, _MOST_NAMED)}. " if equal else ""
    return Block(
        title=one.title,
        link=one.link,
        note=note,
        sentence=_answer(one),
        columns=("", f"{one.group.metric.replace('_', ' ')} {arrow(one.group.direction)}"),
        entries=[_entry(one, index) for index in shown],
        remark=f"{same}{capital(claim)}." if says_claim else same,
    )


def _entry(one: _Ranking, index: int) -> Entry:
    score, row = one.ranked.scores[index], one.ranked.rows[index]
    others = [other for other in one.ranked.placed[:MAX_DOTS] if other != index]
    place = one.ranked.placed.index(index) + 1
    what = (
        f"{one.names[index]} on {one.title}: {estimate(score.mean, score.stderr)}, number {place} of "
        f"{len(one.ranked.placed)} by its mean"
    )
    scale = _scale(one)
    return Entry(
        name=row["method"],
        small=one.names[index].removeprefix(row["method"]).strip(" ()"),
        style=method_style(row["sampler"], row["base_model"]),
        is_code=True,
        values=[
            Value(
                text=estimate(score.mean, score.stderr),
                small="≈ best" if index in one.tied else "",
                is_best=index in one.best,
            )
        ],
        strip=Strip(label=what, dots=[_dot(one, other, scale, other == index) for other in (*others, index)]),
    )


def _scale(one: _Ranking) -> Scale:
    """From the worst to the best score, with the best at the right."""
    means = [mean for index in one.ranked.placed[:MAX_DOTS] if (mean := one.ranked.scores[index].mean) is not None]
    return strip_scale(min(means), max(means), log=needs_log_axis(means), falling=one.group.direction == "min")


def _dot(one: _Ranking, index: int, scale: Scale, is_main: bool) -> Dot:
    score, row = one.ranked.scores[index], one.ranked.rows[index]
    mean, error = score.mean or 0.0, score.stderr or 0.0
    ends = sorted(scale.at(value) for value in (mean - error, mean + error))
    role = method_style(row["sampler"], row["base_model"]).role
    return Dot(x=scale.at(mean), left=ends[0], right=ends[1], role=role, is_main=is_main)


def _remark(scored: Sequence[_Ranking], several_protocols: bool) -> str:
    said = ["Each dot is a method, and the best is at the right"]
    if any(score.stderr for one in scored for score in one.ranked.scores):
        said[0] += "; ± and bars are one standard error over seeds"
    if any(score.stricter for one in scored for score in one.ranked.scores):
        said.append("Where a method has two scores, the worse one ranks it and is shown")
    if not several_protocols:
        said.append(f"Protocol {joined(sorted({one.group.protocol for one in scored}))}")
    return ". ".join(said) + "."
