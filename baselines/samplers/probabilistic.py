"""Probabilistic symmetrization: an equivariant network q maps noise and input to group elements (Kim et al. 2023)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.catalogue.samplers import ProbabilisticSettings
from baselines.layers.vector_neurons import EdgeBlock
from baselines.limits import MOST_SOFT_ELEMENTS, VECTOR_DROPOUT
from baselines.q_networks.gin import GINScorer
from baselines.q_networks.graph_noise import NOISE
from baselines.q_networks.noise_sources import FixedNoise, NoiseSource, SampledNoise
from baselines.q_networks.sets import DeepSetsScorer, TransformerScorer
from baselines.q_networks.vector_neurons import PermutationHead, RotationHead
from baselines.samplers.sampler import Sample, Sampler
from tasks.symmetry.element import Element, Permutation, Product
from tasks.symmetry.groups import FiniteGroup, GeometricGroup, Group, NodeGroup, factors, node_and_space
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.orthogonalization import spanning
from tasks.symmetry.sorting import permutation_entropy
from tasks.symmetry.structure import Signature, Structure

TIE_NOISE = 1e-6  # without it the order of nodes with equal scores would depend on that of the input
RANK_NOISE = 1e-6  # keeps the columns of a rotation head linearly independent
NORM_FLOOR = 1e-6
SCORERS: Mapping[str, type[nn.Module]] = {
    "gin": GINScorer,
    "deepsets": DeepSetsScorer,
    "transformer": TransformerScorer,
}


class ProbabilisticSymmetrization(Sampler):
    """p(g given x) as the distribution of q(x, noise), for invariant noise and an equivariant network q.

    For a group that is not compact, the rest frame provides the remaining part of the element, and the input of q is
    the structure in that frame (see :class:`~tasks.symmetry.groups.GeometricGroup`).

    With ``fixed_noise`` the noise of an example is the same at every epoch and in evaluation. It is a function of the
    example's key, which group elements do not change, and of a seed that is drawn with the weights (see
    :class:`FixedNoise`). The distribution is then equivariant only over draws of that seed.

    Raises:
        ValueError: A finite group has more elements than q can be trained on.
    """

    noise_seed: Tensor

    def __init__(self, group: Group, signature: Signature, settings: ProbabilisticSettings) -> None:
        super().__init__(group, signature)
        for factor in factors(group):
            if isinstance(factor, FiniteGroup) and factor.size > MOST_SOFT_ELEMENTS:
                raise ValueError(
                    f"{factor.name} has {factor.size:,} elements and q is trained through the mean over at most "
                    f"{MOST_SOFT_ELEMENTS:,}: use group averaging or a smaller group"
                )
        self.noise_scale = settings.noise_scale
        self.network = _network(group, signature, settings)
        self.deterministic = settings.fixed_noise
        if self.deterministic:
            self.register_buffer("noise_seed", torch.randint(2**62, ()))
        self.relaxation = Relaxation(settings)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        chance = FixedNoise(x, self.noise_seed) if self.deterministic else SampledNoise(generator)
        return self.network.noise(x, samples, chance)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        output = self.network(x, noise, self.noise_scale)
        parts = [self.relaxation.element(factor, x, output) for factor in factors(self.group)]
        elements = tuple(element for element, _ in parts)
        element = elements[0] if len(elements) == 1 else Product(elements)
        entropies = [entropy for _, entropy in parts if entropy is not None]
        if not entropies:
            return Sample(element)
        entropy = torch.stack(entropies).sum()
        return Sample(
            element, penalty=self.relaxation.entropy_weight * entropy, statistics={"entropy": entropy.detach()}
        )


class Relaxation:
    """Maps the output of q to group elements, which have a relaxation if gradients are enabled."""

    def __init__(self, settings: ProbabilisticSettings) -> None:
        self.temperature = settings.temperature
        self.steps = settings.sinkhorn_steps
        self.entropy_weight = settings.entropy_weight
        if self.temperature <= 0 or self.steps < 1:
            raise ValueError(
                "temperature must be positive and sinkhorn_steps at least 1, unlike "
                f"{self.temperature:g} and {self.steps}"
            )

    def element(self, group: Group, x: Structure, output: QOutput) -> tuple[Element, Tensor | None]:
        """The group elements for the outputs of q, and the entropy of their relaxation if there is one."""
        if isinstance(group, NodeGroup):
            assert output.scores is not None
            return self._permutation(group, x, output.scores)
        assert isinstance(group, GeometricGroup) and output.matrix is not None
        if isinstance(group, FiniteGroup) and torch.is_grad_enabled():
            compact, law = group.relaxed_compact_head(output.matrix, self.temperature)
            return group.from_rest(x, compact), torch.special.entr(law).sum(-1).mean()
        return group.head_at_rest(x, output.matrix), None

    def permutation(self, group: NodeGroup, x: Structure, scores: Tensor) -> Permutation:
        """The permutations for ``scores`` ``[B, K, N]``, which are scaled to unit norm."""
        scores = scores * x.mask[:, None]
        scores = scores / scores.norm(dim=-1, keepdim=True).clamp_min(NORM_FLOOR)
        if not torch.is_grad_enabled():
            return group.head(x, scores)
        return group.relaxed_head(x, scores, self.temperature, self.steps)

    def _permutation(self, group: NodeGroup, x: Structure, scores: Tensor) -> tuple[Permutation, Tensor | None]:
        permutation = self.permutation(group, x, scores)
        soft = permutation.relaxation
        if soft is None:
            return permutation, None
        return permutation, permutation_entropy(soft.flatten(0, 1), x.mask.repeat_interleave(soft.shape[1], 0))


@dataclass(frozen=True)
class QOutput:
    """The output of a network q: node scores ``[B, K, N]``, a matrix ``[B, K, D, D]``, or both."""

    scores: Tensor | None = None
    matrix: Tensor | None = None


class QNetwork(nn.Module, ABC):
    """An equivariant network on a structure and noise."""

    @abstractmethod
    def noise(self, x: Structure, samples: int, chance: NoiseSource) -> Noise:
        """Noise of scale 1, including the noise that breaks ties."""

    @abstractmethod
    def forward(self, x: Structure, noise: Noise, scale: float) -> QOutput:
        """One output for every sample of noise, which is multiplied by ``scale`` (eta in the paper)."""


class GraphQ(QNetwork):
    """q for S_n, C_n and D_n on graphs: the scorer ``settings.q`` with ``settings.noise`` added to node scalars."""

    def __init__(self, signature: Signature, settings: ProbabilisticSettings) -> None:
        super().__init__()
        q = settings.q or "gin"
        own = {"input_linear": settings.input_linear, "norm_padding": settings.norm_padding} if q == "gin" else {}
        size = (signature.node_scalars, settings.width, settings.layers)
        self.scorer = SCORERS[q](*size, dropout=settings.dropout or 0.0, **own)
        self.features = NOISE[settings.noise or "uniform"]

    def noise(self, x: Structure, samples: int, chance: NoiseSource) -> Noise:
        features = self.features(x, samples, chance)
        return features, chance.uniform((len(x), samples, x.nodes), x.node_scalars)

    def forward(self, x: Structure, noise: Noise, scale: float) -> QOutput:
        features, ties = noise
        return QOutput(scores=self.scorer(x, scale * features) + TIE_NOISE * ties)


class GeometricQ(QNetwork):
    """q for groups of space, permutations or both, on points and vectors with normal noise.

    The network is equivariant under O(D). Its inputs are the covariants of the group in the rest frame. Absent nodes
    are ignored; the mask is not used if the task has none.

    With ``dropout_unit: vector`` both blocks drop whole vectors. With ``coordinate``, as published, only the second
    block drops single coordinates, so that there is no dropout in the path to matrices.

    Args:
        signature: The shapes of the structures.
        settings: The sizes and the dropout of the network.
        permutes: Adds a head for node scores.
        space: Adds a head for matrices of this group, if not None.
    """

    def __init__(
        self, signature: Signature, settings: ProbabilisticSettings, permutes: bool, space: GeometricGroup | None
    ) -> None:
        super().__init__()
        width, neighbours = settings.width, settings.neighbours
        dropout = VECTOR_DROPOUT if settings.dropout is None else settings.dropout
        self.space = space
        channels = self._read(torch.zeros(signature.dimension, signature.geometry)).shape[-1]
        drops_coordinates = settings.dropout_unit == "coordinate"
        self.trunk = EdgeBlock(channels, width // 3, neighbours, 0.0 if drops_coordinates else dropout)
        self.permutation = PermutationHead(width, neighbours, dropout, drops_coordinates) if permutes else None
        self.rotation = RotationHead(width, signature.dimension) if space else None
        self.padded = signature.padded
        self.axis_floor = settings.axis_floor

    def noise(self, x: Structure, samples: int, chance: NoiseSource) -> Noise:
        lead = (len(x), samples)
        vectors = chance.normal((*lead, *x.geometry.shape[1:]), x.points)
        ties = chance.uniform((*lead, x.nodes), x.points)
        ranks = chance.normal((*lead, x.points.shape[2], x.points.shape[2]), x.points)
        return vectors, ties, ranks

    def forward(self, x: Structure, noise: Noise, scale: float) -> QOutput:
        vectors, ties, ranks = noise
        mask = x.mask.repeat_interleave(vectors.shape[1], 0) if self.padded else None
        geometry = self.space.geometry_at_rest(x) if self.space else x.geometry
        features = self.trunk(self._read(geometry[:, None] + scale * vectors).flatten(0, 1), mask)
        scores = self.permutation(features, mask).view_as(ties) + TIE_NOISE * ties if self.permutation else None
        matrix = self.rotation(features, mask).reshape(ranks.shape) + RANK_NOISE * ranks if self.rotation else None
        if matrix is not None and self.axis_floor:
            matrix = spanning(matrix, ranks, self.axis_floor)
        return QOutput(scores, matrix)

    def _read(self, vectors: Tensor) -> Tensor:
        return self.space.covariants(vectors) if self.space else vectors


def _network(group: Group, signature: Signature, settings: ProbabilisticSettings) -> QNetwork:
    if signature.geometry == 0:
        return GraphQ(signature, settings)
    nodes, space = node_and_space(group)
    return GeometricQ(signature, settings, nodes is not None, space)
