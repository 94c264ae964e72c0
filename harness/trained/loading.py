"""Loads the trained model of a run from a store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch

from harness import registry
from harness.errors import PluginError, SettingsError, StoreError, UnknownName
from harness.plugins.plugin import Card
from harness.records.layout import record_folders
from harness.records.opening import existing_store
from harness.records.plugin_code import others_of
from harness.records.record import Record
from harness.records.store import Store
from harness.records.weights import NO_WEIGHTS
from harness.spec import Resources, RunSpec
from harness.trained.model import EVALUATE, TrainedModel
from harness.training.context import RunContext
from harness.training.execute import problem_of
from harness.training.from_spec import initialised
from harness.utils.text import first_line
from tasks.task import SupervisedTask

DIGEST = re.compile(r"[0-9a-f]{1,16}")
MOST_NAMED = 5


def load(
    digest: str,
    store: str | Path = "results/store",
    *,
    device: str = "cpu",
    cards: Sequence[Card] = (),
    other_code: bool = False,
) -> TrainedModel:
    """Loads the trained model of a run that kept its weights (``resources.keep_weights: true``).

    Args:
        digest: The digest of the run, as in tables, or its first digits if no other run of the store has them.
        store: The store: a folder or an address such as ``s3://bucket/folder``.
        device: ``cpu`` or ``cuda``.
        cards: The cards of the run that are not registered, as they were given to :func:`symbench.evaluate`.
        other_code: Loads the weights even if the task, the method or the plug-in has changed since the run.

    Raises:
        UnknownName: The store has no such run, or several.
        StoreError: The run failed or has no weights, the file was changed, or the store cannot be read.
        PluginError: The task, the method or the plug-in has changed since the run.

    Example:
        >>> import tempfile
        >>> import symbench
        >>> small = {"epochs": 1, "batch_size": 8, "curve_size": 4}
        >>> data = {"train": 16, "validation": 8, "test": 8}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = symbench.evaluate(
        ...         "egnn", "nbody", seeds=1, settings=small, task_params=data, store=folder, keep_weights=True
        ...     )
        ...     trained = symbench.load(found.records[0].digest[:8], folder)
        >>> trained.predict(trained.problem.data("test").inputs).shape
        torch.Size([8, 5, 3, 1])
        >>> trained.score()["mse"] == trained.record.metrics["mse"]
        True
    """
    opened = existing_store(store)
    if opened is None:
        raise StoreError(f"There is no store at {store}.")
    record = _record(opened, digest)
    if record.weights is None:
        raise StoreError(_without_weights(record))
    path = opened.bring_weights(record.weights)
    weights = record.weights.load(path)
    with registry.temporarily(*cards, origin=EVALUATE):
        _check_registered(record.spec)
        if not other_code:
            _check_code(record)
        chunk = record.provenance.get("resources", {}).get("chunk")
        context = RunContext.of(record.spec, Resources(gpus=gpus_of(device), chunk=chunk))
        problem = cast(SupervisedTask, problem_of(record.spec))
        module = initialised(record.spec, problem).to(context.device, context.dtype).eval()
        card = registry.task(record.spec.task)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = first_line(error)
        raise StoreError(f"The weights {path} do not fit the model of today's code: {reason}") from error
    return TrainedModel(module=module, record=record, task=card, problem=problem, context=context, cards=cards)


def gpus_of(device: str) -> float:
    """The resource ``gpus`` of a run on ``cpu`` or ``cuda``.

    Raises:
        SettingsError: It is neither, or torch sees no GPU.
    """
    if device not in ("cpu", "cuda"):
        raise SettingsError(f"There is no device '{device}': take cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("torch sees no GPU: install a CUDA build, or take device='cpu'.")
    return float(device == "cuda")


def _record(store: Store, digest: str) -> Record:
    """The record of a succeeded run whose digest begins with ``digest``."""
    if not DIGEST.fullmatch(digest):
        raise UnknownName(f"'{digest}' is no digest of a run, which has 16 digits of 0-9 and a-f.")
    found = [digest] if store.read(digest) else [one for one in store.statuses() if one.startswith(digest)]
    if len(found) > 1:
        named = ", ".join(sorted(found)[:MOST_NAMED])
        raise UnknownName(f"The digests of {len(found)} runs begin with '{digest}' ({named}): give more digits.")
    record = store.read(found[0]) if found else None
    if record is None:
        raise UnknownName(_not_here(store, digest))
    if record.failure is not None:
        raise StoreError(f"Run {record.digest} failed ({record.failure.sentence}), so it has no trained model.")
    return record


def _not_here(store: Store, digest: str) -> str:
    store.refresh()
    for folder in record_folders(store.root)[1:]:
        if any(folder.glob(f"{digest}*.json")):
            return (
                f"Run {digest} was imported with the bundle {folder.parent.name}, and bundles have no weights: "
                "train it here, or load it from the store where it was trained."
            )
    return f"There is no run {digest} in the store {store.address}: 'symbench collate' writes a table of all runs."


def _without_weights(record: Record) -> str:
    if note := next((note for note in record.notes if note.startswith(NO_WEIGHTS)), None):
        return f"Run {record.digest} has no weights{note.removeprefix(NO_WEIGHTS)}"
    again = f"'symbench run {record.suite} --set resources.keep_weights=true --store NEW'"
    if record.suite == EVALUATE:
        again = "symbench.evaluate with keep_weights=True and a new store"
    return f"Run {record.digest} did not keep its weights: {again} trains it again and keeps them."


def _check_registered(spec: RunSpec) -> None:
    """Raises :class:`UnknownName` if the task or the method of a run is not registered."""
    missing = [f"task '{spec.task}'"] * (spec.task not in registry.tasks())
    missing += [f"method '{spec.method}'"] * (not registry.is_method(spec.method))
    if missing:
        raise UnknownName(
            f"The {' and the '.join(missing)} of run {spec.digest} cannot be found here: install the plug-in, add "
            "its file with symbench.add_plugin, or give the cards with cards=[...]."
        )


def _check_code(record: Record) -> None:
    """Raises :class:`PluginError` if the cards or the plug-ins of today are not those of the run."""
    spec, then = record.spec, record.provenance.get("symbench_version")
    remedy = f"install what it was trained with (symbench {then}), or load it with other_code=True"
    for kind, name, recorded, today in _versions(spec):
        if recorded != today:
            raise PluginError(
                f"Run {record.digest} was trained with version {recorded} of the {kind} {name}, which has version "
                f"{today} now: {remedy}."
            )
    if names := others_of(spec, record.provenance):
        raise PluginError(f"Run {record.digest} was trained with other code of the plug-in {names[0]}: {remedy}.")


def _versions(spec: RunSpec) -> list[tuple[str, str, str, str]]:
    return [
        ("task", spec.task, spec.task_version, registry.task(spec.task).version),
        ("method", spec.method, spec.method_version, registry.method(spec.method).version),
    ]
