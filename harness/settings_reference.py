"""Every setting of a task, a method or a pair, with its default and its value under each protocol (no torch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from baselines.cards import MethodCard
from harness import registry
from harness.errors import DoesNotFit, UnknownName
from harness.utils.text import nearest
from tasks.cards import TaskCard
from tasks.protocol import Protocol
from tasks.settings import Setting, as_params, settings_of


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A setting and its values.

    Attributes:
        section: Where a suite sets it: ``task_params``, ``base``, ``sampler`` or ``settings``.
        owner: The task, base model, sampler or protocol that has it.
        setting: Its default, limit, meaning and source.
        values: Its value by protocol, after the recipes of the task; empty without a task.
    """

    section: str
    owner: str
    setting: Setting
    values: Mapping[str, Any]

    @property
    def accepted(self) -> str:
        """The values that are accepted."""
        limit = "" if self.setting.limit is None else str(self.setting.limit)
        return " or ".join(filter(None, [limit, "null" if self.setting.default is None else ""]))

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON values."""
        return {
            "section": self.section,
            "owner": self.owner,
            **vars(self.setting),
            "limit": self.accepted,
            "values": dict(self.values),
        }


def entries(name: str, task_name: str | None = None) -> list[Entry]:
    """The settings of a task, of a method, or of a method on a task.

    Args:
        name: A task or a method.
        task_name: The task that a method runs on.

    Raises:
        UnknownName: A name is not registered.
        DoesNotFit: The method does not fit the task.
    """
    if task_name is not None:
        return list(_of_pair(registry.task(task_name), registry.method(name)))
    if name in registry.tasks():
        return list(_of_task(registry.task(name)))
    name = registry.renamed_methods([name]).get(name, name)
    if registry.is_method(name):
        return list(_of_method(registry.method(name), {}))
    known = nearest(name, [*registry.tasks(), *registry.methods()])
    raise UnknownName(f"There is no task or method '{name}': {known}.")


def _of_task(card: TaskCard) -> Iterator[Entry]:
    params = registry.resolved_task(card, {})
    yield from _section("task_params", card.name, card.settings, dict.fromkeys(card.protocols, params))
    protocols = {name: as_params(protocol) for name, protocol in card.protocols.items()}
    yield from _section("settings", "protocol", Protocol, protocols)


def _of_pair(task: TaskCard, method: MethodCard) -> Iterator[Entry]:
    if reason := method.misfit(task, registry.resolved_task(task, {})):
        raise DoesNotFit(f"{method.name} does not fit {task.name}: {reason}.")
    runs = {name: registry.resolve(task.name, method.name, name, 0).to_dict() for name in task.protocols}

    def values(section: str) -> dict[str, Any]:
        return {name: run[section] for name, run in runs.items()}

    yield from _section("task_params", task.name, task.settings, values("task_params"))
    yield from _of_method(method, {section: values(section) for section in ("base", "sampler")})
    yield from _section("settings", "protocol", Protocol, values("settings"))


def _of_method(card: MethodCard, values: Mapping[str, Mapping[str, Any]]) -> Iterator[Entry]:
    yield from _section("base", card.base.name, card.base.settings, values.get("base", {}))
    if card.sampler is not None:
        yield from _section("sampler", card.sampler.name, card.sampler.settings, values.get("sampler", {}))


def _section(section: str, owner: str, kind: type, values: Mapping[str, Mapping[str, Any]]) -> Iterator[Entry]:
    for setting in settings_of(kind):
        own = {protocol: params[setting.name] for protocol, params in values.items()}
        yield Entry(section=section, owner=owner, setting=setting, values=own)
