"""The vision transformer on peptides against the authors' code: a sequence of atoms beside the image of bonds.

Images and sequences are filled by reflection (func) and in a circle (struct), around a graph that stands top left in
them (Kim et al. 2023, section 4.4).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.bases.vit import VisionTransformer
from baselines.symmetrized import Symmetrized
from harness.registry import resolve
from tasks.peptides import Peptides, PeptidesFunc, PeptidesStruct
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure
from tests.golden.vectors import Vectors, below
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

FOUND = measured("vit_peptides")
NOISE = FOUND["noise.features"], FOUND["noise.ties"]
TASKS = {"func": PeptidesFunc, "struct": PeptidesStruct}

pytestmark = pytest.mark.parametrize("name", TASKS)


def problem(name: str) -> tuple[Symmetrized, Structure]:
    """The network of the task's recipe under the protocol ``paper``, without patch dropout, and small."""
    recipe = resolve(f"peptides_{name}", "vit-ps", "paper", 0, base={"weights": "random"}).base
    x = graphs(FOUND, FOUND["edge_features"])
    return network(x, Representation.GRAPH_SCALARS, with_head(name), {**recipe, "patch_dropout_drawn": False}), x


def with_head(name: str) -> Vectors:
    """The file without the head of the other task."""
    others = {f"base.head.{other}." for other in TASKS if other != name}
    return {key.replace(f"head.{name}.", "head."): v for key, v in FOUND.items() if not key.startswith(tuple(others))}


def test_outputs_loss_entropy_and_gradients(name: str) -> None:
    model, x = problem(name)
    expected = below(FOUND, f"{name}.")
    assert_places(model, x, NOISE, expected["node_at_place"])
    prediction = model.from_noise(x, NOISE, 2)
    task: type[Peptides] = TASKS[name]
    loss = task.__new__(task).loss(prediction.value, FOUND[f"labels.{name}"])
    assert prediction.penalty is not None
    close(prediction.value, expected["output"])
    close(loss, expected["loss"])
    close(prediction.penalty, expected["entropy"])
    assert_gradients_in_q(loss, model, below(expected, "gradient.loss.q."))
    assert_gradients_in_base(loss, model, below(expected, "gradient.loss.base."))


def test_pixels_sequence_and_tokens(name: str) -> None:
    model, x = problem(name)
    expected = below(FOUND, f"{name}.")
    (pixels, images), (places, sequences), (_, encoded), (_, outputs) = (
        tapped(part) for part in (model.base.embed_image, model.base.embed_sequence, model.base.norm, model.base.head)
    )
    with torch.no_grad():
        model.from_noise(x, NOISE, 2)
    assert torch.equal(pixels[0][::2], expected["pixels"]) and torch.equal(places[0][::2], expected["sequence"])
    close(of_samples(images[0].flatten(2)), expected["tokens.2d"])
    close(of_samples(sequences[0]), expected["tokens.1d"])
    close(encoded[0][:, 0], expected["pooled"].flatten(0, 1))
    close(outputs[0], expected["output_by_sample"].flatten(0, 1))


def test_what_stands_where(name: str) -> None:
    base, found = problem(name)[0].base, below(FOUND, f"{name}.pad_source.")
    assert isinstance(base, VisionTransformer)
    node = torch.arange(444)
    assert torch.equal(base._filled(node[None, None], 588, axes=1)[0, 0], found["1d"])
    for axis, source in enumerate(found["2d"]):
        of_axis = node.expand(1, 1, 444, 444) if axis else node[:, None].expand(1, 1, 444, 444)
        painted = base._filled(of_axis, 448, axes=2)[0, 0]
        assert torch.equal(painted if axis else painted.mT, source.expand(448, 448))


def test_patch_dropout(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of patches that are kept, and what comes of those that the file kept.

    In the authors' code patches are dropped in evaluation too; in ours in training alone.
    """
    model, x = problem(name)
    expected = below(FOUND, f"{name}.dropped.")
    model.base.train().patch_dropout = expected["rate"].item()
    kept = expected["kept"].flatten(0, 1)
    drawn = model.base._kept(torch.zeros(4, 196, 8))
    assert drawn.shape == kept.shape and all(len(places.unique()) == kept.shape[1] for places in drawn)

    def given(patches: Tensor) -> Tensor:
        assert patches.shape[:2] == (4, 196)
        return kept

    monkeypatch.setattr(model.base, "_kept", given)
    _, encoded = tapped(model.base.norm)
    with torch.no_grad():
        close(model.from_noise(x, NOISE, 2).value, expected["output"])
    close(encoded[0][:, 0], expected["pooled"].flatten(0, 1))
