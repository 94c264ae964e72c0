"""Checks that a plug-in's task fits its card, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.registry import plugins_of, task
from harness.spec import RunSpec
from harness.utils.text import nearest
from tasks.cards import stricter


def check_metric_names(spec: RunSpec, names: Callable[[], Iterable[str]]) -> None:
    """Checks that the task of ``spec`` returns its metric and its control metric, if it is a plug-in's.

    Args:
        spec: The run.
        names: Returns the names of the metrics that the task returns; none if they are not known before the run.

    Raises:
        ValueError: The card names a metric that is not among them.
    """
    card = task(spec.task)
    if not any(plugin.card is card for plugin in plugins_of([spec])) or not (known := list(names())):
        return
    for kind, name in (("metric", card.metric), ("control", card.control_metric)):
        if name is not None and name not in known and not (kind == "control" and name in stricter(card.metric)):
            hint = nearest(name, known)
            raise ValueError(f"the {kind} of the task {card.name} is '{name}', which the task does not return: {hint}")
