"""The vision transformer on PATTERN against the authors' code: symbols on the image's diagonal (Kim et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from baselines.symmetrized import Symmetrized
from harness.registry import resolve
from tasks.pattern import PatternTask
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure
from tests.golden.vectors import assert_values, below
from tests.golden.vision import (
    Q_NAMES,
    assert_gradients_in_base,
    assert_gradients_in_q,
    assert_places,
    close,
    graphs,
    measured,
    network,
    of_samples,
    tapped,
)

FOUND = measured("vit_pattern")
NOISE = FOUND["noise.features"], FOUND["noise.ties"]
NODES, DROPOUT = 188, 0.1


class GivenDropout(nn.Module):
    """Masks ``[B, K, N + 1, W]``, one for each layer; their first row is the virtual node's, which is our last one."""

    def __init__(self, masks: list[Tensor]) -> None:
        super().__init__()
        self.masks = [mask.roll(-1, 2).transpose(1, 2) for mask in masks]

    def forward(self, rows: Tensor) -> Tensor:
        mask = self.masks.pop(0)
        self.masks.append(mask)
        return rows * mask / (1 - DROPOUT)


def problem(**q: Any) -> tuple[Symmetrized, Structure]:
    """The network of the task's recipe under the protocol ``paper``, and small."""
    recipe = resolve("pattern", "vit-ps", "paper", 0, base={"weights": "random"}).base
    x = graphs(FOUND, FOUND["adjacency"][..., None])
    return network(x, Representation.NODE_SCALARS, FOUND, recipe, **q), x


def assert_predictions_and_gradients(model: Symmetrized, x: Structure, mode: str, but: str = "") -> None:
    """Also the gradient of the objective; that of the entropy alone for all weights of q but ``but``."""
    expected = below(FOUND, f"{mode}.")
    prediction = model.from_noise(x, NOISE, 2)
    close(prediction.value, expected["logits"])
    loss = PatternTask.__new__(PatternTask).loss(prediction.value, FOUND["labels"][..., None].double())
    entropy = prediction.penalty
    assert entropy is not None
    close(loss, expected["loss"])
    close(entropy, expected["entropy"])
    of_loss, of_entropy = below(expected, "gradient.loss.q."), below(expected, "gradient.entropy.q.")
    of_objective = {name: value + 0.1 * of_entropy[name] for name, value in of_loss.items()}
    alone = {name: value for name, value in of_entropy.items() if name != but}
    for value, gradients in ((loss, of_loss), (entropy, alone), (loss + 0.1 * entropy, of_objective)):
        assert_gradients_in_q(value, model, gradients)
    assert_gradients_in_base(loss, model, below(expected, "gradient.loss.base."))


def test_evaluated() -> None:
    model, x = problem()
    assert_predictions_and_gradients(model, x, "eval")


def test_trained() -> None:
    """The dropout of q is the file's; padded rows count in its batch statistics.

    The first layer's gradient of the entropy alone is not exact in the file: it is 1.4e-11 (of the largest entry) from
    what four other orders of the same sums agree on to 2e-12. In the objective's gradient that is nothing.
    """
    model, x = problem(dropout=DROPOUT)
    model.train()
    model.sampler.network.scorer.dropout = GivenDropout([FOUND[f"train.mask.layer{layer}"] for layer in range(3)])
    assert_predictions_and_gradients(model, x, "train", but="layer0.linear1.weight")
    assert_values(model.sampler.network.scorer, below(FOUND, "train.after.q."), Q_NAMES)


def test_pixels_tokens_and_maps() -> None:
    """The sequence is empty, so its projection adds the same to all tokens; the map is read where it is not cut off."""
    model, x = problem()
    (pixels, images), (_, sequences), (_, encoded), (_, maps) = (
        tapped(part) for part in (model.base.embed_image, model.base.embed_sequence, model.base.norm, model.base.head)
    )
    with torch.no_grad():
        model.from_noise(x, NOISE, 2)
    assert torch.equal(pixels[0], FOUND["eval.pixels"].flatten(0, 1))
    close(of_samples(images[0].flatten(2)), FOUND["eval.tokens.2d"])
    close(sequences[0].mT.expand(3, 2, -1, -1), FOUND["eval.tokens.1d"])
    encoded_by_sample = encoded[0].unflatten(0, (3, 2))
    close(encoded_by_sample[:, :, 0], FOUND["eval.pooled"])
    close(encoded_by_sample[:, :, 1:], FOUND["eval.encoded"])
    close(maps[0][0, :, :12, NODES - 12 : NODES].movedim(0, -1), FOUND["eval.map.corner"])
    close(of_samples(maps[0].diagonal(dim1=2, dim2=3)[..., :NODES]), FOUND["eval.map.diagonal"])
    assert_places(model, x, NOISE, FOUND["eval.node_at_place"])
