"""Which errors are a device that is out of memory, and how evaluation goes on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.out_of_memory import Chunks, free_accelerator, is_out_of_memory
from tasks.symmetry.noise import Noise


class ErrorOfAPlugin(RuntimeError):
    """A kind of its own, which says nothing of the device."""


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        torch.AcceleratorError("CUDA error: out of memory", 2),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
        RuntimeError("NCCL error: unhandled cuda error. Last error: Cuda failure 2 'out of memory'"),
    ],
)
def test_is_out_of_memory(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        ValueError("out of memory"),
        ErrorOfAPlugin("the queue is out of memory"),
    ],
)
def test_is_another_error(error: Exception) -> None:
    assert not is_out_of_memory(error)


def evaluated(chunks: Chunks, room: int, count: int, chunk: int | None) -> tuple[Tensor, list[int]]:
    """The samples that were computed, where there is room for some at a time, and how many were tried."""
    tried = []

    def compute(noise: Noise) -> Tensor:
        tried.append(noise[0].shape[1])
        if tried[-1] > room:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        return noise[0]

    return torch.cat(chunks.results((torch.arange(count)[None],), count, chunk, compute), 1)[0], tried


@pytest.mark.parametrize(
    ("room", "chunk", "sizes", "most"),
    [
        (10, None, [10], None),
        (10, 4, [4, 4, 2], None),
        (4, None, [10, 5, 2, 2, 2, 2, 2], 2),
        (3, 5, [5, 2, 2, 2, 2, 2], 2),
        (1, 3, [3, *[1] * 10], 1),
        (1, None, [10, 5, 2, *[1] * 10], 1),
    ],
)
def test_takes_every_sample_once_in_the_largest_half_that_fits(
    room: int, chunk: int | None, sizes: list[int], most: int | None
) -> None:
    chunks = Chunks()
    found, tried = evaluated(chunks, room, 10, chunk)
    assert found.tolist() == list(range(10))
    assert tried == sizes and chunks.most == most
    _, again = evaluated(chunks, room, 10, chunk)
    assert max(again) <= room  # what was too much is remembered


def test_goes_on_behind_what_is_computed() -> None:
    """Memory may be short later: what is done is not done again."""
    tried = []

    def compute(noise: Noise) -> Tensor:
        tried.append(noise[0][0].tolist())
        if len(tried) == 2:
            raise torch.OutOfMemoryError("out of memory")
        return noise[0]

    Chunks().results((torch.arange(6)[None],), 6, 3, compute)
    assert tried == [[0, 1, 2], [3, 4, 5], [3], [4], [5]]


def test_another_error_is_raised_at_once() -> None:
    def fails(noise: Noise) -> Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        Chunks().results((torch.zeros(1, 8),), 8, None, fails)


def test_what_torch_keeps_is_given_back_before_it_goes_on_and_only_where_there_is_a_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[object] = []

    def compute(noise: Noise) -> Tensor:
        happened.append(noise[0].shape[1])
        if noise[0].shape[1] > 2:
            raise torch.OutOfMemoryError("out of memory")
        return noise[0]

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: happened.append("emptied"))
    for there, expected in ((True, [4, "emptied", 2, 2]), (False, [4, 2, 2])):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda there=there: there)
        happened.clear()
        Chunks().results((torch.arange(4)[None],), 4, None, compute)
        assert happened == expected


def test_a_device_that_failed_gives_nothing_back_and_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700)

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", fail)
    free_accelerator()
    found, _ = evaluated(Chunks(), 2, 4, None)
    assert found.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("asked", [4, None])
def test_a_run_says_only_what_was_too_much(asked: int | None) -> None:
    chunks = Chunks()
    assert chunks.notes(asked) == ()
    evaluated(chunks, 2, 4, asked)
    assert chunks.notes(asked) == (f"out of memory in evaluation: chunk 2 instead of {asked or 'all samples'}",)
