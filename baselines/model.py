"""The interface between methods and the training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from baselines.out_of_memory import Chunks
from tasks.cards import Input
from tasks.ragged import Stored
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Structure


@dataclass(frozen=True)
class Prediction:
    """The output of a model for a batch.

    Attributes:
        value: ``[B, ...]``.
        penalty: A weighted scalar to add to the loss, or None.
        statistics: Scalars to log, by name.
    """

    value: Tensor
    penalty: Tensor | None = None
    statistics: dict[str, Tensor] = field(default_factory=dict)

    def weighted(self, share: float) -> Prediction:
        """The prediction as part of a batch that several processes share.

        Args:
            share: The share of the whole batch that this part is. Penalty and statistics, which are means over a
                batch, are multiplied by it, so that their sum over all parts is the mean over the whole batch.
        """
        penalty = None if self.penalty is None else share * self.penalty
        return Prediction(self.value, penalty, {name: share * value for name, value in self.statistics.items()})

    def objective(self, loss: Tensor) -> Tensor:
        """The objective of training: the ``loss`` of the value plus the penalty, if there is one."""
        return loss if self.penalty is None else loss + self.penalty


class Model(nn.Module, ABC):
    """A method built for a task.

    Attributes:
        deterministic: True if the prediction does not depend on the generator.
        fixed_samples: The number of group elements if it does not depend on the requested number; None otherwise.
        mixed_precision: Trains the network in bfloat16. Group elements and all measured values stay in full precision.
        compiles: Compiles the network for training.
        chunks: How many samples are evaluated at a time.
        hidden: The inputs that the network cannot read; neither it nor the sampler gets them.
    """

    deterministic: bool
    fixed_samples: int | None
    mixed_precision: bool = False
    compiles: bool = False
    hidden: frozenset[Input] = frozenset()
    _compilation: tuple[nn.Module, Callable[[Structure], Tensor]] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.chunks = Chunks()

    def forward(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Prediction:
        """The prediction for a batch.

        Args:
            x: B structures.
            samples: Number K of group elements for each structure.
            generator: The source of all random numbers except dropout; None is torch's global generator.
            chunk: How many samples are processed at a time; None processes all at once.
        """
        return self.from_noise(x, self.noise(x, samples, generator), samples, chunk)

    def prepared(self, graphs: Stored) -> Stored:
        """Adds to each structure of a data set what can be computed once for all predictions."""
        return graphs

    def seen(self, x: Structure) -> Structure:
        """The structures without the inputs that are ``hidden``."""
        return x.without(self.hidden) if self.hidden else x

    @abstractmethod
    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        """All random numbers of a prediction except those of dropout; every part is ``[B, K, ...]``."""

    @abstractmethod
    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        """The prediction as a deterministic function of the noise, except for dropout."""

    def computed(self, network: nn.Module, x: Structure) -> Tensor:
        """Computes ``network(x)``, compiled and in bfloat16 if this model trains so; the result has the dtype of ``x``.

        A network with the attribute ``takes_bfloat16 = False`` is trained in single precision.
        """
        run = self._compiled(network) if self.compiles and self.training else network
        mixed = self.mixed_precision and self.training and getattr(network, "takes_bfloat16", True)
        if not mixed:
            return run(x)
        # One region for each pass, so that the copies of weights that autocast caches do not outlive a step.
        with torch.autocast(x.mask.device.type, torch.bfloat16):
            y = run(x)
        return y.to(x.edge_scalars.dtype)

    def _compiled(self, network: nn.Module) -> Callable[[Structure], Tensor]:
        """The compiled network, which is kept outside the module tree so that the names of weights do not change.

        A network with a method ``compiled`` chooses the parts of it that are compiled.
        """
        if self._compilation is None or self._compilation[0] is not network:
            by_parts = getattr(network, "compiled", None)
            self._compilation = network, by_parts() if by_parts else torch.compile(network)
        return self._compilation[1]

    def __getstate__(self) -> dict[str, Any]:
        """The state without the compiled network: a copy compiles its own."""
        return {**self.__dict__, "_compilation": None}

    @abstractmethod
    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        """The single-sample predictions whose mean is the prediction.

        Returns:
            ``[B, K, ...]``, with K = 1 if the method has ``fixed_samples``, whose mean is one draw of the estimator.
        """


class Equivariant(Model):
    """A network that is symmetric by construction and needs no group elements.

    Args:
        network: Maps a structure to a tensor ``[B, ...]``.
    """

    deterministic = True
    fixed_samples = 1

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return ()

    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        return Prediction(self.computed(self.network, self.seen(x)))

    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        return self.network(self.seen(x))[:, None]
