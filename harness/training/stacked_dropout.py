"""Dropout in a stack of networks: every network draws the masks that it would draw outside the stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout


class Streams:
    """A random stream for each network, in place of torch's global generator of ``device``."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._states: list[Tensor] = []

    def seed(self, seeds: Sequence[int]) -> None:
        """Seeds the stream of each network as ``torch.manual_seed`` would."""
        self._states = [torch.Generator(self._device).manual_seed(seed).get_state() for seed in seeds]

    def draw(self, function: Callable[[], Tensor]) -> Tensor:
        """Returns ``[S, ...]``: what ``function`` draws from the global generator, for each network."""
        source, drawn = _global_generator(self._device), []
        for place, state in enumerate(self._states):
            source.set_state(state)
            drawn.append(function())
            self._states[place] = source.get_state()
        return torch.stack(drawn)


class StackedDropout(nn.Module):
    """``nn.Dropout`` that works under ``vmap`` over networks."""

    def __init__(self, probability: float, streams: Streams) -> None:
        super().__init__()
        self.probability, self.streams = probability, streams

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return values
        return values * _Mask.apply(values.detach(), self.probability, self.streams)


class _Mask(torch.autograd.Function):
    """Zeros and 1 / (1 - p) in the shape of ``values``; the masks of all networks are drawn in :meth:`vmap`."""

    @staticmethod
    def forward(values: Tensor, probability: float, streams: Streams) -> Tensor:
        raise RuntimeError("dropout in a stack needs values that differ between networks")

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
    """Makes every dropout in ``module`` draw from ``streams``, and returns ``module``."""
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
