"""What a table or figure says about its numbers: the test examples, the seeds and the intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from harness import registry
from harness.report.content.comparison_groups import Row
from harness.report.rendering.formats import range_text
from tasks.errors import SymbenchError

STDERR = "± is one standard error over seeds"
BANDS = "bands are one standard error over seeds, and one seed has no band"
BARS = "bars are one standard error over seeds"
BOOTSTRAP = "brackets are 95 % bootstrap intervals over seeds, and for two or three seeds the range"
T_INTERVAL = "brackets are 95 % t-intervals"


def caption(rows: Iterable[Row], *intervals: str, examples: Sequence[int] | None = None) -> str:
    """A sentence such as ``n = 2,000 test examples; 3 to 5 seeds; ± is one standard error over seeds``.

    Args:
        rows: The rows that are shown, with ``seeds``, ``task``, ``task_version`` and ``task_params``.
        intervals: What the errors and intervals are, such as :data:`STDERR`.
        examples: The numbers of examples that the rows were measured on; by default those of the test sets. An empty
            sequence says that they are not known.
    """
    rows = list(rows)
    tested = sorted(set(_tested(rows) if examples is None else examples))
    seeds = [row["seeds"] for row in rows if row["seeds"]]
    parts = (
        f"n = {range_text(tested)} test {'example' if tested == [1] else 'examples'}" if tested else "",
        f"{range_text(seeds)} {'seed' if max(seeds) == 1 else 'seeds'}" if seeds else "no seed gave a value",
        *(intervals if seeds else ()),
    )
    return "; ".join(filter(None, parts)) + "."


def examples_in_test(task: str, task_version: str, task_params: str) -> int | None:
    """The number of test examples of a task, or None if the registry does not know it (:func:`examples_in`)."""
    return examples_in("test", task, task_version, task_params)


def examples_in(part: str, task: str, task_version: str, task_params: str) -> int | None:
    """The number of examples in a part of the data of a task, or None if the registry does not know it.

    Args:
        part: ``train``, ``validation`` or ``test``.
        task: The name of the task.
        task_version: The version of the task that ran; the registry knows only the current one.
        task_params: The parameters of the task, as JSON.
    """
    card = registry.tasks().get(task)
    if card is None or card.version != task_version or card.reads_data:
        return None
    try:
        return card.examples(card.settings_from(json.loads(task_params))).get(part)
    except (SymbenchError, TypeError):
        return None


def _tested(rows: Iterable[Row]) -> Iterator[int]:
    data = {(row["task"], row["task_version"], row["task_params"]) for row in rows}
    return (found for one in data if (found := examples_in_test(*one)) is not None)
