"""Tensors by the role that they have in a structure, which says how a group acts on them.

====================  =============  ==============================================================================
role                  shape
====================  =============  ==============================================================================
``node_features``     [B, N, C]      numbers of nodes, which only permutations move
``positions``         [B, N, D, P]   P points of each node in R^D, which translations move
``vectors``           [B, N, D, V]   V directions at each node, which translations leave unchanged
``adjacency``         [B, N, N]      weights of edges, zero if there is no edge
``edge_features``     [B, N, N, E]   numbers of edges, zero if there is no edge
``mask``              [B, N]         inputs only: true for nodes that exist, which come before those that do not
``graph_features``    [B, C]         outputs only: numbers that no group changes
====================  =============  ==============================================================================

The last axis (C, P, V or E) may be left out if it would have size 1: positions are usually ``[B, N, D]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tasks.errors import SettingsError
from tasks.symmetry.element import Element
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure


@dataclass(frozen=True)
class Role:
    """What a tensor is in a structure.

    Attributes:
        axes: The names of the axes without that of the channels.
        channels: The name of the last axis, which may be left out; None if there is none.
        representation: How groups act on the tensor; None for a mask.
    """

    axes: tuple[str, ...]
    channels: str | None
    representation: Representation | None

    @property
    def shapes(self) -> tuple[tuple[str, ...], ...]:
        """The axes of the tensors that can have this role, those of whole ones first."""
        return ((*self.axes, self.channels), self.axes) if self.channels else (self.axes,)


ROLES: Mapping[str, Role] = {
    "node_features": Role(("B", "N"), "C", Representation.NODE_SCALARS),
    "positions": Role(("B", "N", "D"), "P", Representation.NODE_POINTS),
    "vectors": Role(("B", "N", "D"), "V", Representation.NODE_VECTORS),
    "adjacency": Role(("B", "N", "N"), None, Representation.EDGE_SCALARS),
    "edge_features": Role(("B", "N", "N"), "E", Representation.EDGE_SCALARS),
    "mask": Role(("B", "N"), None, None),
    "graph_features": Role(("B",), "C", Representation.GRAPH_SCALARS),
}
INPUTS = tuple(role for role in ROLES if role != "graph_features")
OUTPUTS = tuple(role for role in ROLES if role != "mask")


def structure_of(inputs: Mapping[str, Tensor]) -> Structure:
    """The structures that these tensors describe. Without ``mask`` all nodes exist.

    Values of absent nodes and their edges become zero. The adjacency is the first channel of edge scalars.

    Args:
        inputs: Tensors by role, of one floating point dtype (``mask``: bool), on one device.

    Returns:
        B structures with keys 0 to B - 1.

    Raises:
        SettingsError: A role is unknown, or shapes, dtypes or devices do not go together.

    Example:
        >>> x = structure_of({"positions": torch.ones(2, 5, 3), "adjacency": torch.ones(2, 5, 5)})
        >>> x.points.shape, x.edge_scalars.shape
        (torch.Size([2, 5, 3, 1]), torch.Size([2, 5, 5, 1]))
        >>> {role: values.shape for role, values in tensors_of(x, {"positions": 3}).items()}
        {'positions': torch.Size([2, 5, 3])}
    """
    check_inputs(inputs)
    first = next(iter(inputs.values()))
    mask = inputs.get("mask", torch.ones(first.shape[:2], dtype=torch.bool, device=first.device))
    whole = {
        role: values if values.dim() > len(ROLES[role].axes) else values[..., None]
        for role, values in inputs.items()
        if role != "mask"
    }
    edges = [whole[role] for role in ("adjacency", "edge_features") if role in whole]
    x = Structure.build(
        mask,
        node_scalars=whole.get("node_features"),
        points=whole.get("positions"),
        vectors=whole.get("vectors"),
        edge_scalars=torch.cat(edges, -1) if edges else None,
    )
    return without_absent(x) if "mask" in inputs else x


def ranks_of(inputs: Mapping[str, Tensor]) -> dict[str, int]:
    """The number of axes of each tensor by role: what :func:`tensors_of` needs to return tensors like these."""
    return {role: values.dim() for role, values in inputs.items()}


def tensors_of(x: Structure, ranks: Mapping[str, int]) -> dict[str, Tensor]:
    """The tensors by role that structures consist of: the inverse of :func:`structure_of`.

    Args:
        x: B structures.
        ranks: By role, the number of axes of each tensor to return, from :func:`ranks_of`. If it has ``adjacency``, the
            first channel of edge scalars is the adjacency.
    """
    weights = int("adjacency" in ranks)
    whole = {
        "node_features": x.node_scalars,
        "positions": x.points,
        "vectors": x.vectors,
        "adjacency": x.edge_scalars[..., :weights],
        "edge_features": x.edge_scalars[..., weights:],
        "mask": x.mask,
    }
    return {role: whole[role].squeeze(-1) if whole[role].dim() > rank else whole[role] for role, rank in ranks.items()}


def checked_output(values: Tensor, role: str, x: Structure) -> Tensor:
    """The output of a function for structures, with zeros for absent nodes and pairs.

    Args:
        values: The output, of a shape that ``role`` has.
        role: One of :data:`OUTPUTS`.
        x: The B structures that the output is for.

    Raises:
        SettingsError: The role is unknown, or the shape is not that of such an output for ``x``.
    """
    check_role(role, OUTPUTS, "output")
    if not isinstance(values, Tensor):
        raise SettingsError(f"The output '{role}' should be one tensor, not {type(values).__name__}.")
    sizes = sizes_of(values, role, "output")
    wanted = {"B": len(x), "N": x.nodes, "D": x.points.shape[2]}
    if wrong := next((axis for axis in sizes if wanted.get(axis, sizes[axis]) != sizes[axis]), None):
        raise SettingsError(
            f"The output '{role}' has {wrong} = {sizes[wrong]}, and its inputs have {wrong} = {wanted[wrong]}."
        )
    return present(values, role, x)


def acted_output(values: Tensor, role: str, element: Element) -> Tensor:
    """The action rho_out(g) on outputs of a role.

    Args:
        values: Outputs ``[B, K or 1, ...]``, with the further axes that tensors of ``role`` have after B.
        role: One of :data:`OUTPUTS`.
        element: K group elements for each of B structures.

    Returns:
        ``[B, K, ...]``. Translations move the positions of absent nodes too: see :func:`present`.
    """
    representation = ROLES[role].representation
    assert representation is not None
    if values.dim() - 1 > len(ROLES[role].axes):
        return element.act(values, representation)
    return element.act(values[..., None], representation).squeeze(-1)


def present(values: Tensor, role: str, x: Structure) -> Tensor:
    """Sets what absent nodes and pairs have in an output ``values`` to zero."""
    representation = ROLES[role].representation
    if representation is Representation.GRAPH_SCALARS:
        return values
    return _kept(values, x.pair_mask if representation is Representation.EDGE_SCALARS else x.mask)


def check_role(role: str, known: tuple[str, ...], what: str) -> None:
    """Raises :class:`SettingsError` if ``role`` is not one of the ``known`` roles of an input or an output."""
    if role not in known:
        raise SettingsError(f"There is no {what} '{role}': an {what} is one of {', '.join(known)}.")


def check_inputs(inputs: Mapping[str, Tensor]) -> None:
    """Raises :class:`SettingsError` if these tensors do not describe structures (see :func:`structure_of`)."""
    for role, values in inputs.items():
        check_role(role, INPUTS, "input")
        if not isinstance(values, Tensor):
            raise SettingsError(f"The input '{role}' should be a tensor, not {type(values).__name__}.")
    first = next((role for role in inputs if role != "mask"), None)
    if first is None:
        raise SettingsError(f"There are no inputs: give some of {', '.join(INPUTS)} as tensors.")
    seen: dict[str, tuple[str, int]] = {}
    for role in inputs:
        for axis, size in sizes_of(inputs[role], role, "input").items():
            other, expected = seen.setdefault(axis, (role, size))
            if size != expected:
                raise SettingsError(f"The input '{role}' has {axis} = {size}, and '{other}' has {axis} = {expected}.")
        _check_kind(role, inputs[role], first, inputs[first])
    if "mask" in inputs and not torch.compiler.is_compiling():
        _check_mask(inputs["mask"])


def without_absent(x: Structure) -> Structure:
    """The structures with zeros for absent nodes and their edges."""
    return replace(
        x,
        node_scalars=_kept(x.node_scalars, x.mask),
        points=_kept(x.points, x.mask),
        vectors=_kept(x.vectors, x.mask),
        edge_scalars=_kept(x.edge_scalars, x.pair_mask),
    )


def _kept(values: Tensor, exists: Tensor) -> Tensor:
    """The values where ``exists``, of which they have all axes and more, and zeros elsewhere."""
    return values.masked_fill(~exists.view(*exists.shape, *[1] * (values.dim() - exists.dim())), 0)


def sizes_of(values: Tensor, role: str, what: str) -> dict[str, int]:
    """The sizes of a tensor's axes by their names. Raises :class:`SettingsError` if it is not of the role's shape."""
    known = ROLES[role].shapes
    axes = next((axes for axes in known if len(axes) == values.dim()), None)
    sizes = dict(zip(axes or (), values.shape, strict=False))
    if axes is None or any(sizes[axis] != size for axis, size in zip(axes, values.shape, strict=True)):
        shapes = " or ".join(f"[{', '.join(axes)}]" for axes in known)
        raise SettingsError(f"The {what} '{role}' should have the shape {shapes}, not {list(values.shape)}.")
    if empty := next((axis for axis, size in sizes.items() if size == 0), None):
        raise SettingsError(f"The {what} '{role}' is empty: its axis {empty} has size 0.")
    return sizes


def _check_kind(role: str, values: Tensor, first: str, like: Tensor) -> None:
    """Checks dtype and device, which all inputs share with the ``first`` one."""
    if values.device != like.device:
        raise SettingsError(f"The input '{role}' is on {values.device} and '{first}' on {like.device}: move one.")
    if role == "mask":
        if values.dtype != torch.bool:
            raise SettingsError(f"The input 'mask' should be of dtype bool, not {_name(values)}.")
    elif not values.is_floating_point():
        raise SettingsError(f"The input '{role}' should be of a floating point dtype, not {_name(values)}.")
    elif values.dtype != like.dtype:
        raise SettingsError(f"The input '{role}' is {_name(values)} and '{first}' {_name(like)}: convert one of them.")


def _check_mask(mask: Tensor) -> None:
    """Checks the order of nodes, which takes the values of the mask: not while code is compiled."""
    if not bool(mask[:, 0].all()):
        raise SettingsError("Each structure of the input 'mask' should have a node that exists.")
    if not bool((mask[:, 1:] <= mask[:, :-1]).all()):
        raise SettingsError("The nodes that exist in the input 'mask' should come before those that do not: sort them.")


def _name(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")
