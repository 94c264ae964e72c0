"""What a module takes: tensors by role, or batches of PyG; and how structures become that."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tasks.errors import SettingsError
from tasks.graph_batches import GraphBatches
from tasks.symmetry.roles import check_inputs, ranks_of, sizes_of, structure_of, tensors_of
from tasks.symmetry.structure import Structure


class ModuleInputs(typing.Protocol):
    """The arguments of a module, as structures that groups act on and back."""

    def structure(self, given: Sequence[Any]) -> Structure:
        """The structures that the arguments describe."""

    def arguments(self, x: Structure) -> Sequence[Any]:
        """The arguments that describe structures: the inverse of :meth:`structure`."""

    def padded(self, values: Any, role: str, x: Structure) -> Any:
        """The output of the module for ``arguments(x)``, in the shape that ``role`` has."""

    def returned(self, values: Tensor, role: str, given: Sequence[Any], x: Structure) -> Tensor:
        """Values ``[B, ...]`` for the structures ``x`` of arguments ``given``, in the form of the module's output."""


@dataclass(frozen=True)
class TensorInputs:
    """Tensors by role, in the order of a module's arguments.

    Attributes:
        ranks: The number of axes of each tensor, by role.
        sizes: The sizes of axes other than batch and nodes, by their name.
    """

    ranks: Mapping[str, int]
    sizes: Mapping[str, int]

    @staticmethod
    def of(inputs: Mapping[str, Tensor]) -> TensorInputs:
        """The form of these tensors. Raises :class:`SettingsError` if they do not describe structures."""
        check_inputs(inputs)
        sizes = {
            axis: size for role, values in inputs.items() for axis, size in sizes_of(values, role, "input").items()
        }
        return TensorInputs(ranks_of(inputs), {axis: size for axis, size in sizes.items() if axis not in ("B", "N")})

    def structure(self, given: Sequence[Any]) -> Structure:
        """The structures that the tensors describe. Raises :class:`SettingsError` if they are not like the example."""
        if len(given) != len(self.ranks):
            raise SettingsError(f"The module takes {', '.join(self.ranks)}, not {len(given)} arguments.")
        inputs = dict(zip(self.ranks, given, strict=True))
        x = structure_of(inputs)
        for role, values in inputs.items():
            if values.dim() != self.ranks[role]:
                raise SettingsError(f"The input '{role}' should have {self.ranks[role]} axes, not {values.dim()}.")
            for axis, size in sizes_of(values, role, "input").items():
                if self.sizes.get(axis, size) != size:
                    raise SettingsError(f"The input '{role}' should have {axis} = {self.sizes[axis]}, not {size}.")
        return x

    def arguments(self, x: Structure) -> Sequence[Any]:
        """The tensors in order."""
        return tuple(tensors_of(x, self.ranks).values())

    def padded(self, values: Any, role: str, x: Structure) -> Any:
        """The values themselves."""
        return values

    def returned(self, values: Tensor, role: str, given: Sequence[Any], x: Structure) -> Tensor:
        """The values themselves."""
        return values


@dataclass(frozen=True)
class BatchInputs:
    """One batch of PyG."""

    batches: GraphBatches

    def structure(self, given: Sequence[Any]) -> Structure:
        """The structures of the graphs. Raises :class:`SettingsError` if they are not like the example."""
        if len(given) != 1:
            raise SettingsError(f"The module takes one batch of graphs, not {len(given)} arguments.")
        return self.batches.structure(given[0])

    def arguments(self, x: Structure) -> Sequence[Any]:
        """The batch of all structures."""
        return (self.batches.batch(x),)

    def padded(self, values: Any, role: str, x: Structure) -> Any:
        """The rows of graphs, nodes or edges, padded."""
        return self.batches.padded(values, role, x)

    def returned(self, values: Tensor, role: str, given: Sequence[Any], x: Structure) -> Tensor:
        """The rows of graphs, nodes or edges that exist."""
        return self.batches.rows(values, role, given[0], x)


def inputs_like(example: Any) -> tuple[ModuleInputs, Structure]:
    """The form of a module's inputs, and the structures of this example of them.

    Args:
        example: Tensors by role in the order of the module's arguments, or a ``Batch`` or ``Data`` of PyG.

    Raises:
        SettingsError: It is neither, or does not describe structures.
    """
    if isinstance(example, Mapping):
        tensors = TensorInputs.of(example)
        return tensors, tensors.structure(tuple(example.values()))
    batches = GraphBatches.of(example)
    return BatchInputs(batches), batches.structure(example)
