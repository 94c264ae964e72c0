"""Names of methods, samplers and metrics in earlier versions, and their current names (no torch).

No other module knows an old name. A method that was renamed is still the same method, so its runs keep their identity:
a digest is computed with the first name of the method (:func:`first_name`), and records, checkpoints and bundles
of earlier versions are found under it. Everything that is shown has current names.
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
"""Current names of samplers by old name. The methods of a sampler are called ``BASE-SAMPLER``, for every base model."""
_FIRST = {new: old for old, new in SAMPLERS.items()}
_OLD_ENDING = re.compile(rf"(?<=[-*?\]])({'|'.join(SAMPLERS)})(?=$|[*?[])")
_OLD_METRIC = re.compile(r"(.+)_moved(_std)?")


def current_name(method: str) -> str:
    """The current name of a method, or the current form of a glob of methods.

    >>> current_name("mlp-learned"), current_name("*-frame"), current_name("egnn")
    ('mlp-ps', '*-fa', 'egnn')
    """
    return _OLD_ENDING.sub(lambda found: SAMPLERS[found[1]], method)


def first_name(method: str) -> str:
    """The first name of a method, with which digests are computed.

    >>> first_name("mlp-ps"), first_name("mlp-learned"), first_name("egnn")
    ('mlp-learned', 'mlp-learned', 'egnn')
    """
    base, dash, sampler = method.rpartition("-")
    return base + dash + _FIRST.get(sampler, sampler) if dash else method


def current_metric(name: str, metrics: Collection[str]) -> str:
    """The current name of the score of one of ``metrics`` on transformed inputs, or of its deviation over repeats.

    >>> current_metric("mse_moved_std", ["mse"]), current_metric("bytes_moved", ["mse"])
    ('mse_transformed_std', 'bytes_moved')
    """
    found = _OLD_METRIC.fullmatch(name)
    return f"{found[1]}_transformed{found[2] or ''}" if found and found[1] in metrics else name


def same_run(method: str, other: str) -> bool:
    """Returns True if runs that differ only in these methods have the same digest."""
    return first_name(method) == first_name(other)


def replaced(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Old names of methods in use.

    Args:
        names: Names or globs of methods.
        known: The registered methods.

    Returns:
        The current name or glob of each of ``names`` that matches no known method while its current name does.
    """

    def matches(pattern: str) -> bool:
        return pattern in known or any(fnmatchcase(name, pattern) for name in known)

    pairs = {name: new for name in names if (new := current_name(name)) != name}
    return {old: new for old, new in pairs.items() if not matches(old) and matches(new)}


def warning(names: Mapping[str, str]) -> str:
    """A warning about old names in use."""
    pairs = ", ".join(f"'{old}' is now called '{new}'" for old, new in names.items())
    return f"{pairs}: names of an earlier version, which are still accepted."


def current_card(card: TaskCard, methods: Collection[str]) -> tuple[TaskCard, dict[str, str]]:
    """Returns the card of a task with current names.

    Args:
        card: A card that may have old names in its recipes and its control. Its fields need not be valid.
        methods: The names that recipes may have: methods, base models and samplers.

    Returns:
        The card, and the current name of each old name that it had.
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
    """Returns the JSON values of a record with current names; its digest does not change.

    Args:
        values: The JSON values of a record of any version. Other values are returned unchanged.
        is_method: Returns True if a method is registered. An old name that a plug-in registers is kept.
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
