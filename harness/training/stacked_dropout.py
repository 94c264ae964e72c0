"""Dropout in a stack of networks: every network draws its own masks, those that it would draw alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout


class Streams:
    """A stream of chance for each network, in the place of torch's global generator of ``device``."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._states: list[Tensor] = []

    def seed(self, seeds: Sequence[int]) -> None:
        """As ``torch.manual_seed`` would do for each network alone."""
        self._states = [torch.Generator(self._device).manual_seed(seed).get_state() for seed in seeds]

    def draw(self, function: Callable[[], Tensor]) -> Tensor:
        """``[S, ...]``: what ``function`` draws from the global generator, for each network in turn."""
        source, drawn = _global_generator(self._device), []
        for place, state in enumerate(self._states):
            source.set_state(state)
            drawn.append(function())
            self._states[place] = source.get_state()
        return torch.stack(drawn)


class StackedDropout(nn.Module):
    """``nn.Dropout`` under ``vmap`` over networks."""

    def __init__(self, probability: float, streams: Streams) -> None:
        super().__init__()
        self.probability, self.streams = probability, streams

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return values
        return values * _Mask.apply(values.detach(), self.probability, self.streams)


class _Mask(torch.autograd.Function):
    """Zeros and 1 / (1 - p) in the shape of ``values``, drawn for all networks where vmap hands over their batch."""

    @staticmethod
    def forward(values: Tensor, probability: float, streams: Streams) -> Tensor:
        raise RuntimeError("dropout in a stack acts on what differs between networks")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        return None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], values: Tensor, probability: float, streams: Streams
    ) -> tuple[Tensor, int]:
        ones = torch.ones_like(values.select(in_dims[0], 0))  # type: ignore[arg-type]
        return streams.draw(lambda: dropout(ones, probability)), 0


def with_streams(module: nn.Module, streams: Streams) -> nn.Module:
    """``module`` with every dropout in it drawing from ``streams``."""
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, StackedDropout(child.p, streams))
        else:
            with_streams(child, streams)
    return module


def _global_generator(device: torch.device) -> torch.Generator:
    if device.type == "cpu":
        return torch.default_generator
    index = torch.cuda.current_device() if device.index is None else device.index
    return torch.cuda.default_generators[index]
