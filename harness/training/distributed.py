"""Data-parallel training of one run (torch.distributed): each process computes a shard of every batch.

Noise is drawn for the whole batch and split, predictions are gathered before the loss, gradients are summed. The
numbers are those of one process on the whole batch for any loss, to float tolerance. Only dropout differs: each process
draws its own masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from baselines.layers.batch_norm import BatchNorm
from baselines.out_of_memory import is_out_of_memory
from harness.training.device_errors import is_device_failure

T = TypeVar("T")


class PeerLost(BaseException):
    """Another process of this run has ended. Not an ``Exception``, since the run has not failed: it is restarted."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process among the ``size`` processes of a run; a single one by default."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def current() -> ProcessGroup:
        """Returns torch's default process group."""
        return ProcessGroup(dist.get_rank(), dist.get_world_size())

    @property
    def single(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def prepare(self, model: nn.Module) -> None:
        """Makes the batch norms of ``model`` use the statistics of the whole batch.

        Raises:
            ValueError: A batch norm is of a class that cannot.
        """
        for module in () if self.single else model.modules():
            if isinstance(module, BatchNorm):
                module.total = self.all_reduce
            elif isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise ValueError(
                    f"Its {type(module).__name__} cannot be shared by several workers: set resources.workers to 1."
                )

    def check(self, examples: int, batch_size: int) -> None:
        """Raises ``ValueError`` if a batch has fewer examples than there are processes."""
        smallest = examples % batch_size or min(examples, batch_size)
        if smallest < self.size:
            raise ValueError(
                f"A batch of {smallest} examples cannot be shared by {self.size} workers: "
                "change settings.batch_size or resources.workers."
            )

    def shard(self, count: int) -> slice:
        """Returns this process's part of a batch of ``count`` examples."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def all_gather(self, shard: Tensor, count: int) -> Tensor:
        """Returns the shards ``[b, ...]`` of all processes as ``[count, ...]``; only the own one has a gradient."""
        if self.single:
            return shard
        largest = -(-count // self.size)
        padded = torch.cat([shard.detach(), shard.new_zeros(largest - len(shard), *shard.shape[1:])])
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        _collective(lambda: dist.all_gather(parts, padded))
        slices = [ProcessGroup(rank, self.size).shard(count) for rank in range(self.size)]
        shards = [part[: own.stop - own.start] for part, own in zip(parts, slices, strict=True)]
        shards[self.rank] = shard
        return torch.cat(shards)

    def all_reduce(self, value: Tensor) -> Tensor:
        """Returns the sum over all processes, with its gradient."""
        return value if self.single else _collective(lambda: all_reduce(value))

    def all_reduce_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replaces every gradient by the sum over all processes, in one message."""
        if self.single:
            return
        trainable = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in trainable:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([p.grad.flatten() for p in trainable if p.grad is not None])
        _collective(lambda: dist.all_reduce(flat))
        for parameter, values in zip(trainable, flat.split([p.numel() for p in trainable]), strict=True):
            assert parameter.grad is not None
            parameter.grad.copy_(values.view_as(parameter))

    def gather_batches(self, own: Sequence[Tensor], device: torch.device) -> list[Tensor]:
        """Returns all batches in order, of which this process computed those numbered rank, rank + size, ..."""
        if self.single:
            return list(own)
        batches: list[Any] = [None] * self.size
        _collective(lambda: dist.all_gather_object(batches, [batch.cpu() for batch in own]))
        count = sum(map(len, batches))
        return [batches[index % self.size][index // self.size].to(device) for index in range(count)]

    def broadcast(self, value: T) -> T:
        """Returns the ``value`` of the first process."""
        if self.single:
            return value
        values = [value]
        _collective(lambda: dist.broadcast_object_list(values, src=0))
        return values[0]


SINGLE_PROCESS = ProcessGroup()


def _collective(action: Callable[[], T]) -> T:
    try:
        return action()
    except RuntimeError as error:  # torch has no narrower class for a connection that closed
        if is_out_of_memory(error) or is_device_failure(error):
            raise
        raise PeerLost(f"another worker of this run is gone ({str(error).partition(chr(10))[0]})") from error
