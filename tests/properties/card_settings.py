"""The settings of all cards and protocols, each with a task and a method that have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, make_dataclass
from typing import Any

from baselines.cards import BaseCard, SamplerCard
from harness import registry
from tasks.cards import TaskCard
from tasks.limits import Limit
from tasks.protocol import LIMITS, Protocol


@dataclass(frozen=True)
class Place:
    """A setting, and a pair that has it."""

    task: str
    method: str
    section: str
    name: str
    default: Any
    limit: Limit | None

    def __str__(self) -> str:
        return f"{self.task}-{self.method}-{self.section}.{self.name}"


def fitting_pair(card: TaskCard | BaseCard | SamplerCard) -> tuple[str, str]:
    for task in registry.tasks().values():
        for method in registry.methods().values():
            if card in (task, method.base, method.sampler) and method.misfit(task, task.params) is None:
                return task.name, method.name
    raise AssertionError(card.name)


def places() -> Iterator[Place]:
    cards: dict[str, tuple[str, TaskCard | BaseCard | SamplerCard]] = {}
    for task in registry.tasks().values():
        cards[f"task {task.name}"] = "task_params", task
    for method in registry.methods().values():
        cards[f"base {method.base.name}"] = "base", method.base
        if method.sampler:
            cards[f"sampler {method.sampler.name}"] = "sampler", method.sampler
    for section, card in cards.values():
        pair = fitting_pair(card)
        for name, default in card.params.items():
            yield Place(*pair, section, name, default, card.limits.get(name))
    for item in fields(Protocol):
        yield Place("nbody", "mlp-ga", "settings", item.name, item.default, LIMITS.get(item.name))


PLACES = list(places())


def settings_without_limits(**defaults: Any) -> type:
    names = [(name, Any, default) for name, default in defaults.items()]
    return make_dataclass("Settings", names, frozen=True, kw_only=True)
