"""Symmetrization: phi(x) = mean over g ~ p(g given x) of rho_out(g) f(rho_in(g)^-1 x) (Kim et al. 2023, equation 5).

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

    With a ``chunk``, memory does not grow with the number of samples: the noise is drawn first, so the samples do not
    depend on the chunk, and in training f is computed again in the backward pass. (In training the sampler itself
    takes all samples at once, since its batch statistics are over all of them.)

    Args:
        base: The network f.
        sampler: The distribution p(g given x).
        output: How the prediction transforms. Displacements are averaged as vectors and added to points.

    Example:
        The square of the first coordinate is not invariant under rotations; its average over O(2) is, and is half of
        the squared length.

        >>> from baselines.catalogue.samplers import GroupSettings
        >>> from baselines.samplers.group_averaging import GroupAveraging
        >>> from tasks.symmetry.groups import group
        >>> from tasks.symmetry.structure import Signature
        >>> class SquaredCoordinate(BaseModel):
        ...     def forward(self, x):
        ...         return x.points[:, 0, 0].square()
        >>> x = Structure.build(torch.ones(1, 1, dtype=torch.bool), points=torch.tensor([3.0, 4.0]).view(1, 1, 2, 1))
        >>> signature = Signature.of(x, Representation.GRAPH_SCALARS, output_channels=1)
        >>> rotations = group(("O(2)",))
        >>> sampler = GroupAveraging(rotations, signature, GroupSettings())
        >>> phi = Symmetrized(SquaredCoordinate(), sampler, signature.output).eval()
        >>> moved = x.acted(rotations.random(x, samples=1, generator=None))
        >>> all(abs(phi(y, samples=10_000).value.item() - 12.5) < 1 for y in (x, moved))
        True
    """

    def __init__(self, base: BaseModel, sampler: Sampler, output: Representation) -> None:
        super().__init__()
        self.base = base
        self.sampler = sampler
        self.output = output
        self.deterministic = sampler.deterministic
        self.fixed_samples = sampler.fixed_samples

    def prepared(self, graphs: Stored) -> Stored:
        return graphs if self.hidden else self.sampler.prepared(graphs)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return self.sampler.noise(self.seen(x), self._count(samples), generator)

    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        x = self.seen(x)
        if self.training:
            sample = self.sampler(x, noise)
            statistics = sample.statistics | agreement(sample, x.mask)
            return Prediction(self._placed(x, self._mean_chunked(x, sample, chunk)), sample.penalty, statistics)
        return Prediction(self._placed(x, self._mean_evaluated(x, noise, samples, chunk)))

    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        x = self.seen(x)
        noise = self.noise(x, samples, generator)
        if self.fixed_samples is not None:
            return self._placed(x, self._mean_evaluated(x, noise, samples, chunk))[:, None]
        parts = self.chunks.results(noise, samples, chunk, lambda part: self._values(x, self.sampler(x, part).element))
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
        """The prediction for a mean ``[B, ...]`` over samples: displacements are added to the points of the origin."""
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
    """Returns the factor of ``element`` that permutes nodes, or None if there is none."""
    parts = element.factors if isinstance(element, Product) else (element,)
    return next((part for part in parts if isinstance(part, Permutation)), None)


def agreement(sample: Sample, mask: Tensor) -> dict[str, Tensor]:
    """The entropy of the mean matrix of sampled permutations (Kim et al. 2023, appendix), a measure of agreement.

    It is 0 if all K permutations are equal and at most 2 log K, which uniform permutations come close to.

    Args:
        sample: Group elements without weights.
        mask: True for nodes that exist, ``[B, N]``.

    Returns:
        ``permutation_entropy`` in nats, or nothing if there are no permutations to compare.
    """
    permutation = permutation_of(sample.element)
    if permutation is None or permutation.samples == 1 or sample.weight is not None:
        return {}
    agreed = permutation.mean_matrix.double()  # a mean of counts, in single precision for every dtype of the run
    return {"permutation_entropy": permutation_entropy(agreed, mask).detach()}


def _mean_of(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The weighted mean from parts, each a weighted sum and the sum of its weights."""
    values, masses = zip(*parts, strict=True)
    return torch.stack(values).sum(0) / torch.stack(masses).sum(0)
