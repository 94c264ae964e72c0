"""The vision transformer on graphs: its canvas against NumPy's padding, its blocks against the published model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from transformers import ViTConfig, ViTModel

from baselines.bases import vit, vit_weights
from baselines.bases.vit import VisionTransformer
from baselines.catalogue import VIT
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

SMALL: Mapping[str, Any] = {**VIT.params, "grid": 4, "width": 16, "layers": 2, "heads": 2, "weights": "random"}
NODES = 10


def graphs(counts: tuple[int, ...] = (NODES, 7, 3, 1), channels: int = 3) -> Structure:
    """Random graphs of these numbers of nodes."""
    mask = torch.arange(NODES) < torch.tensor(counts)[:, None]
    noise = torch.Generator().manual_seed(0)
    edges = torch.randn(len(counts), NODES, NODES, 1, generator=noise, dtype=torch.float64)
    features = torch.randn(len(counts), NODES, channels, generator=noise, dtype=torch.float64)
    present = (mask[:, :, None] & mask[:, None])[..., None]
    return Structure.build(mask, node_scalars=features * mask[..., None], edge_scalars=edges * present)


def network(output: Representation, channels: int = 2, **params: Any) -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(Signature.of(graphs(), output, channels), {**SMALL, **params}).double().eval()


def test_has_the_blocks_of_the_published_size() -> None:
    signature = Signature.of(graphs(), Representation.NODE_SCALARS, 2)
    with torch.device("meta"):
        model = VisionTransformer(signature, {**SMALL, **vit_weights.SIZES})
    new = sum(p.numel() for part in (model.embed, model.head) for p in part.parameters())
    published = ViTConfig(hidden_size=768, num_hidden_layers=12, num_attention_heads=12)  # image 224, patch 16
    with torch.device("meta"):
        whole = ViTModel(published, add_pooling_layer=False)
    assert sum(p.numel() for p in model.parameters()) - new == whole.num_parameters() - 768 * (3 * 16 * 16 + 1)
    assert whole.num_parameters() == 85_798_656


def test_encodes_an_image_as_the_published_model_does() -> None:
    model = network(Representation.GRAPH_SCALARS)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=12, patch_size=3,
        num_channels=4,
    )  # fmt: skip
    theirs = ViTModel(config, add_pooling_layer=False).double().eval()
    theirs.embeddings.patch_embeddings.projection.load_state_dict(model.embed.state_dict())
    theirs.embeddings.cls_token, theirs.embeddings.position_embeddings = model.class_token, model.position
    theirs.layers, theirs.layernorm = model.blocks, model.norm
    image = torch.nn.functional.pad(vit._image(graphs()), (0, 2, 0, 2))
    expected = model.head(theirs(image).last_hidden_state[:, 0])
    torch.testing.assert_close(model(graphs()), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("reflect", "reflect"), ("circular", "wrap")])
def test_paints_as_numpy_pads(padding: str, mode: str, centred: bool) -> None:
    x = graphs((NODES, 7, 3, 2))
    model = network(Representation.GRAPH_SCALARS, padding=padding, centred=centred)
    start = (model.canvas - x.node_counts) // 2 * centred
    painted = model._painted(vit._image(x), x.node_counts, start)
    assert painted.shape == (4, 4, 12, 12)
    for graph, (count, first) in enumerate(zip(x.node_counts.tolist(), start.tolist(), strict=True)):
        image = vit._image(x)[graph, :, :count, :count].numpy()
        around = (first, model.canvas - count - first)
        expected = numpy.pad(image, ((0, 0), around, around), mode=mode)  # type: ignore[call-overload]
        numpy.testing.assert_array_equal(painted[graph].numpy(), expected)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("padding", vit.PADDINGS)
def test_reads_off_where_it_painted(padding: str, centred: bool) -> None:
    x = graphs()
    model = network(Representation.GRAPH_SCALARS, padding=padding, centred=centred)
    start = (model.canvas - x.node_counts) // 2 * centred
    canvas = model._painted(vit._image(x), x.node_counts, start)
    edges = vit._read_off(canvas, x, start, Representation.EDGE_SCALARS)
    torch.testing.assert_close(edges[..., :1], x.edge_scalars, rtol=0, atol=0)
    nodes = vit._read_off(canvas, x, start, Representation.NODE_SCALARS)
    torch.testing.assert_close(nodes[..., 1:], x.node_scalars, rtol=0, atol=0)


@pytest.mark.parametrize("output", [Representation.NODE_SCALARS, Representation.EDGE_SCALARS])
def test_puts_out_the_shape_of_the_task_and_nothing_for_absent_nodes(output: Representation) -> None:
    x = graphs()
    y = network(output, channels=5)(x)
    nodes = x.mask[..., None].expand(-1, -1, 5)
    present = nodes if output is Representation.NODE_SCALARS else nodes[:, :, None] & nodes[:, None]
    assert y.shape == present.shape
    assert (y[~present] == 0).all() and (y[present] != 0).all()


def test_one_graph_is_not_changed_by_its_neighbours_in_the_batch() -> None:
    x, model = graphs(), network(Representation.NODE_SCALARS, padding="reflect", centred=True)
    alone = torch.cat([model(x[index : index + 1]) for index in range(len(x))])
    torch.testing.assert_close(model(x), alone, rtol=0, atol=1e-12)


def test_patch_dropout_encodes_the_patches_it_keeps() -> None:
    model = network(Representation.GRAPH_SCALARS, patch_dropout=0.5)
    seen: list[torch.Size] = []
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    whole = model(graphs())
    torch.manual_seed(1)
    part = model.train()(graphs())
    assert [shape[1] for shape in seen] == [17, 9]
    assert (part - whole).abs().amax() > 1e-6
    torch.testing.assert_close(model.eval()(graphs()), whole, rtol=0, atol=0)


def test_drawn_patch_dropout_keeps_another_number_at_every_step() -> None:
    model = network(Representation.GRAPH_SCALARS, patch_dropout=0.5, patch_dropout_drawn=True).train()
    seen: list[int] = []
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[1]))
    for _ in range(20):
        model(graphs())
    assert len(set(seen)) > 3 and min(seen) >= 9 and max(seen) <= 17


def test_takes_the_weights_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16)
    stored = ViTModel(config, add_pooling_layer=False)
    stored.save_pretrained(tmp_path)
    monkeypatch.setattr(vit, "CHECKPOINT", str(tmp_path))
    monkeypatch.setattr(vit, "SIZES", {"grid": 4, "width": 16})
    model = network(Representation.GRAPH_SCALARS, weights="imagenet21k")
    for ours, theirs in zip(model.blocks.parameters(), stored.layers.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.double(), rtol=0, atol=0)
    torch.testing.assert_close(model.position, stored.embeddings.position_embeddings.double(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("params", "output", "sentence"),
    [
        ({"padding": "edge"}, Representation.GRAPH_SCALARS, "known are zeros, reflect, circular"),
        ({"patch_dropout": 0.5}, Representation.NODE_SCALARS, "set it to 0"),
        ({"weights": "imagenet21k"}, Representation.NODE_SCALARS, "those of ViT-B/16, so grid and width and"),
        ({"weights": "mine"}, Representation.NODE_SCALARS, "known are auto, imagenet21k, random"),
    ],
)
def test_says_what_cannot_be(params: dict[str, Any], output: Representation, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network(output, **params)


def test_auto_means_the_checkpoint_where_it_fits_and_is_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {**VIT.params, "weights": "auto"}
    monkeypatch.setattr(vit_weights, "at_hand", lambda: True)
    assert vit_weights.resolved(asked)["weights"] == "imagenet21k"
    assert vit_weights.resolved({**asked, "width": 192})["weights"] == "random"
    monkeypatch.setattr(vit_weights, "at_hand", lambda: False)
    assert vit_weights.resolved(asked)["weights"] == "random"
    assert vit_weights.resolved({**asked, "weights": "imagenet21k"})["weights"] == "imagenet21k"
