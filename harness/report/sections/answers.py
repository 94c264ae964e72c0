"""The first screen of the report: three cards, each the answer to one question, computed from the tables."""

from __future__ import annotations

from harness.collate import Tables
from harness.report.content.answer_cards import Answer
from harness.report.content.best_methods import best_methods
from harness.report.content.growth_with_size import growth_with_size
from harness.report.content.samples_needed import samples_needed


def answers(tables: Tables) -> list[Answer]:
    """The best method of each task, the group samples that are needed, and the growth of cost and variance."""
    return [best_methods(tables), samples_needed(tables), growth_with_size(tables)]
