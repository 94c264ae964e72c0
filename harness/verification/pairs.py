"""A function of tensors on pairs of inputs and group elements: f(g x) and g f(x)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from baselines.module_inputs import ModuleInputs
from harness.errors import SettingsError
from harness.symmetrize import parsed_group
from harness.training.finite import check_finite
from harness.training.seeds import generator
from tasks.symmetry.element import Affine, Element, Product
from tasks.symmetry.groups import group as group_of
from tasks.symmetry.representation import Representation
from tasks.symmetry.roles import OUTPUTS, ROLES, acted_output, check_role, checked_output, present
from tasks.symmetry.structure import Signature, Structure

REMEDY = "no symmetry can be tested with these"


@dataclass(frozen=True)
class Function:
    """A function of tensors as one of structures.

    Attributes:
        call: Takes tensors, or a batch of PyG, and returns a tensor.
        inputs: The form of its arguments.
        output: The role of the output.
        differentiates: Whether the arguments require gradients, as those of an energy whose forces are returned.
        gradients: Whether it is computed with gradients enabled, which takes longer.
        pass_samples: Whether the number of samples is passed on.
    """

    call: Callable[..., Any]
    inputs: ModuleInputs
    output: str
    differentiates: bool = False
    gradients: bool = True
    pass_samples: bool = False

    @property
    def name(self) -> str:
        """The name of the function, for messages."""
        return name_of(self.call)

    @property
    def representation(self) -> Representation:
        """How the output transforms."""
        check_role(self.output, OUTPUTS, "output")
        representation = ROLES[self.output].representation
        assert representation is not None
        return representation

    def without_gradients(self, x: Structure) -> Function:
        """The function with gradients disabled, unless it needs some itself: tried on ``x``."""
        if self.differentiates:
            return self
        faster = replace(self, gradients=False)
        try:
            faster(x)
        except RuntimeError:  # of torch, for a tensor that does not require a gradient
            return self
        return faster

    def __call__(self, x: Structure, samples: int = 1) -> Tensor:
        """The output ``[B, ...]``, zero for absent nodes and pairs.

        Raises:
            SettingsError: It is no tensor, or not of the shape that its role has.
            NotFinite: It is not finite.
        """
        arguments = [one.clone() for one in self.inputs.arguments(x)]  # a function may change them
        for one in arguments:
            if self.differentiates and one.is_floating_point():
                one.requires_grad_()
        with torch.set_grad_enabled(self.gradients):
            values = self.call(*arguments, **({"samples": samples} if self.pass_samples else {}))
        if not isinstance(values, Tensor):
            kind = type(values).__name__
            raise SettingsError(f"{self.name} returns {kind}, not a tensor: test a function that returns one tensor.")
        whole = self.inputs.padded(values.detach(), self.output, x)
        return check_finite(checked_output(whole, self.output, x), f"outputs of {self.name}", REMEDY)


@dataclass(frozen=True)
class Pairs:
    """A function f, and pairs of an input x and a group element g.

    Attributes:
        function: f.
        group: The name of the group.
        x: The inputs.
        g: One element for each input.
        moved: The inputs g x.
    """

    function: Function
    group: str
    x: Structure
    g: Element
    moved: Structure

    @staticmethod
    def draw(function: Function, group: str, x: Structure, seed: int) -> Pairs:
        """Draws an element for each input; translations have the size of the inputs.

        Raises:
            UnknownName: There is no such group.
            SettingsError: It is no direct product, or does not act on the inputs.
        """
        symmetry = group_of(parsed_group(group))
        try:
            symmetry.check(Signature.of(x, function.representation, 1))
        except ValueError as error:
            sentence = str(error)
            raise SettingsError(f"{sentence[:1].upper()}{sentence[1:]}.") from error
        g = _with_translations(symmetry.random(x, 1, generator(x.mask.device, seed, "move")), _extent(x))
        return Pairs(function, symmetry.name, x, g, x.acted(g))

    def here(self, samples: int = 1) -> Tensor:
        """Transformed outputs g f(x), ``[B, M]``, float64, from one call."""
        values, output = self.function(self.x, samples), self.function.output
        return _rows(present(acted_output(values[:, None], output, self.g)[:, 0], output, self.x))

    def there(self, samples: int = 1) -> Tensor:
        """Outputs f(g x) for transformed inputs, ``[B, M]``, float64, from one call."""
        return _rows(self.function(self.moved, samples))

    def size_of(self, values: Tensor) -> Tensor:
        """The root mean square norm of outputs ``[..., M]``.

        Raises:
            SettingsError: It is zero.
        """
        size = values.square().sum(-1).mean().sqrt()
        if size == 0:
            raise SettingsError(
                f"{self.function.name} returns zeros for all inputs, which shows nothing: take other weights or inputs."
            )
        return size

    def differ(self, calls: int, tolerance: float) -> bool:
        """Whether some of this number of calls with the same inputs differ by more than rounding."""
        values = torch.stack([self.here() for _ in range(calls)])
        return bool((values - values[0]).norm(dim=-1).max() > tolerance * self.size_of(values))


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, or that of the class of a module."""
    return str(getattr(function, "__name__", type(function).__name__))


def _rows(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).double()


def _extent(x: Structure) -> Tensor:
    """The root mean square distance of the points from their centroids, or from the origin if that is zero."""
    points = x.points.shape[-1]
    exists = x.mask[..., None, None].expand(*x.mask.shape, 1, points)
    for values in (x.geometry[..., :points], x.points):
        square = values.square().sum(2, keepdim=True)[exists].mean()
        if square > 0:
            return square.sqrt()
    return x.points.new_ones(())


def _with_translations(g: Element, size: Tensor) -> Element:
    """The elements with translations that are multiplied by ``size``."""
    if isinstance(g, Product):
        return Product(tuple(_with_translations(factor, size) for factor in g.factors))
    return replace(g, translation=g.translation * size) if isinstance(g, Affine) else g
