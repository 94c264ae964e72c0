"""What every method gives the training loop: a model, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from baselines.out_of_memory import Chunks
from tasks.ragged import Stored
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Structure


@dataclass(frozen=True)
class Prediction:
    """``value`` ``[B, ...]``, a scalar ``penalty`` to add to the loss (weighted already), and numbers worth logging."""

    value: Tensor
    penalty: Tensor | None = None
    statistics: dict[str, Tensor] = field(default_factory=dict)

    def weighted(self, share: float) -> Prediction:
        """As a ``share`` of a batch of which the rest is elsewhere: penalty and statistics are means over the batch."""
        penalty = None if self.penalty is None else share * self.penalty
        return Prediction(self.value, penalty, {name: share * value for name, value in self.statistics.items()})

    def objective(self, loss: Tensor) -> Tensor:
        """What training lowers: the ``loss`` of the value, and the penalty where there is one."""
        return loss if self.penalty is None else loss + self.penalty


class Model(nn.Module, ABC):
    """A method built for a task.

    ``fixed_samples`` is the number of group elements that the method brings whatever it is asked for (``None``: as
    asked); ``deterministic`` models give the same prediction whatever the generator. With ``mixed_precision`` the
    network, and nothing else, is trained in bfloat16: group elements and all that is measured stay in full precision.
    With ``compiles`` the network is compiled for training. ``chunks`` knows how many samples evaluation takes at once.
    """

    deterministic: bool
    fixed_samples: int | None
    mixed_precision: bool = False
    compiles: bool = False
    _compilation: tuple[nn.Module, Callable[[Structure], Tensor]] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.chunks = Chunks()

    def forward(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Prediction:
        """The prediction for ``x`` with ``samples`` group elements, ``chunk`` of them at a time."""
        return self.from_noise(x, self.noise(x, samples, generator), samples, chunk)

    def prepared(self, graphs: Stored) -> Stored:
        """The structures of a data set with what can be computed of each once, for all predictions."""
        return graphs

    @abstractmethod
    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        """All the chance in a prediction beside dropout; every part is ``[B, K, ...]``."""

    @abstractmethod
    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        """The prediction that this noise stands for."""

    def computed(self, network: nn.Module, x: Structure) -> Tensor:
        """``network(x)`` in the precision of ``x``.

        A network with ``takes_bfloat16 = False``, one of parts that cannot, is trained in single precision.
        """
        run = self._compiled(network) if self.compiles and self.training else network
        mixed = self.mixed_precision and self.training and getattr(network, "takes_bfloat16", True)
        if not mixed:
            return run(x)
        # One region for one pass: the copies of weights that autocast keeps are those of this step.
        with torch.autocast(x.mask.device.type, torch.bfloat16):
            y = run(x)
        return y.to(x.edge_scalars.dtype)

    def _compiled(self, network: nn.Module) -> Callable[[Structure], Tensor]:
        """Compiled once, and kept beside the network, whose weights keep their names.

        A network with a method ``compiled`` says itself which parts of it are.
        """
        if self._compilation is None or self._compilation[0] is not network:
            by_parts = getattr(network, "compiled", None)
            self._compilation = network, by_parts() if by_parts else torch.compile(network)
        return self._compilation[1]

    def __getstate__(self) -> dict[str, Any]:
        """A copy compiles its own network."""
        return {**self.__dict__, "_compilation": None}

    @abstractmethod
    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        """``[B, K, ...]``: the K single-sample predictions whose mean is the prediction.

        K = 1 where the method brings its own samples: their mean is then one draw of the estimator.
        """


class Equivariant(Model):
    """A network that is symmetric by construction: it needs no group elements."""

    deterministic = True
    fixed_samples = 1

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return ()

    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        return Prediction(self.computed(self.network, x))

    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        return self.network(x)[:, None]
