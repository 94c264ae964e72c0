"""Makes a task of PyG data with one call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from torch import Tensor

from tasks.cards import Input, TaskCard
from tasks.catalogue.shared import SHORT_TRAINING, STANDARD_TRAINING
from tasks.errors import SettingsError
from tasks.protocol import Protocol
from tasks.pyg.data import Chosen, OwnData
from tasks.pyg.scores import LOSSES, SCORES, Direction, Kind, Score
from tasks.pyg.splits import FRACTIONS
from tasks.pyg.targets import LEVELS, Level
from tasks.pyg.task import OwnTask
from tasks.symmetry.names import NODE_GROUPS, clash, factors_in, is_group, nodes_first

PROTOCOLS: Mapping[str, Protocol] = {
    "standard": replace(STANDARD_TRAINING, epochs=200, batch_size=32, test_samples=10, test_repeats=5),
    "quick": replace(SHORT_TRAINING, epochs=10, batch_size=32, train_size=1_000, validate_every=2),
}
GEOMETRIC = ("node_points", "node_vectors")


def from_pyg(
    dataset: Any,
    *,
    name: str,
    target: str | Callable[[Any], Any] = "y",
    group: str | Sequence[str] = "S_n",
    metric: str | tuple[str, Direction, Callable[[Tensor, Tensor], float]] = "mae",
    splits: Mapping[str, Any] = FRACTIONS,
    kind: Kind | None = None,
    output: Level | None = None,
    inputs: Collection[Input] | None = None,
    vectors: str | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    standardize: bool = False,
    protocols: Mapping[str, Protocol] = PROTOCOLS,
) -> TaskCard:
    """Makes a task of graphs in the form of PyG: ``x``, ``pos``, and edges with the scalars 1 and ``edge_attr``.

    Numbers are taken as they are; without ``x`` and ``pos`` nodes have the scalar 1. The data are read once in a
    process, when first needed. A digest of them is part of a run's identity. Change other fields of the card, such as
    ``title`` and ``source``, with ``dataclasses.replace``, and its ``version`` when functions given here change.

    Args:
        dataset: A list of ``Data``, a PyG ``Dataset``, or a function without arguments that returns one.
        name: The name of the task.
        target: The attribute that is predicted, or a function of a graph that returns it: ``[]``, ``[C]`` or ``[1, C]``
            for a graph, ``[nodes]`` or ``[nodes, C]`` for nodes, ``[nodes, D]`` for points.
        group: The symmetry, for example ``"S_n x O(3)"``.
        metric: ``mae``, ``mse`` or ``rmse``; ``accuracy``; ``roc_auc`` or ``average_precision``. Or a name, ``"min"``
            or ``"max"``, and a function of predictions and targets ``[R, ...]`` of all graphs, or nodes with a target.
        splits: For each of train, validation and test a fraction, a list of indices or a data set, which is then given
            here and not as ``dataset`` (None). Fractions and the seed ``split_seed`` are settings of the task.
        kind: ``regression``, ``classes`` (0, 1, ...; -1 if unknown) or ``labels`` (0 or 1 in each column; NaN if
            unknown), if the metric does not say it.
        output: What is predicted if shapes do not say it; ``node_vectors`` are predicted as points ``pos`` + target.
        inputs: The inputs of models; by default all that the first graph has. With ``inputs`` and ``output`` the data
            are not read to make the card.
        vectors: The attribute with vectors of nodes ``[nodes, D]``, for example velocities.
        loss: A function like that of ``metric``, with classes as int64 ``[R]``; the default goes with the metric.
        standardize: Whether models predict targets with the training split's mean and deviation removed.
        protocols: The protocols by name.

    Raises:
        SettingsError: An argument is not accepted.
        DataError: The data cannot be used; some errors are raised when a run needs the data.
    """
    kind, score = _score(metric, kind)
    chosen = Chosen(name, target, _factors(group), kind, score, loss, standardize, vectors)
    data = OwnData(dataset, chosen, splits, _known_inputs(inputs), output)
    _check(data, output)
    return _card(data, protocols)


def _card(data: OwnData, protocols: Mapping[str, Protocol]) -> TaskCard:
    name, score = data.chosen.name, data.chosen.score
    return TaskCard(
        name=name,
        group=data.chosen.group,
        inputs=data.inputs,
        output="node_points" if data.level == "node_vectors" else data.level,
        metric=score.name,
        direction=score.direction,
        implementation=lambda settings: OwnTask(data, settings),
        settings=data.settings,
        protocols=protocols,
        max_nodes=lambda settings: data.structures.size,
        examples=lambda settings: {split: len(part) for split, part in data.indices(settings).items()},
        check=data.check,
        resolve=lambda settings: replace(settings, data=settings.data or data.digest),
        reads_data=True,
    )


def _factors(group: str | Sequence[str]) -> tuple[str, ...]:
    """The factors of a group in the order that tasks use."""
    names = factors_in(group)
    for factor in names:
        if not is_group(factor):
            raise SettingsError(f"There is no group {factor!r}: write for example 'S_n' or 'S_n x O(3)'.")
    if not names or (reason := clash(names)):
        raise SettingsError(f"The group {group!r} does not work: {reason if names else 'name at least one factor'}.")
    return tuple(nodes_first(names))


def _score(metric: Any, kind: Kind | None) -> tuple[Kind, Score]:
    if kind not in (None, *get_args(Kind)):
        raise SettingsError(f"There is no kind {kind!r} of targets: write {', '.join(get_args(Kind))}.")
    if isinstance(metric, str):
        found = next((one for one in SCORES if one[0] == metric and kind in (None, one[1])), None)
        if found is None:
            names = ", ".join(dict.fromkeys(name for name, one in SCORES if kind in (None, one)))
            raise SettingsError(f"There is no metric {metric!r} of {kind or 'any kind'}: write {names}, or your own.")
        return found[1], SCORES[found]
    if not (isinstance(metric, tuple) and len(metric) == 3 and metric[1] in ("min", "max") and callable(metric[2])):
        raise SettingsError("A metric of your own is a tuple of its name, 'min' or 'max', and a function.")
    kind = kind or "regression"
    measured = metric[2]
    return kind, Score(metric[0], metric[1], lambda found, wanted: float(measured(found, wanted)), LOSSES[kind])


def _known_inputs(inputs: Collection[Input] | None) -> frozenset[Input] | None:
    if inputs is None:
        return None
    if not inputs or not set(inputs) <= set(get_args(Input)) or isinstance(inputs, str):
        raise SettingsError(f"The inputs {inputs!r} should be some of {', '.join(get_args(Input))}.")
    return frozenset(inputs)


def _check(data: OwnData, output: Level | None) -> None:
    """Raises :class:`SettingsError` for arguments that do not go together."""
    chosen = data.chosen
    if output not in (None, *LEVELS):
        raise SettingsError(f"There is no output {output!r}: write {', '.join(LEVELS)}.")
    if "vectors" in data.inputs and chosen.vectors is None:
        raise SettingsError("Name the attribute that has the input vectors with the argument vectors.")
    space = [factor for factor in chosen.group if factor not in NODE_GROUPS]
    if space and not data.inputs & {"points", "vectors"}:
        raise SettingsError(f"{space[0]} acts on points and vectors, and '{chosen.name}' has none: give graphs a pos.")
    if data.level in GEOMETRIC and "points" not in data.inputs:
        raise SettingsError(f"The output {data.level} needs points: give graphs a pos.")
    if chosen.kind != "regression" and (data.level in GEOMETRIC or chosen.standardize):
        raise SettingsError(
            f"The targets of '{chosen.name}' are {chosen.kind}: only numbers are points or standardized."
        )
    if chosen.standardize and data.level in GEOMETRIC:
        raise SettingsError("Points and vectors cannot be standardized, which would break their symmetry.")
