"""Numbers that a version stands for: what cards of this version compute from given chance, kept in ``pins.json``.

A number that differs means that the same settings give other numbers: raise the version of what computes it, and write
all numbers again by ``python -m tests.pins``. So does a library that draws or initialises otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

FILE = Path(__file__).with_name("pins.json")
MODULES = (
    "tests.properties.test_method_versions",
    "tests.properties.test_task_versions",
    "tests.properties.test_run_versions",
)
TOLERANCE = 1e-5  # of the size of what is compared: numbers are in double precision
Made = Mapping[str, Callable[[], Iterable[Tensor]]]


def numbers(values: Iterable[Tensor]) -> tuple[float, float]:
    """A sum in which every number has a weight of its own, and the size of them all."""
    flat = torch.cat([value.detach().double().flatten() for value in values])
    wave = torch.arange(1, len(flat) + 1, dtype=torch.float64).sin()
    return (flat * wave).sum().item(), flat.norm().item()


def assert_pinned(made: Made, name: str) -> None:
    found, known = numbers(made[name]()), json.loads(FILE.read_text())[name]
    difference = max(abs(one - other) for one, other in zip(found, known, strict=True))
    assert difference <= TOLERANCE * known[1], f"{name}: {found} in place of {known}"


def write() -> None:
    found = {name: numbers(values()) for module in MODULES for name, values in import_module(module).MADE.items()}
    FILE.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in found) + "\n}\n")


if __name__ == "__main__":
    write()
