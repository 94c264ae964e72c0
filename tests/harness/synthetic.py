"""Records that look like real ones, written as a launch writes them, without training anything."""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import registry
from harness.records.record import Description, Failure, Record
from harness.spec import RunSpec
from harness.training.results import CurvePoint, VariancePoint
from tasks.cards import TaskCard, stricter

TASK_PARAMS: Mapping[str, Mapping[str, Any]] = {
    "graph8c": {},
    "exp_classify": {"data": "generated", "generator_seed": 0},
    "nbody": {"nodes": 5},
}
OTHER_PARAMS: Mapping[str, Mapping[str, Any]] = {
    "teacher_space_invariant": {"nodes": 7},
    "teacher_space_equivariant": {"nodes": 7},
    "brec": {},
    "peptides_func": {},
    "pcqm_contact": {},
}
SAMPLERS = ("none", "ga", "fa", "canonical", "ps")
PARAMETERS: Mapping[str, int] = {
    "mlp": 1_180_000,
    "gin_id": 31_245,
    "gnn": 92_103,
    "transformer": 208_387,
    "gin": 26_700,
    "egnn": 134_020,
}
TRACEBACK = (
    'Traceback (most recent call last):\n  File "loop.py", line 7, in step\n    loss.backward()\nRuntimeError: {}'
)


def make_record(
    task: str = "nbody",
    method: str = "egnn",
    protocol: str = "quick",
    seed: int = 0,
    *,
    value: float | None = 0.5,
    control: float | None = None,
    variance: float = 1.0,
    samples: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64),
    error: str | None = None,
    suite: str = "quick",
    output_variance: tuple[VariancePoint, ...] = (),
    cost: Mapping[str, float] | None = None,
    notes: tuple[str, ...] = (),
    provenance: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """A record of a registered pair; ``changes`` are what :func:`harness.registry.resolve` takes.

    ``control`` is by default that of a method which is sound: ``value`` again where that is in its unit, else 0.
    """
    card, method_card = registry.task(task), registry.method(method)
    changes = {**changes, "task_params": {**(TASK_PARAMS | OTHER_PARAMS)[task], **changes.get("task_params", {})}}
    spec = registry.resolve(task, method, protocol, seed, **changes)
    sampler = method_card.sampler.name if method_card.sampler else None
    size = card.size_of(spec.task_params)
    described = Description(
        group=card.group_name(spec.task_params),
        metric=card.metric,
        direction=card.direction,
        kind=method_card.kind,
        base_model=method_card.base.name,
        sampler=sampler,
        control=card.control,
        variant=card.variant_of(spec.task_params),
        size_name=card.size_name if card.size else None,
        size=size,
    )
    sampled = sampler in ("ga", "fa", "ps")
    curve = () if value is None or error else tuple(
        CurvePoint(
            samples=k,
            value=value * (1 + (1 if card.direction == "min" else -1) * 0.4 / k) if sampled else value,
            value_error=1e-3 * abs(value),
            variance=variance / k if sampled else 0.0,
        )
        for k in samples
    )  # fmt: skip
    n = size or 8
    pace = 1 + zlib.crc32(method.encode()) % 7
    costs = {
        "parameters": 208_387, "train_seconds": 12.5, "train_examples_per_second": 800.0,
        "flops_per_example": 3e5 * pace * n**2, "seconds_per_example": 2e-5 * pace * n**2,
        "peak_memory_bytes": 1e5 * pace * n**2,
    }  # fmt: skip
    return Record(
        spec=spec,
        suite=suite,
        status="failed" if error else "succeeded",
        description=described,
        started=f"2026-03-02T10:{seed % 60:02d}:00+00:00",
        finished=f"2026-03-02T10:{seed % 60:02d}:42+00:00",
        metrics={} if error else {**_scores(card, value, control), "loss": 0.3},
        curve=curve,
        output_variance=output_variance,
        cost={} if error else {**costs, **(cost or {})},
        notes=notes,
        provenance=provenance if provenance is not None else default_provenance(),
        failure=Failure(sentence=error, traceback=TRACEBACK.format(error)) if error else None,
    )


def _scores(card: TaskCard, value: float | None, control: float | None) -> dict[str, float]:
    score = math.nan if value is None else value
    sound = score if card.control in stricter(card.metric) else 0.0
    return {card.metric: score, str(card.control): sound if control is None else control}


def default_provenance() -> dict[str, Any]:
    return {
        "symbench_version": "0.1.0",
        "git_commit": "4f2a9c1d7e8b6a5f4e3d2c1b0a9f8e7d6c5b4a39",
        "git_dirty": False,
        "python": "3.11.7",
        "packages": {"torch": "2.13.0+cpu", "ray": "2.60.0", "mlflow": "3.17.2", "polars": "2.1.0", "numpy": "2.4.6"},
        "device": "Intel Xeon, 2 cores",
        "device_type": "cpu",
        "host": "laptop",
        "cpus": 2,
        "threads": 1,
        "wall_seconds": 42.0,
        "peak_rss_bytes": 900_000_000,
        "command": "symbench run ray_configs/quick.yaml",
    }


def renamed(record: Record, **names: str | None) -> Record:
    """The record under another task or method name, or with another description (of a package not installed here)."""
    spec_names = {name: value for name, value in names.items() if name in ("task", "method", "protocol")}
    described = {name: value for name, value in names.items() if name not in spec_names}
    spec = RunSpec.from_dict({**record.spec.to_dict(), **spec_names})
    return replace(record, spec=spec, description=replace(record.description, **described))


def write(root: Path, *records: Record) -> list[Path]:
    """The records' files, as a store names them."""
    folder = root / "records"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for record in records:
        ending = ".json" if record.status == "succeeded" else ".failed.json"
        path = folder / f"{record.digest}{ending}"
        path.write_text(json.dumps(record.to_dict()))
        paths.append(path)
    return paths


def demo_records(seeds: int = 2) -> list[Record]:
    """Three tasks, every method that fits over six networks, sizes 4..32 for n-body, several kinds of failure."""
    chance = random.Random(0)
    records: list[Record] = []
    quality = {
        "none": 2.2,
        "ga": 1.6,
        "fa": 1.1,
        "mfa": 1.2,
        "canonical": 1.3,
        "ps": 0.8,
        None: 0.7,
    }
    scale = {"graph8c": 9000.0, "nbody": 0.03, "exp_classify": 0.0}

    def value(task: str, sampler: str | None) -> float:
        noise = chance.gauss(0, 0.05)
        if task == "exp_classify":
            return min(1.0, max(0.45, 1.15 - 0.3 * quality[sampler] + noise))
        exact = scale[task] * max(0.0, quality[sampler] - (0.7 if task == "graph8c" else 0.0) + noise)
        return round(exact) if task == "graph8c" else exact

    for task, params in TASK_PARAMS.items():
        for name, card in registry.methods().items():
            if card.base.name not in PARAMETERS or card.misfit(registry.task(task), params):
                continue
            sampler = card.sampler.name if card.sampler else None
            for seed in range(seeds):
                error = None
                if task == "exp_classify" and name == "gin_id-fa" and seed == 1:
                    error = "The loss is not finite after 3 epochs: lower the learning rate."
                if task == "nbody" and name == "transformer-canonical":
                    error = "The worker was killed (out of memory): grant the run more memory or a smaller chunk."
                found = value(task, sampler)
                unsound = {"graph8c": 11_000.0, "exp_classify": 0.5, "nbody": 1.3 * found}
                records.append(
                    make_record(
                        task, name, "quick", seed, value=found, variance=chance.uniform(0.5, 2) * 0.1,
                        control=unsound[task] if sampler == "none" else None,
                        error=error, cost={"parameters": PARAMETERS[card.base.name]},
                        notes=("The official EXP file was not found: generated by the published recipe.",)
                        if task == "exp_classify" else (),
                    )
                )  # fmt: skip
    for nodes in (4, 8, 16, 32):
        for name in ("transformer-ps", "transformer-ga", "gnn-fa", "egnn"):
            sampler = registry.method(name).sampler
            for seed in range(seeds):
                found = value("nbody", sampler.name if sampler else None) * (1 + nodes / 16)
                records.append(
                    make_record(
                        "nbody", name, "quick", seed, value=found, task_params={"nodes": nodes}, samples=(1, 4, 16)
                    )
                )
    return records
