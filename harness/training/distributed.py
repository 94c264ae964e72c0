"""Data-parallel training of one run (torch.distributed): each process computes a share of every batch.

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
    """Another process of this run is gone. No ``Exception``: it says nothing of the run, which goes on later."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process among ``size`` of them; alone by default."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def current() -> ProcessGroup:
        """That of torch's process group."""
        return ProcessGroup(dist.get_rank(), dist.get_world_size())

    @property
    def alone(self) -> bool:
        return self.size == 1

    def prepare(self, model: nn.Module) -> None:
        """Batch norms count the batches of all. Raises ``ValueError`` where a network has some that cannot."""
        for module in () if self.alone else model.modules():
            if isinstance(module, BatchNorm):
                module.total = self.total
            elif isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise ValueError(
                    f"Its {type(module).__name__} cannot be shared by several workers: set resources.workers to 1."
                )

    def check(self, examples: int, batch_size: int) -> None:
        """Raises ``ValueError`` where some batch has fewer examples than there are processes."""
        smallest = examples % batch_size or min(examples, batch_size)
        if smallest < self.size:
            raise ValueError(
                f"A batch of {smallest} examples cannot be shared by {self.size} workers: "
                "change settings.batch_size or resources.workers."
            )

    def share(self, count: int) -> slice:
        """This process's part of a batch of ``count``."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def all_gather(self, share: Tensor, count: int) -> Tensor:
        """The shares ``[b, ...]`` of all put together, ``[count, ...]``; only this process's own carries gradients."""
        if self.alone:
            return share
        largest = -(-count // self.size)
        padded = torch.cat([share.detach(), share.new_zeros(largest - len(share), *share.shape[1:])])
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        _collective(lambda: dist.all_gather(parts, padded))
        sizes = [ProcessGroup(rank, self.size).share(count) for rank in range(self.size)]
        cut = [part[: size.stop - size.start] for part, size in zip(parts, sizes, strict=True)]
        cut[self.rank] = share
        return torch.cat(cut)

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes, with its gradient."""
        return value if self.alone else _collective(lambda: all_reduce(value))

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Every gradient becomes the sum of all processes' gradients, in one message."""
        if self.alone:
            return
        taught = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in taught:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([p.grad.flatten() for p in taught if p.grad is not None])
        _collective(lambda: dist.all_reduce(flat))
        for parameter, values in zip(taught, flat.split([p.numel() for p in taught]), strict=True):
            assert parameter.grad is not None
            parameter.grad.copy_(values.view_as(parameter))

    def in_turn(self, own: Sequence[Tensor], device: torch.device) -> list[Tensor]:
        """A list of which this process made the members ``rank``, ``rank + size``, ..."""
        if self.alone:
            return list(own)
        everyones: list[Any] = [None] * self.size
        _collective(lambda: dist.all_gather_object(everyones, [part.cpu() for part in own]))
        count = sum(map(len, everyones))
        return [everyones[place % self.size][place // self.size].to(device) for place in range(count)]

    def broadcast(self, value: T) -> T:
        """What the first process says."""
        if self.alone:
            return value
        said = [value]
        _collective(lambda: dist.broadcast_object_list(said, src=0))
        return said[0]


SINGLE_PROCESS = ProcessGroup()


def _collective(action: Callable[[], T]) -> T:
    try:
        return action()
    except RuntimeError as error:  # torch has no narrower class for a connection that closed
        if is_out_of_memory(error) or is_device_failure(error):
            raise
        raise PeerLost(f"another worker of this run is gone ({str(error).partition(chr(10))[0]})") from error
