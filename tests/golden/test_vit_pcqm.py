"""The vision transformer on PCQM-Contact against the authors' code: scores of pairs (Kim et al. 2023, section 4.4)."""

from __future__ import annotations

import torch

from baselines.bases.vit import VisionTransformer
from baselines.symmetrized import Symmetrized
from harness.registry import resolve
from tasks.pcqm_contact import PCQMContact
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure
from tests.golden.vectors import below
from tests.golden.vision import (
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

FOUND = measured("vit_pcqm")
NOISE = FOUND["noise.features"], FOUND["noise.ties"]


def problem() -> tuple[Symmetrized, Structure]:
    """The network of the task's recipe under the protocol ``paper``, and small."""
    recipe = resolve("pcqm_contact", "vit-ps", "paper", 0, base={"weights": "random"}).base
    x = graphs(FOUND, FOUND["edge_features"])
    return network(x, Representation.EDGE_SCALARS, FOUND, recipe), x


def test_logits_loss_entropy_and_gradients() -> None:
    model, x = problem()
    assert_places(model, x, NOISE, FOUND["node_at_place"])
    prediction = model.from_noise(x, NOISE, 2)
    loss = PCQMContact.__new__(PCQMContact).loss(prediction.value, FOUND["pair_labels"][..., None])
    entropy = prediction.penalty
    assert entropy is not None
    close(prediction.value[..., 0], FOUND["logits"])
    close(loss, FOUND["loss"])
    close(entropy, FOUND["entropy"])
    assert_gradients_in_q(loss, model, below(FOUND, "gradient.loss.q."))
    assert_gradients_in_base(loss, model, below(FOUND, "gradient.loss.base."))
    assert_gradients_in_q(entropy, model, below(FOUND, "gradient.entropy.q."))


def test_pixels_sequence_and_tokens() -> None:
    model, x = problem()
    (pixels, images), (places, sequences), (_, encoded) = (
        tapped(part) for part in (model.base.embed_image, model.base.embed_sequence, model.base.norm)
    )
    with torch.no_grad():
        model.from_noise(x, NOISE, 2)
    assert torch.equal(pixels[0], FOUND["pixels"].flatten(0, 1))
    assert torch.equal(places[0], FOUND["sequence"].flatten(0, 1))
    close(of_samples(images[0].flatten(2)), FOUND["tokens.2d"])
    close(of_samples(sequences[0]), FOUND["tokens.1d"])
    close(encoded[0][:, 0], FOUND["pooled"].flatten(0, 1))


def test_what_stands_where() -> None:
    """-1 is zero, so that places are counted from one."""
    base = problem()[0].base
    assert isinstance(base, VisionTransformer)
    place = torch.arange(53) + 1
    assert torch.equal(base._filled(place[None, None], 196, axes=1)[0, 0], FOUND["pad_source.1d"] + 1)
    diagonal = base._filled(place.diag()[None, None], 56, axes=2)[0, 0].diagonal()
    assert torch.equal(diagonal.expand(2, -1), FOUND["pad_source.2d"] + 1)
