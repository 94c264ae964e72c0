"""In which mode of torch a run is computed, and that nothing of it is left behind."""

from __future__ import annotations

import os

import pytest
import torch
from torch.utils import deterministic as memory

from harness.training.device import deterministic

Mode = tuple[bool, bool, bool]


def mode() -> Mode:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        memory.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
@pytest.mark.parametrize("before", [(False, False, True), (True, True, True), (True, False, False)])
def test_a_run_has_deterministic_kernels_or_none_and_fills_no_memory(
    kind: str, before: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where torch would only warn, attention has no deterministic backward pass on an accelerator."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    outside = mode()
    try:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        monkeypatch.setattr(memory, "fill_uninitialized_memory", before[2])
        with pytest.raises(KeyError), deterministic(torch.device(kind)):
            assert mode() == (True, False, False)
            raise KeyError
        assert mode() == before
    finally:
        torch.use_deterministic_algorithms(outside[0], warn_only=outside[1])


@pytest.mark.parametrize(
    ("kind", "before", "inside"),
    [
        ("cuda", None, ":4096:8"),
        ("cuda", ":16:8", ":16:8"),
        ("cpu", None, None),
    ],
)
def test_cublas_has_the_workspaces_with_which_its_sums_repeat(
    kind: str, before: str | None, inside: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", before or "")
    if before is None:
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    with deterministic(torch.device(kind)):
        assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == inside
