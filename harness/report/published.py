"""The paper's numbers beside ours, and whether the two may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

FILE = Path(__file__).with_name("published.yaml")
PROTOCOL = "paper"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Published(_Strict):
    """One published result: a ``value``, or a claim in words (``text``)."""

    task: str
    method: str
    metric: str
    value: float | None = None
    text: str = ""
    task_params: dict[str, Any] = Field(default_factory=dict)
    source: str

    @model_validator(mode="after")
    def _one_of_two(self) -> Published:
        if (self.value is None) == (not self.text):
            raise ValueError("a published result has either a value or a text")
        return self

    @property
    def shown(self) -> str:
        return self.text or f"{self.value}"


class _File(_Strict):
    sources: dict[str, str]
    results: list[Published]


@cache
def _load() -> _File:
    return _File.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def results(task: str, metric: str, task_params: Mapping[str, Any]) -> dict[str, Published]:
    """What was published for a task on this input, by method."""
    return {
        found.method: found
        for found in _load().results
        if (found.task, found.metric) == (task, metric) and found.task_params.items() <= dict(task_params).items()
    }


def source(result: Published) -> str:
    return _load().sources[result.source]


def differences(protocol: str, variant: str | None, changes: Mapping[str, Any] | None) -> dict[str, str]:
    """In what a row is not what the paper ran, and how; empty where it is. ``changes`` of ``None`` are unknown."""
    reasons = {}
    if protocol != PROTOCOL:
        reasons["protocol"] = f"protocol {protocol}, not {PROTOCOL}"
    if changes is None:
        reasons["settings"] = "settings of another version, which cannot be checked"
    elif changes:
        reasons["settings"] = "settings changed from the published ones"
    if variant:
        reasons["data"] = f"{variant}, not the official set"
    return reasons
