"""The facts about a run that the registry knows, copied into its record so that tables do not need the registry."""

from __future__ import annotations

from harness.records.record import Description
from harness.registry import method, task
from harness.spec import RunSpec


def describe(spec: RunSpec) -> Description:
    """Describes a run for the tables.

    Raises:
        SymbenchError: The task or the method is not registered.
    """
    task_card, method_card = task(spec.task), method(spec.method)
    return Description(
        group=task_card.group_name(spec.task_params),
        metric=task_card.metric,
        direction=task_card.direction,
        control=task_card.control_metric,
        kind=method_card.kind,
        base_model=method_card.base.name,
        sampler=method_card.sampler.name if method_card.sampler else None,
        variant=task_card.variant_of(spec.task_params),
        weights=method_card.base.weights(method_card.base.settings_from(spec.base)),
        size_name=task_card.size_name if task_card.size else None,
        size=task_card.size_of(spec.task_params),
    )
