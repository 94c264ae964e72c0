"""Probabilistic symmetrization: an equivariant network q maps noise and input to group elements (Kim et al. 2023)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from baselines.layers.vector_neurons import EdgeBlock
from baselines.samplers.chance import Chance, Drawn, Fixed
from baselines.samplers.gin_scorer import GINScorer
from baselines.samplers.graph_noise import NOISE
from baselines.samplers.node_scorers import DeepSetsScorer, TransformerScorer
from baselines.samplers.sampler import Sample, Sampler
from baselines.samplers.vector_heads import DROPOUT, PermutationHead, RotationHead
from tasks.symmetry.element import Element, Linear, Permutation, Product
from tasks.symmetry.groups import EuclideanGroup, Group, OrthogonalGroup, SymmetricGroup, about_centroid, factors
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.orthogonal import gram_schmidt
from tasks.symmetry.sorting import permutation_entropy, soft_identity, sort_descending
from tasks.symmetry.structure import Signature, Structure

TIE_NOISE = 1e-6  # without it a model can read the input's order off tied scores
RANK_NOISE = 1e-6  # keeps the columns of a rotation head linearly independent
NORM_FLOOR = 1e-6
UNIT_SPREAD = 2**0.5  # two entries of a unit vector differ by no more
SCORERS: Mapping[str, type[nn.Module]] = {
    "gin": GINScorer,
    "deepsets": DeepSetsScorer,
    "transformer": TransformerScorer,
}


class LearnedSampler(Sampler):
    """p(g given x) as the law of q(x, noise); the noise's law is invariant and q is equivariant.

    With ``fixed_noise`` an input has the same noise at every epoch and in evaluation: a function of its own scalars,
    which no group element changes, and of a seed that is drawn with the weights (see :class:`Fixed`). Then the law
    moves with the input over the draw of that seed only.
    """

    noise_seed: Tensor

    def __init__(self, group: Group, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__(group)
        self.noise_scale = float(params["noise_scale"])
        self.network = _network(group, signature, params)
        self.deterministic = bool(params["fixed_noise"])
        if self.deterministic:
            self.register_buffer("noise_seed", torch.randint(2**62, ()))
        self.relaxation = Relaxation(params)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        chance = Fixed(x, self.noise_seed) if self.deterministic else Drawn(generator)
        return self.network.noise(x, samples, chance)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        output = self.network(x, noise, self.noise_scale)
        elements = {factor.name: self._element(x, factor, output) for factor in factors(self.group)}
        element = next(iter(elements.values())) if len(elements) == 1 else Product(tuple(elements.values()))
        permutation = elements.get("S_n")
        if isinstance(permutation, Permutation) and permutation.relaxation is not None:
            entropy = permutation_entropy(*self._flat(permutation.relaxation, x))
            return Sample(
                element, penalty=self.relaxation.entropy_weight * entropy, statistics={"entropy": entropy.detach()}
            )
        return Sample(element)

    def _element(self, x: Structure, factor: Group, output: QOutput) -> Element:
        if isinstance(factor, SymmetricGroup):
            assert output.scores is not None
            return self.relaxation.sort(output.scores, x)
        assert isinstance(factor, OrthogonalGroup | EuclideanGroup) and output.matrix is not None
        rotation = Linear(gram_schmidt(output.matrix, factor.special))
        return about_centroid(rotation, x) if isinstance(factor, EuclideanGroup) else rotation

    @staticmethod
    def _flat(relaxation: Tensor, x: Structure) -> tuple[Tensor, Tensor]:
        return relaxation.flatten(0, 1), x.mask.repeat_interleave(relaxation.shape[1], 0)


class Relaxation:
    """From scores to the permutation that sorts them, with a soft one behind it where gradients are wanted."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.temperature = float(params["temperature"])
        self.steps = int(params["sinkhorn_steps"])
        self.entropy_weight = float(params["entropy_weight"])

    def sort(self, scores: Tensor, x: Structure) -> Permutation:
        """g whose inverse puts nodes in descending order of ``scores`` ``[B, K, N]`` (scaled to unit norm)."""
        mask = x.mask[:, None].expand_as(scores)
        scores = scores * mask
        scores = scores / scores.norm(dim=-1, keepdim=True).clamp_min(NORM_FLOOR)
        order = sort_descending(scores, mask)
        if not (torch.is_grad_enabled() and scores.requires_grad):
            return Permutation.from_images(order)
        in_order = scores.gather(-1, order)
        soft = soft_identity(in_order.flatten(0, 1), mask.flatten(0, 1), self.temperature, self.steps, UNIT_SPREAD)
        return Permutation.from_images(order, soft.view(*scores.shape, -1).mT)


@dataclass(frozen=True)
class QOutput:
    """What a q network puts out: node scores ``[B, K, N]``, a matrix ``[B, K, D, D]``, or both."""

    scores: Tensor | None = None
    matrix: Tensor | None = None


class QNetwork(nn.Module, ABC):
    """An equivariant network on an input and noise; ``scale`` multiplies the noise (the paper's eta)."""

    @abstractmethod
    def noise(self, x: Structure, samples: int, chance: Chance) -> Noise:
        """Noise of scale 1, that which breaks ties included."""

    @abstractmethod
    def forward(self, x: Structure, noise: Noise, scale: float) -> QOutput:
        """One output for every sample of noise."""


class GraphQ(QNetwork):
    """q for S_n on graphs: a scorer of nodes by the name ``q`` with the law ``noise`` on their features."""

    def __init__(self, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__()
        scorer = SCORERS[params["q"] or "gin"]
        self.scorer = scorer(signature.node_scalars, params["width"], params["layers"])
        self.features = NOISE[params["noise"] or "uniform"]

    def noise(self, x: Structure, samples: int, chance: Chance) -> Noise:
        features = self.features(x, samples, chance)
        return features, chance.uniform((len(x), samples, x.nodes), x.node_scalars)

    def forward(self, x: Structure, noise: Noise, scale: float) -> QOutput:
        features, ties = noise
        return QOutput(scores=self.scorer(x, scale * features) + TIE_NOISE * ties)


class GeometricQ(QNetwork):
    """q for rotations, and for permutations with them, on points and vectors; normal noise on both.

    Absent nodes are nobody's neighbours and count nowhere; where the task has none the mask is not looked at.
    """

    def __init__(self, signature: Signature, params: Mapping[str, Any], permutes: bool, rotates: bool) -> None:
        super().__init__()
        width, neighbours = params["width"], params["neighbours"]
        self.trunk = EdgeBlock(signature.geometry, width // 3, neighbours, DROPOUT)
        self.permutation = PermutationHead(width, neighbours) if permutes else None
        self.rotation = RotationHead(width, signature.dimension) if rotates else None
        self.padded = signature.padded

    def noise(self, x: Structure, samples: int, chance: Chance) -> Noise:
        lead = (len(x), samples)
        vectors = chance.normal((*lead, *x.geometry.shape[1:]), x.points)
        ties = chance.uniform((*lead, x.nodes), x.points)
        ranks = chance.normal((*lead, x.points.shape[2], x.points.shape[2]), x.points)
        return vectors, ties, ranks

    def forward(self, x: Structure, noise: Noise, scale: float) -> QOutput:
        vectors, ties, ranks = noise
        mask = x.mask.repeat_interleave(vectors.shape[1], 0) if self.padded else None
        features = self.trunk((x.geometry[:, None] + scale * vectors).flatten(0, 1), mask)
        scores = self.permutation(features, mask).view_as(ties) + TIE_NOISE * ties if self.permutation else None
        matrix = self.rotation(features, mask).reshape(ranks.shape) + RANK_NOISE * ranks if self.rotation else None
        return QOutput(scores, matrix)


def _network(group: Group, signature: Signature, params: Mapping[str, Any]) -> QNetwork:
    parts = factors(group)
    permutes = any(isinstance(factor, SymmetricGroup) for factor in parts)
    if signature.geometry == 0:
        return GraphQ(signature, params)
    return GeometricQ(signature, params, permutes, rotates=not permutes or len(parts) > 1)
