"""The one formula: phi(x) = mean over g ~ p(g given x) of rho_out(g) f(rho_in(g)^-1 x) (Kim et al. 2023, equation 5).

Every symmetrization method is a choice of sampler and f.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from baselines.bases.base_model import BaseModel
from baselines.model import Model, Prediction
from baselines.samplers.sampler import Sample, Sampler
from tasks.ragged import Stored
from tasks.symmetry.element import Element, Permutation, Product
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.sorting import permutation_entropy
from tasks.symmetry.structure import Structure


class Symmetrized(Model):
    """A base model f averaged over the group elements of a sampler.

    ``output`` is how the prediction transforms; displacements are averaged as vectors and lead to points. With a
    ``chunk``, memory does not grow with the number of samples: the noise is drawn first, so what is drawn does not
    depend on the chunk, and in training f is computed again in the backward pass. (The sampler itself sees all samples
    at once in training: its batch statistics are over them.)
    """

    def __init__(self, base: BaseModel, sampler: Sampler, output: Representation) -> None:
        super().__init__()
        self.base = base
        self.sampler = sampler
        self.output = output
        self.deterministic = sampler.deterministic
        self.fixed_samples = sampler.fixed_samples

    def prepared(self, graphs: Stored) -> Stored:
        return self.sampler.prepared(graphs)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return self.sampler.noise(x, self._count(samples), generator)

    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        if self.training:
            sample = self.sampler(x, noise)
            statistics = sample.statistics | agreement(sample, x.mask)
            return Prediction(self._placed(x, self._mean_chunked(x, sample, chunk)), sample.penalty, statistics)
        return Prediction(self._placed(x, self._mean_evaluated(x, noise, samples, chunk)))

    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        noise = self.noise(x, samples, generator)
        if self.fixed_samples is not None:
            return self._placed(x, self._mean_evaluated(x, noise, samples, chunk))[:, None]
        parts = self.chunks.results(
            noise, samples, chunk, lambda part: self._values(x, self.sampler(x, part).element)
        )
        values = torch.cat(parts, 1)
        origin = self.base.origin(x)
        return values if origin is None else values + origin[:, None]

    def _count(self, samples: int) -> int:
        return self.fixed_samples or samples

    def _values(self, x: Structure, element: Element) -> Tensor:
        """rho_out(g) f(rho_in(g)^-1 x) ``[B, K, ...]``, on one batch of B * K structures."""
        y = self.computed(self.base, self.base.pullback(x, element)).unflatten(0, (len(x), element.samples))
        displaces = self.base.origin(x) is not None
        return self.base.pushforward(y, element, Representation.NODE_VECTORS if displaces else self.output)

    def _placed(self, x: Structure, mean: Tensor) -> Tensor:
        """The prediction for a mean ``[B, ...]`` over samples: displacements are added to where they begin."""
        origin = self.base.origin(x)
        return mean if origin is None else mean + origin

    def _weighted_sum(self, x: Structure, sample: Sample) -> tuple[Tensor, Tensor]:
        """The sum over samples of the weighted values ``[B, ...]`` and of the weights, broadcastable to it."""
        values = self._values(x, sample.element)
        if sample.weight is None:
            return values.sum(1), values.new_full((), sample.element.samples)
        weight = sample.weight.reshape(*sample.weight.shape, *[1] * (values.dim() - 2))
        return (weight * values).sum(1), weight.sum(1)

    def _mean_evaluated(self, x: Structure, noise: Noise, samples: int, chunk: int | None) -> Tensor:
        return _mean_of(
            self.chunks.results(
                noise, self._count(samples), chunk, lambda part: self._weighted_sum(x, self.sampler(x, part))
            )
        )

    def _mean_chunked(self, x: Structure, sample: Sample, chunk: int | None) -> Tensor:
        count = sample.element.samples
        if chunk is None or chunk >= count:
            value, mass = self._weighted_sum(x, sample)
            return value / mass
        parts = [
            checkpoint(self._weighted_sum, x, sample.part(start, start + chunk), use_reentrant=False)
            for start in range(0, count, chunk)
        ]
        return _mean_of(parts)


def permutation_of(element: Element) -> Permutation | None:
    """The factor of ``element`` that permutes nodes, where there is one."""
    parts = element.factors if isinstance(element, Product) else (element,)
    return next((part for part in parts if isinstance(part, Permutation)), None)


def agreement(sample: Sample, mask: Tensor) -> dict[str, Tensor]:
    """How little several sampled permutations agree: the entropy of their mean matrix (Kim et al. 2023, appendix).

    Zero where all are one permutation; at most 2 log K for K of them, which uniform ones come close to.
    """
    permutation = permutation_of(sample.element)
    if permutation is None or permutation.samples == 1 or sample.weight is not None:
        return {}
    agreed = permutation.mean_matrix.double()  # a mean of counts, which is in single precision in every run
    return {"permutation_entropy": permutation_entropy(agreed, mask).detach()}


def _mean_of(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The weighted mean of sums with their weights."""
    values, masses = zip(*parts, strict=True)
    return torch.stack(values).sum(0) / torch.stack(masses).sum(0)
