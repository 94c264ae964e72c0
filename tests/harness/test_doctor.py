"""What is missing from an installation."""

from __future__ import annotations

import pytest

from harness import doctor


def test_a_package_that_is_missing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
    found = {finding.name: finding for finding in doctor._versions()}
    assert found["torch"].status == "ok"
    assert found["no-such-package"].status == "problem" and "pip install" in found["no-such-package"].advice
