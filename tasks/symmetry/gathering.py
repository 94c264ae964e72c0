"""Gathers whose gradients are gathers, or sums in a fixed order.

The gradient of a plain gather is a scatter. An accelerator makes a scatter deterministic by sorting all indices at
every call. The functions here sort at most once, and none of them makes the host wait for the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from tasks.symmetry.deterministic import on_cpu


def inverse_of(images: Tensor) -> Tensor:
    """The inverse ``[..., N]`` of each permutation ``images`` ``[..., N]``, int64."""
    if on_cpu(images):
        return images.scatter(-1, images, torch.arange(images.shape[-1], device=images.device).expand_as(images))
    return images.argsort(-1)  # sorts each row alone; a deterministic scatter would sort all rows as one


def counts_of(images: Tensor) -> Tensor:
    """The number ``[B, N, N]`` of permutations ``images`` ``[B, K, N]`` that map i to j, at ``[i, j]``."""
    nodes = images.shape[-1]
    if on_cpu(images):
        counts = images.new_zeros(len(images), nodes, nodes)
        return counts.scatter_add(-1, images.mT, torch.ones_like(images.mT))
    return (images[..., None] == torch.arange(nodes, device=images.device)).sum(1)


def taken(values: Tensor, places: Tensor) -> Tensor:
    """Gathers ``values`` ``[M, N, C]`` at ``places`` ``[M, S]``, which may repeat: ``[M, S, C]``."""
    return _Taken.apply(values, places)


class _Taken(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, places: Tensor) -> Tensor:
        return values.gather(1, _across(places, values))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        values, places = inputs
        ctx.rows = values.shape[1]
        ctx.save_for_backward(places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        (gradient,) = gradients
        if on_cpu(places):
            rows = gradient.new_zeros(len(gradient), ctx.rows, gradient.shape[-1])
            return rows.scatter_add(1, _across(places, gradient), gradient), None
        row = torch.arange(ctx.rows, device=places.device)
        return (row[:, None] == places[:, None]).to(gradient.dtype) @ gradient, None


def _across(places: Tensor, values: Tensor) -> Tensor:
    return places[..., None].expand(-1, -1, values.shape[-1])


def selected(values: Tensor, places: Tensor, axis: int) -> Tensor:
    """Selects the indices ``places`` ``[S]``, which may repeat, along one axis of ``values``."""
    return _Selected.apply(values, places, axis)


class _Selected(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, places: Tensor, axis: int) -> Tensor:
        return values.index_select(axis, places)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        values, places, ctx.axis = inputs
        ctx.size = values.shape[ctx.axis]
        ctx.save_for_backward(places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        gradient = gradients[0].movedim(ctx.axis, -1)
        if on_cpu(places):
            rows = gradient.new_zeros(*gradient.shape[:-1], ctx.size).index_add(-1, places, gradient)
        else:
            rows = gradient @ (places[:, None] == torch.arange(ctx.size, device=places.device)).to(gradient.dtype)
        return rows.movedim(-1, ctx.axis), None, None


def exchanged(rows: Tensor, places: Tensor, origins: Tensor) -> Tensor:
    """Moves rows to new places, where no row is used twice.

    Args:
        rows: ``[R, ...]``.
        places: The row to take for each row of the result, ``[S]``; R gives a row of zeros.
        origins: The inverse of ``places``: the index in the result of each row, ``[R]``; S if it is not used.

    Returns:
        ``[S, ...]``.
    """
    return _Exchanged.apply(rows, places, origins)


class _Exchanged(torch.autograd.Function):
    @staticmethod
    def forward(rows: Tensor, places: Tensor, origins: Tensor) -> Tensor:
        return _or_zero(rows, places)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _or_zero(gradients[0], ctx.saved_tensors[0]), None, None


def _or_zero(rows: Tensor, places: Tensor) -> Tensor:
    return torch.cat([rows, rows.new_zeros(1, *rows.shape[1:])]).index_select(0, places)


@dataclass(frozen=True)
class Grouping:
    """An assignment of E entries to R rows.

    Attributes:
        row: The row of each entry, ``[E]``.
        order: The entries sorted by row, ``[E]``.
        start: The index in ``order`` at which each row begins, ``[R]``.
    """

    row: Tensor
    order: Tensor
    start: Tensor

    @staticmethod
    def of(row: Tensor, rows: int) -> Grouping:
        """The grouping that assigns entry e to ``row[e]`` of ``rows`` rows, with ``row`` ``[E]``, int64."""
        in_order, order = row.sort(stable=True)
        return Grouping(row, order, torch.searchsorted(in_order, torch.arange(rows, device=row.device)))

    def spread(self, rows: Tensor) -> Tensor:
        """The row of each entry, ``[E, C]``, taken from ``rows`` ``[R, C]``."""
        return _Spread.apply(rows, self.row, self.order, self.start)

    def sums(self, entries: Tensor) -> Tensor:
        """The sums ``[R, C]`` of the ``entries`` ``[E, C]`` of each row, added in order of their index."""
        return _Sums.apply(entries, self.row, self.order, self.start)


def _sums(entries: Tensor, order: Tensor, start: Tensor) -> Tensor:
    """Sums one entry after another: no kernel of ``embedding_bag`` adds by atomic operations."""
    return embedding_bag(order, entries.contiguous(), start, mode="sum")


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(rows: Tensor, row: Tensor, order: Tensor, start: Tensor) -> Tensor:
        return rows.index_select(0, row)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _sums(gradients[0], *ctx.saved_tensors), None, None, None


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(entries: Tensor, row: Tensor, order: Tensor, start: Tensor) -> Tensor:
        return _sums(entries, order, start)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0].index_select(0, ctx.saved_tensors[0]), None, None, None
