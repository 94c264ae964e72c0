"""Stores behind an address, as in the tests of records."""

from tests.harness.records.conftest import nearby

__all__ = ["nearby"]
