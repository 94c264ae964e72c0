"""Any module of torch, averaged over group elements: :class:`~baselines.symmetrized.Symmetrized` for plain tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.build import build_sampler
from baselines.cards import SamplerCard
from baselines.model import Prediction
from baselines.module_inputs import ModuleInputs, inputs_like
from baselines.symmetrized import Symmetrized
from tasks.errors import SettingsError
from tasks.symmetry.element import Element
from tasks.symmetry.groups import Group, SequenceGroup, factors
from tasks.symmetry.noise import Generator
from tasks.symmetry.representation import Representation
from tasks.symmetry.roles import OUTPUTS, ROLES, acted_output, check_role, checked_output, present
from tasks.symmetry.structure import Signature, Structure


class ModuleBase(BaseModel):
    """A module that takes tensors or batches of PyG, as a network on structures.

    Points are averaged as they are, without an origin: the weights of group elements sum to 1, so that the mean of
    moved points moves with the input, by translations too.

    Args:
        module: The module.
        inputs: The form of its arguments.
        output: The role of what it returns.
    """

    def __init__(self, module: nn.Module, inputs: ModuleInputs, output: str) -> None:
        super().__init__()
        self.module = module
        self.inputs = inputs
        self.output = output

    def forward(self, x: Structure) -> Tensor:
        """The output of the module as it returns it, padded and with zeros for absent nodes and pairs."""
        values = self.module(*self.inputs.arguments(x))
        return checked_output(self.inputs.padded(values, self.output, x), self.output, x)

    def pushforward(self, y: Tensor, element: Element, output: Representation) -> Tensor:
        return acted_output(y, self.output, element)


class SymmetrizedModule(nn.Module):
    """A module averaged over group elements g: the mean of rho_out(g) f(rho_in(g)^-1 x) (Kim et al. 2023, equation 5).

    :func:`symbench.symmetrize` makes one from names. The module itself is :attr:`module` and is not copied: its weights
    and those of the sampler are the parameters. In training the sampler is too, with relaxations through which
    gradients reach a network q, and with dropout; gradients are computed in evaluation too unless they are switched
    off. ``torch.compile`` makes one graph of a call in training with tensors and without a ``generator``.

    Args:
        module: Any module whose output for each structure depends on that structure alone.
        group: The group to symmetrize over.
        sampler: The card of the sampler.
        params: The settings of the sampler that differ from their defaults.
        inputs: An example of the inputs: tensors by role (:mod:`tasks.symmetry.roles`) in the order of the module's
            arguments, or a ``Batch`` or ``Data`` of PyG (:mod:`tasks.graph_batches`), which the module then takes. It
            gives the shapes, the dtype and the device of the sampler. Sizes B and N of other inputs may differ.
        output: The role of what the module returns.

    Raises:
        SettingsError: The inputs or the output are not accepted.
        ValueError: The group has nothing to act on, or the sampler does not cover it.
    """

    def __init__(
        self,
        module: nn.Module,
        group: Group,
        sampler: SamplerCard,
        params: Mapping[str, Any],
        inputs: Any,
        output: str,
    ) -> None:
        super().__init__()
        check_role(output, OUTPUTS, "output")
        representation = ROLES[output].representation
        assert representation is not None
        self.inputs, example = inputs_like(inputs)
        example = _described(example)
        signature = Signature.of(example, representation, output_channels=1)
        masked = not isinstance(inputs, Mapping) or "mask" in inputs
        built = build_sampler(sampler, group, replace(signature, padded=masked), params)
        built = built.to(example.mask.device, example.node_scalars.dtype)
        self.symmetrized = Symmetrized(ModuleBase(module, self.inputs, output), built, representation)
        self.output = output
        sequence = any(isinstance(factor, SequenceGroup) for factor in factors(group))
        self.only_nodes = example.nodes if sequence and built.fixed_samples not in (None, 1) else None

    @property
    def module(self) -> nn.Module:
        """The module that is averaged."""
        base = self.symmetrized.base
        assert isinstance(base, ModuleBase)
        return base.module

    @property
    def sampler(self) -> nn.Module:
        """The sampler of group elements."""
        return self.symmetrized.sampler

    def forward(self, *inputs: Any, samples: int = 16, generator: Generator = None, chunk: int | None = None) -> Tensor:
        """The symmetrized output, in the form in which the module returns its own.

        Args:
            *inputs: The arguments of the module.
            samples: Number K of group elements for each structure, unless the sampler has a fixed number.
            generator: The source of all random numbers except dropout; None is torch's global generator.
            chunk: How many samples are processed at a time; None processes all at once.

        Raises:
            SettingsError: An input is not like the example, or the module returns another shape than its output has.
        """
        return self.predict(*inputs, samples=samples, generator=generator, chunk=chunk).value

    def predict(
        self, *inputs: Any, samples: int = 16, generator: Generator = None, chunk: int | None = None
    ) -> Prediction:
        """The output with what belongs to it in training; the arguments are those of :meth:`forward`.

        Returns:
            The output as ``value``; the sampler's ``penalty``, a weighted scalar to add to the loss (the entropy of
            relaxed elements), or None, as in evaluation; and ``statistics`` to log.
        """
        for name, number in (("samples", samples), ("chunk", chunk)):
            if number is not None and (not isinstance(number, int) or number < 1):
                raise SettingsError(f"{name} should be a whole number of at least 1, not {number}.")
        x = _described(self.inputs.structure(inputs))
        if self.only_nodes not in (None, x.nodes):
            raise SettingsError(
                f"Exact frames of a sequence are made for N = {self.only_nodes} nodes, padding included, not {x.nodes}."
            )
        prediction = self.symmetrized(x, samples, generator, chunk)
        value = present(prediction.value, self.output, x)
        return replace(prediction, value=self.inputs.returned(value, self.output, inputs, x))


def _described(x: Structure) -> Structure:
    """The structures with a node scalar 1 if nodes have nothing else: q reads node scalars, and noise is added there.

    The module does not see it.
    """
    if x.node_scalars.shape[-1] or x.coordinates.shape[-1]:
        return x
    return replace(x, node_scalars=x.mask[..., None].to(x.node_scalars.dtype))
