"""The table ``scaling``: what it takes from the curves, and the exponents of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from harness.records.record import Record
from tests.harness.collate.pooling import collated
from tests.harness.synthetic import make_record

COLUMNS = ("equivariance", "equivariance_stderr", "equivariance_tested", "equivariance_tested_stderr")


def erring(n: int, seed: int, errors: Mapping[int, float], **changes: Any) -> Record:
    """A record of n nodes whose curve has these equivariance errors by k."""
    record = make_record(method="gnn-ga", seed=seed, task_params={"nodes": n}, samples=tuple(errors), **changes)
    curve = tuple(replace(point, equivariance=errors[point.samples]) for point in record.curve)
    return replace(record, curve=curve)


def test_errors_are_those_of_one_sample_and_of_as_many_as_the_test_had() -> None:
    records = [
        erring(n, seed, {1: n * (1.0 + 2 * seed), 4: n * (1.0 + 2 * seed) / 2, 16: 9.0}, settings={"test_samples": 4})
        for n in (4, 8)
        for seed in (0, 1)
    ]
    found = collated(*records).scaling
    assert found["test_samples"].to_list() == [4, 4]
    assert found.select(COLUMNS).rows() == [pytest.approx((2 * n, n, n, n / 2)) for n in (4, 8)]


def test_a_number_of_samples_that_the_curve_lacks_has_no_error() -> None:
    """Neither that of one sample, nor that of the test."""
    records = [erring(n, 0, {2: 0.5, 8: 0.25}, settings={"test_samples": 4}) for n in (4, 8)]
    found = collated(*records).scaling
    assert found.select(COLUMNS).rows() == [(None,) * 4] * 2
    assert found["samples_most"].to_list() == [8, 8]


def test_the_variance_of_a_series_has_one_exponent_on_all_devices() -> None:
    """It is that of n to the power 3/2, over sizes that ran on two devices, of which one ran twice."""
    of: Mapping[str, Any] = {"method": "gnn-ga", "samples": (1, 4)}
    records = [
        make_record(**of, task_params={"nodes": n}, variance=n**1.5, provenance={"device": device}, seed=seed)
        for n, device, seed in ((4, "a", 0), (8, "a", 0), (8, "b", 1), (16, "b", 0), (32, "b", 0))
    ]
    found = collated(*records).scaling
    assert found.select("size", "device").height == 5
    for end in ("", "_low", "_high"):
        assert found[f"variance_exponent{end}"].to_list() == pytest.approx([1.5] * 5)


def test_exact_methods_have_no_exponent_of_their_variance() -> None:
    found = collated(*(make_record(method="egnn", task_params={"nodes": n}) for n in (4, 8, 16))).scaling
    assert found["variance"].to_list() == [0.0] * 3
    assert found.select(pl.col("^variance_exponent.*$")).rows() == [(None,) * 3] * 3
