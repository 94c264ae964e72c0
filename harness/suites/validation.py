"""Checks a suite against the registry; an error names the file, the line and the closest known name (no torch)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from baselines.cards import BaseCard, SamplerCard
from harness import registry
from harness.errors import SuiteError
from harness.parameters import unfit
from harness.suites.fields import ResourceFields, Settings, matching
from harness.suites.model import Choices, Experiment, Override, Suite, point, selected
from harness.suites.source import Loc, SuiteFile
from harness.utils.text import nearest, shortened
from tasks.cards import TaskCard

PARAMS = ("task_params", "base", "sampler")
MOST_WORDS = 2_000
GRID = "a grid varies protocol, settings.NAME, task_params.NAME, base.NAME or sampler.NAME"


def suite_keys(loc: Loc) -> Iterable[str]:
    """The keys that the mapping at ``loc`` of a suite may have."""
    model: type[BaseModel]
    match loc:
        case (*_, "settings"):
            model = Settings
        case (*_, "resources"):
            model = ResourceFields
        case ("experiments", _):
            model = Experiment
        case ("overrides", _):
            model = Override
        case _:
            model = Suite
    return model.model_fields


def sentence(
    error: ValidationError, file: SuiteFile, at: Loc = (), keys: Callable[[Loc], Iterable[str]] = suite_keys
) -> str:
    """The first of pydantic's errors in the order of the file, as one sentence; ``at`` is where the checked part is.

    Missing keys come last, since the misspelt key says more.
    """
    details = min(error.errors(), key=lambda item: (item["type"] == "missing", file.line((*at, *item["loc"]))))
    return located(file.where((*at, *_place(details))), _complaint(details, keys))


def located(where: str, what: str) -> str:
    """One sentence from a place in the file and what is wrong there."""
    what = shortened(what, MOST_WORDS)
    return f"{where}: {what}" if what.endswith("?") else f"{where}: {what}."


def _place(details: ErrorDetails) -> Loc:
    """The place of an error. The message of an error of a whole mapping begins with the name of its key."""
    if details["type"] == "value_error" and isinstance(details["input"], dict):
        return (*details["loc"], str(details["ctx"]["error"]).split()[0])
    return details["loc"]


def _complaint(details: ErrorDetails, keys: Callable[[Loc], Iterable[str]]) -> str:
    loc, message = details["loc"], details["msg"]
    name = ".".join(str(part) for part in loc[-2:] if isinstance(part, str) or part is loc[-1])
    given = shortened(json.dumps(details["input"], default=str), 80)
    match details["type"]:
        case "extra_forbidden":
            return f"there is no key '{loc[-1]}' here: {nearest(str(loc[-1]), keys(loc[:-1]))}"
        case "missing":
            return f"'{loc[-1]}' is missing"
        case "too_short":
            return f"'{name}' should not be empty"
        case "model_type" | "dict_type":
            return f"'{name}' should be a mapping, not {given}"
        case "value_error":
            reason = str(details["ctx"]["error"])
            return f"'{name}' {reason}" if reason.startswith("should") else reason
        case _:
            return f"'{name}' {message.removeprefix('Input ').partition(', unable')[0]}, not {given}"


def check_names(suite: Suite, file: SuiteFile) -> None:
    """Raises :class:`SuiteError` for the first name or parameter that the registry does not know."""
    for index, experiment in enumerate(suite.experiments):
        _check_experiment(suite, experiment, file, ("experiments", index))
    for index, override in enumerate(suite.overrides):
        _check_override(override, file, ("overrides", index))


def _check_experiment(suite: Suite, experiment: Experiment, file: SuiteFile, at: Loc) -> None:
    for index, pattern in enumerate(experiment.tasks):
        check_pattern(pattern, "task", registry.tasks(), file, (*at, "tasks", index))
    for index, pattern in enumerate(experiment.methods):
        check_pattern(pattern, "method", registry.methods(), file, (*at, "methods", index))
    tasks = selected(experiment.tasks, registry.tasks())
    methods = selected(experiment.methods, registry.methods())
    named = [task for task in tasks if task in experiment.tasks]
    protocol_at: Loc = (*at, "protocol") if experiment.protocol else ("protocol",)
    check_protocol(experiment.protocol or suite.protocol, tasks, named, file, protocol_at)
    check_params(experiment, tasks, methods, file, at)
    for name, values in experiment.grid.items():
        for index, value in enumerate(values):
            chosen = check_point(name, value, file, (*at, "grid", name, index))
            check_params(chosen, tasks, methods, file, (*at, "grid", name, index))
            if chosen.protocol:
                check_protocol(chosen.protocol, tasks, named, file, (*at, "grid", name, index))


def _check_override(override: Override, file: SuiteFile, at: Loc) -> None:
    check_pattern(override.task, "task", registry.tasks(), file, (*at, "task"))
    check_pattern(override.method, "method", registry.methods(), file, (*at, "method"))
    tasks = matching(override.task, registry.tasks())
    if override.protocol:
        named = [task for task in tasks if task == override.task]
        check_protocol(override.protocol, tasks, named, file, (*at, "protocol"))
    check_params(override, tasks, matching(override.method, registry.methods()), file, at)


def check_pattern(
    pattern: str, kind: Literal["task", "method"], known: Collection[str], file: SuiteFile, at: Loc
) -> None:
    """Raises :class:`SuiteError` if the name or glob matches none of the ``known`` names."""
    if not matching(pattern, known):
        hint = registry.suggestion(pattern.replace("*", ""), kind)
        raise SuiteError(located(file.where(at), f"there is no {kind} '{pattern}': {hint}"))


def check_protocol(protocol: str, tasks: Sequence[str], named: Sequence[str], file: SuiteFile, at: Loc) -> None:
    """Raises :class:`SuiteError` unless all tasks in ``named`` and at least one of ``tasks`` have the protocol."""
    lacking = [task for task in named if protocol not in registry.task(task).protocols]
    known = list(dict.fromkeys(name for task in lacking or tasks for name in registry.task(task).protocols))
    if lacking or protocol not in known:
        owner = f"the task '{lacking[0]}' has" if lacking else "these tasks have"
        hint = nearest(protocol, known)
        raise SuiteError(located(file.where(at), f"{owner} no protocol '{protocol}': {hint}"))


def check_params(chosen: BaseModel, tasks: Sequence[str], methods: Sequence[str], file: SuiteFile, at: Loc) -> None:
    """Raises :class:`SuiteError` for the first parameter that no selected card has, or whose value none accepts."""
    method_cards = [registry.method(name) for name in methods]
    parts: dict[str, list[TaskCard | BaseCard | SamplerCard]] = {
        "task_params": [registry.task(name) for name in tasks],
        "base": [card.base for card in method_cards],
        "sampler": [card.sampler for card in method_cards if card.sampler],
    }
    for section in PARAMS:
        for name, value in getattr(chosen, section).items():
            where = file.where((*at, section, name))
            cards = [card for card in parts[section] if name in card.params]
            if not cards:
                names = list(dict.fromkeys(name for card in parts[section] for name in card.params))
                hint = nearest(name, names) if names else "they have none"
                raise SuiteError(located(where, f"none of the selected has the {section} setting '{name}': {hint}"))
            reasons = [unfit(name, value, card) for card in cards]
            if all(reasons):
                raise SuiteError(located(where, f"'{name}' {reasons[0]}, not {shortened(repr(value), 80)}"))


def check_point(name: str, value: Any, file: SuiteFile, at: Loc) -> Choices:
    """One value of an axis of a grid or space. Raises :class:`SuiteError` for an unknown field or a wrong value."""
    section, _, field = name.partition(".")
    if section not in ("protocol", "settings", *PARAMS) or (section == "protocol") == bool(field):
        raise SuiteError(located(file.where(at), f"{GRID}, not '{name}'"))
    try:
        return point(name, value)
    except ValidationError as error:
        raise SuiteError(sentence(error, file, at)) from error
