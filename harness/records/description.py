"""The facts about a run that the registry knows, copied into its record so that tables do not need the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baselines.cards import BaseCard
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
        control=task_card.control,
        kind=method_card.kind,
        base_model=method_card.base.name,
        sampler=method_card.sampler.name if method_card.sampler else None,
        variant=task_card.variant_of(spec.task_params),
        weights=_weights(method_card.base, spec.base),
        size_name=task_card.size_name if task_card.size else None,
        size=task_card.size_of(spec.task_params),
    )


def _weights(card: BaseCard, params: Mapping[str, Any]) -> str | None:
    """What a network starts from. Parameters that its card does not have (any more) say nothing about it."""
    return card.weights(card.settings_from({name: value for name, value in params.items() if name in card.params}))
