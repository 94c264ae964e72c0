"""Checks a search against the registry (no torch)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from harness import registry
from harness.errors import SuiteError, SymbenchError
from harness.search.model import Search
from harness.suites.source import Loc, SuiteFile
from harness.suites.validation import check_params, check_pattern, check_point, check_protocol, located
from harness.utils.text import nearest

ALGORITHMS = ("tpe", "random")
SCHEDULERS = ("asha", "none")
VARIED = ("settings", "base", "sampler")
UNSEEN = ("test_", "curve_")
"""Prefixes of settings of the test set, which a search never uses."""

ALONE = ("stack", "workers")


def check(search: Search, file: SuiteFile) -> None:
    """Raises :class:`SuiteError` for the first name, value or pair that is wrong."""
    check_pattern(search.task, "task", registry.tasks(), file, ("task",))
    check_pattern(search.method, "method", registry.methods(), file, ("method",))
    registry.method(search.method)
    card, pair = registry.task(search.task), ([search.task], [search.method])
    check_protocol(search.protocol, [card.name], [card.name], file, ("protocol",))
    check_params(search, *pair, file, ())
    _check_name(search.algorithm, "algorithm", ALGORITHMS, file)
    _check_name(search.scheduler, "scheduler", SCHEDULERS, file)
    _check_name(search.scored, "metric", (card.metric, "loss"), file)
    for name, dimension in search.space.items():
        _check_key(name, file)
        for value in dimension.probes:
            at = ("space", name)
            check_params(check_point(name, value, file, at), *pair, file, at)
    for name in search.space:  # a trial needs valid values of all dimensions
        _check_trials(search, name, file)
    _check_budget(search, file)
    _check_default(search, file)
    registry.check_implementations([search.example.spec])
    registry.check_extras([search.example.spec])
    for name in ALONE:
        if search.resources.get(name, 1) != 1:
            what = f"'{name}' should be 1: each trial is trained alone, in one process"
            raise SuiteError(located(file.where(("resources", name)), what))


def _check_trials(search: Search, name: str, file: SuiteFile) -> None:
    """Raises :class:`SuiteError` if two values of a dimension give the same run."""
    by_digest: dict[str, Any] = {}
    for value in search.space[name].probes:
        try:
            digest = search.trial({**search.probe, name: value}).spec.digest
        except SymbenchError as error:
            raise SuiteError(f"{file.where(('space', name))}: {error}") from error
        if digest in by_digest:
            same = " and ".join(json.dumps(one) for one in (by_digest[digest], value))
            raise SuiteError(located(file.where(("space", name)), f"{same} are the same run: name one of them"))
        by_digest[digest] = value


def _check_name(name: str, key: str, known: Iterable[str], file: SuiteFile) -> None:
    if name not in known:
        kind = "validation metric" if key == "metric" else key
        raise SuiteError(located(file.where((key,)), f"there is no {kind} '{name}': {nearest(name, known)}"))


def _check_key(name: str, file: SuiteFile) -> None:
    at: Loc = ("space", name)
    section, _, setting = name.partition(".")
    if section not in VARIED or not setting:
        what = f"a search varies settings.NAME, base.NAME or sampler.NAME, not '{name}'"
        raise SuiteError(located(file.where(at), what))
    if section == "settings" and setting.startswith(UNSEEN):
        what = f"'{name}' only changes the test, and a search uses the validation set"
        raise SuiteError(located(file.where(at), what))


def _check_default(search: Search, file: SuiteFile) -> None:
    """Raises :class:`SuiteError` if the best cannot be compared with the default."""
    try:
        if search.compare:
            search.trial({})
    except SymbenchError as error:
        what = f"the default cannot be run: {str(error).rstrip('.')}: give it other settings outside of 'space', or set"
        raise SuiteError(located(file.where(("compare",)), f"{what} compare: 0")) from error


def _check_budget(search: Search, file: SuiteFile) -> None:
    epochs = search.example.spec.settings.epochs
    if epochs == 0:
        what = f"'{search.task}' is not trained under '{search.protocol}', so there is nothing to search"
        raise SuiteError(located(file.where(("task",)), what))
    if search.scheduler != "none" and search.grace > epochs:
        raise SuiteError(located(file.where(("grace",)), f"'grace' should be at most {epochs}, the epochs of a trial"))
    if search.trials > search.points.size:
        what = f"'trials' should be at most {search.points.size}, the points of the space"
        raise SuiteError(located(file.where(("trials",)), what))
