"""Names of earlier versions: what methods, samplers and metrics were called, and what they are called now (no torch).

No other module knows an old name. A method that was renamed is still the same method, so its runs keep their identity:
a digest is computed with the name that the method had first (:func:`first_name`), and records, checkpoints and bundles
of earlier versions are found under it. Everything that is shown has the names of today.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from tasks.cards import Recipe, TaskCard

SAMPLERS: Mapping[str, str] = {
    "identity": "none",
    "haar": "ga",
    "frame": "fa",
    "minimal_frame": "mfa",
    "learned": "ps",
}
"""Old names of samplers and today's. The methods of a sampler are called ``BASE-SAMPLER``, for every base model."""
_FIRST = {new: old for old, new in SAMPLERS.items()}
_OLD_ENDING = re.compile(rf"(?<=[-*?\]])({'|'.join(SAMPLERS)})(?=$|[*?[])")
_OLD_METRIC = re.compile(r"(.+)_moved(_std)?")


def current_name(method: str) -> str:
    """Today's name of a method, or today's glob for one of methods.

    >>> current_name("mlp-learned"), current_name("*-frame"), current_name("egnn")
    ('mlp-ps', '*-fa', 'egnn')
    """
    return _OLD_ENDING.sub(lambda found: SAMPLERS[found[1]], method)


def first_name(method: str) -> str:
    """The name that identities are computed with: the first one that a method had.

    >>> first_name("mlp-ps"), first_name("mlp-learned"), first_name("egnn")
    ('mlp-learned', 'mlp-learned', 'egnn')
    """
    base, dash, sampler = method.rpartition("-")
    return base + dash + _FIRST.get(sampler, sampler) if dash else method


def current_metric(name: str, metrics: Collection[str]) -> str:
    """Today's name of the score of one of ``metrics`` on transformed inputs, or of its deviation over repeats.

    >>> current_metric("mse_moved_std", ["mse"]), current_metric("bytes_moved", ["mse"])
    ('mse_transformed_std', 'bytes_moved')
    """
    found = _OLD_METRIC.fullmatch(name)
    return f"{found[1]}_transformed{found[2] or ''}" if found and found[1] in metrics else name


def same_run(method: str, other: str) -> bool:
    """Whether runs of two methods that differ by nothing else have one digest."""
    return first_name(method) == first_name(other)


def replaced(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Old names of methods in use.

    Args:
        names: Names or globs of methods.
        known: The methods there are.

    Returns:
        Today's name or glob for each of ``names`` that matches no known method, but does under today's name.
    """

    def matches(pattern: str) -> bool:
        return pattern in known or any(fnmatchcase(name, pattern) for name in known)

    pairs = {name: new for name in names if (new := current_name(name)) != name}
    return {old: new for old, new in pairs.items() if not matches(old) and matches(new)}


def warning(names: Mapping[str, str]) -> str:
    """One sentence about old names in use."""
    pairs = ", ".join(f"'{old}' is now called '{new}'" for old, new in names.items())
    return f"{pairs}: names of an earlier version, which are still read."


def current_card(card: TaskCard, methods: Collection[str]) -> tuple[TaskCard, dict[str, str]]:
    """The card of a task under today's names.

    Args:
        card: A card that may have old names in its recipes and its control. Its fields need not be valid.
        methods: The names that recipes may mean: methods, base models and samplers.

    Returns:
        The card, and today's name for each old one that it had.
    """
    found: dict[str, str] = {}

    def current(recipe: Any) -> Any:
        old = recipe.method if isinstance(recipe, Recipe) else None
        if not isinstance(old, str) or old in methods:
            return recipe
        new = SAMPLERS.get(old, current_name(old))
        if new not in methods:
            return recipe
        found[old] = new
        return replace(recipe, method=new)

    recipes = tuple(map(current, card.recipes)) if isinstance(card.recipes, tuple | list) else card.recipes
    control = current_metric(card.control, [card.metric]) if isinstance(card.control, str) else card.control
    if card.control != control:
        found[str(card.control)] = str(control)
    return (replace(card, recipes=recipes, control=control), found) if found else (card, found)


def current_record(values: Mapping[str, Any], is_method: Callable[[str], bool]) -> Mapping[str, Any]:
    """The JSON values of a record under today's names; its digest stays the same.

    Args:
        values: Those of a record of any version. Anything else is returned as it is.
        is_method: Whether a method of that name is registered. An old name that is belongs to a plug-in, and is kept.
    """
    spec, description, metrics = (values.get(name) for name in ("spec", "description", "metrics"))
    if not (isinstance(spec, Mapping) and isinstance(description, Mapping) and isinstance(metrics, Mapping)):
        return values
    metrics = {current_metric(name, metrics): value for name, value in metrics.items()}
    metric, control = description.get("metric"), description.get("control")
    if isinstance(control, str):
        description = {**description, "control": current_metric(control, [str(metric)])}
    method, sampler = spec.get("method"), description.get("sampler")
    if isinstance(method, str) and isinstance(sampler, str) and sampler in SAMPLERS and not is_method(method):
        spec = {**spec, "method": current_name(method)}
        description = {**description, "sampler": SAMPLERS[sampler]}
    return {**values, "spec": spec, "description": description, "metrics": metrics}
