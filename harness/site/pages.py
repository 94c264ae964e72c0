"""What the pages of a site show: the sections of the report on the tables of all sources, of a task or of a method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.collate.tables import Tables
from harness.report.content.ranking import RULE
from harness.report.content.titles import card_id, method_title, task_title
from harness.report.rendering.size_limits import limit_size
from harness.report.report import report_contents
from harness.report.sections.costs import costs
from harness.report.sections.failures import MAX_TRACEBACKS, failures, omitted
from harness.report.sections.group_size_scaling import group_size_scaling
from harness.report.sections.leaderboard import leaderboard
from harness.report.sections.method_cards import method_cards
from harness.report.sections.overview import overview
from harness.report.sections.provenance import reproduction
from harness.report.sections.ranks_across_tasks import ranks_across_tasks
from harness.report.sections.sample_complexity import sample_complexity
from harness.site.history import history
from harness.site.lists import Placed, method_list, of_method_only, source_list, task_list
from harness.site.names import page_name
from harness.site.sources import Source, of_method, of_task, tables_of


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page.

    Attributes:
        path: Its file in the site.
        template: The template that draws it.
        contents: The contents of the template.
    """

    path: str
    template: str
    contents: Mapping[str, Any]


@dataclass(frozen=True)
class Site:
    """All sources of a site; pages are made from it one at a time, since each can be large."""

    sources: Sequence[Source]
    tables: Tables = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", tables_of(self.sources))

    @cached_property
    def tasks(self) -> dict[str, str]:
        """The file of the page of each task: in the order of the report."""
        return {task.name: f"tasks/{page_name(task.name)}" for task in self._leaderboard}

    @cached_property
    def methods(self) -> dict[str, str]:
        """The file of the page of each method: in the order of the report."""
        return {card.name: f"methods/{page_name(card.name)}" for card in method_cards(self.tables.runs)}

    @cached_property
    def links(self) -> dict[str, str]:
        """Where the links in cells lead: files of the site by the id that a cell names."""
        tasks = {card_id("task", name): path for name, path in self.tasks.items()}
        methods = {card_id("method", name): path for name, path in self.methods.items()}
        return tasks | methods | {card_id("source", source.name): source.file for source in self.sources}

    def pages(self) -> Iterator[Page]:
        """All pages."""
        yield self._index()
        yield from (self._task(name, path) for name, path in self.tasks.items())
        yield from (self._method(name, path) for name, path in self.methods.items())

    @cached_property
    def _leaderboard(self) -> Any:
        return leaderboard(self.tables)

    @cached_property
    def _placed(self) -> list[Placed]:
        """The tables of the leaderboard."""
        return [Placed.of_board(task.name, board) for task in self._leaderboard for board in task.boards]

    @cached_property
    def _costs(self) -> list[Placed]:
        """The tables of costs, which have the same tasks in the same order."""
        pairs = zip(self._leaderboard, costs(self.tables), strict=True)
        return [Placed.of_costs(task.name, group) for task, found in pairs for group in found.comparison_groups]

    def _index(self) -> Page:
        runs = self.tables.runs
        contents = {
            "title": "Results",
            "overview": overview(self.tables),
            "tasks": task_list(self._leaderboard, runs),
            "methods": method_list(self._placed, runs),
            "ranks_across_tasks": ranks_across_tasks(self.tables),
            "history": history(runs, repeated_only=True),
            "sources": source_list(self.sources, runs),
            "rank_rule": RULE,
        }
        return Page(path="index.html", template="site/index.html.j2", contents=limit_size(contents))

    def _task(self, name: str, path: str) -> Page:
        tables = of_task(self.tables, name)
        contents = report_contents(tables, store_name="")
        more = {"title": task_title(name), "name": name, "history": history(tables.runs)}
        return Page(path=path, template="site/task.html.j2", contents=limit_size(contents | more))

    def _method(self, name: str, path: str) -> Page:
        tables = of_method(self.tables, name)
        failed = failures(tables.runs)
        contents = {
            "title": method_title(name),
            "name": name,
            "cards": method_cards(tables.runs),
            "results": of_method_only(
                "results", "Results on each task", self._placed, name, without=("IQM, 95 %", "Paper")
            ),
            "costs": of_method_only("costs", "Cost on each task", self._costs, name, without=("Score",)),
            "sample_complexity": sample_complexity(tables),
            "group_size_scaling": group_size_scaling(tables),
            "history": history(tables.runs),
            "failures": failed[:MAX_TRACEBACKS],
            "failures_omitted": list(omitted(failed)),
            "reproduction": reproduction(tables.runs),
            "store_name": "",
            "rank_rule": RULE,
        }
        return Page(path=path, template="site/method.html.j2", contents=limit_size(contents))
