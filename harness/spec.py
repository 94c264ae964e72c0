"""A run's full description and its identity (no torch)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from harness.renames import first_name
from tasks.protocol import Protocol

# Settings that were added after records existed, with the value that keeps the earlier behaviour. At this value they
# are not part of the digest, so that the digests of older runs do not change.
NEUTRAL: Mapping[str, Mapping[str, Any]] = {
    "base": {"equal_layers": False},
    "sampler": {
        "dropout": None,
        "input_linear": True,
        "axis_floor": 0.0,
        "dropout_unit": "vector",
        "norm_padding": False,
    },
    "settings": {
        "monitor": "loss",
        "variance_samples": [],
        "variance_repeats": 100,
        "analysis_epochs": [],
        "compile": False,
    },
}


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One task x method x seed x protocol, with every setting resolved: it does not depend on defaults in the code.

    ``protocol`` is the name under which ``settings`` were published; it cannot change an outcome, so it is not
    part of the digest. ``base`` and ``sampler`` hold the resolved parameters of the method's two parts.
    """

    task: str
    task_version: str
    task_params: Mapping[str, Any] = field(default_factory=dict)
    method: str
    method_version: str
    base: Mapping[str, Any] = field(default_factory=dict)
    sampler: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    protocol: str
    settings: Protocol

    @cached_property
    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of everything that can change the outcome."""
        return digest_of(self.to_dict())

    @cached_property
    def setting(self) -> str:
        """The digest with seed 0, which runs that differ only in their seed share."""
        return replace(self, seed=0).digest

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)} | {"settings": vars(self.settings)}
        return json.loads(json.dumps(plain, default=dict))

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> RunSpec:
        """The inverse of :meth:`to_dict`."""
        return RunSpec(**{**values, "settings": Protocol.recorded(values["settings"])})


def without_neutral(values: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's JSON values without the later settings of :data:`NEUTRAL` that have their neutral value."""
    older = {
        part: {name: value for name, value in values[part].items() if name not in neutral or value != neutral[name]}
        for part, neutral in NEUTRAL.items()
        if part in values
    }
    return {**values, **older}


def without_seed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's JSON values without the seed."""
    return {name: value for name, value in values.items() if name != "seed"}


def digest_of(values: Mapping[str, Any]) -> str:
    """The digest of a spec's JSON values, which may lack later settings or have old names."""
    identity = {name: value for name, value in without_neutral(values).items() if name != "protocol"}
    identity["method"] = first_name(values["method"])
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The resources of one run; they are not part of its digest.

    ``chunk`` is how many group samples are processed at a time (``None``: all), ``timeout`` is in seconds. ``stack``
    is how many runs that differ only in their seed may be trained at once; together they use the resources of one run.
    ``workers`` processes train a run together, each with ``cpus``, ``gpus`` and ``memory`` of its own. ``keep_weights``
    keeps the weights that are scored in a file of the store.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int | None = None
    chunk: int | None = None
    timeout: float | None = None
    stack: int = 1
    workers: int = 1
    keep_weights: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run in a launch: what to run, for which suite, with which resources."""

    spec: RunSpec
    suite: str
    resources: Resources = Resources()
