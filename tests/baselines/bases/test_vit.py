"""The vision transformer on graphs: what it fills against NumPy's padding, blocks and weights against the published.

Numbers of the authors' code are in tests/golden/test_vit_*.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import ViTConfig, ViTModel

from baselines.bases import vit, vit_encoder, vit_weights
from baselines.bases.vit import VisionTransformer
from baselines.catalogue import VIT
from baselines.catalogue.base_models import ViTSettings
from baselines.model import Equivariant
from tasks.symmetry.element import Permutation
from tasks.symmetry.groups import group
from tasks.symmetry.groups.symmetric import identity_permutation
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

SMALL: Mapping[str, Any] = {"grid": 4, "width": 16, "layers": 2, "heads": 2, "weights": "random"}
NODES = 10


def graphs() -> Structure:
    """Random graphs of several numbers of nodes."""
    counts, channels = (NODES, 7, 3, 1), 3
    mask = torch.arange(NODES) < torch.tensor(counts)[:, None]
    noise = torch.Generator().manual_seed(0)
    edges = torch.randn(len(counts), NODES, NODES, 1, generator=noise, dtype=torch.float64)
    features = torch.randn(len(counts), NODES, channels, generator=noise, dtype=torch.float64)
    present = (mask[:, :, None] & mask[:, None])[..., None]
    return Structure.build(mask, node_scalars=features * mask[..., None], edge_scalars=edges * present)


def network(output: Representation, channels: int = 2, **params: Any) -> VisionTransformer:
    torch.manual_seed(0)
    settings = VIT.settings_from({**SMALL, **params})
    return VisionTransformer(Signature.of(graphs(), output, channels), settings).double().eval()


def values(model: VisionTransformer, x: Structure) -> Tensor:
    """What it puts out for structures that no group element acts on."""
    return conjugated(model, x, identity_permutation(x))[:, 0]


def conjugated(model: VisionTransformer, x: Structure, element: Permutation) -> Tensor:
    y = model(model.pullback(x, element)).unflatten(0, (len(x), element.samples))
    return model.pushforward(y, element, model.output)


def test_has_the_blocks_of_the_published_size() -> None:
    signature = Signature.of(graphs(), Representation.NODE_SCALARS, 2)
    with torch.device("meta"):
        model = VisionTransformer(signature, VIT.settings_from({**SMALL, **vit_weights.SIZES}))
    projections = (model.embed_image, model.embed_sequence, model.head)
    new = sum(p.numel() for part in projections for p in part.parameters())
    published = ViTConfig(hidden_size=768, num_hidden_layers=12, num_attention_heads=12)  # image 224, patch 16
    with torch.device("meta"):
        whole = ViTModel(published, add_pooling_layer=False)
    assert sum(p.numel() for p in model.parameters()) - new == whole.num_parameters() - 768 * (3 * 16 * 16 + 1)
    assert whole.num_parameters() == 85_798_656


def test_encodes_an_image_as_the_published_model_does() -> None:
    x, model = graphs(), network(Representation.GRAPH_SCALARS)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=12,
        patch_size=3,
        num_channels=4,
        layer_norm_eps=1e-6,
    )
    theirs = ViTModel(config, add_pooling_layer=False).double().eval()
    projection = theirs.embeddings.patch_embeddings.projection
    projection.load_state_dict(model.embed_image.state_dict())
    with torch.no_grad():
        projection.bias += model.embed_sequence.bias  # of an empty sequence
    theirs.embeddings.cls_token, theirs.embeddings.position_embeddings = model.class_token, model.position
    theirs.layers, theirs.layernorm = model.blocks, model.norm
    image = torch.cat([x.edge_scalars.movedim(-1, 1), torch.diag_embed(x.node_scalars.mT)], 1)
    expected = model.head(theirs(torch.nn.functional.pad(image, (0, 2, 0, 2))).last_hidden_state[:, 0])
    torch.testing.assert_close(values(model, x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("nodes", [1, 2, 5, 12])
@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("reflect", "reflect"), ("circular", "wrap")])
def test_fills_as_numpy_pads(padding: str, mode: str, centred: bool, axes: int, nodes: int) -> None:
    """However small the graphs of a set are: more places than nodes take several reflections or rounds."""
    model = network(Representation.GRAPH_SCALARS, padding=padding, centred=centred)
    values = torch.randn(2, 3, *[nodes] * axes)
    before = (12 - nodes) // 2 * centred
    around = (before, 12 - nodes - before)
    filled = model._filled(values, 12, axes)
    expected = numpy.pad(values.numpy(), ((0, 0), (0, 0), *[around] * axes), mode=mode)  # type: ignore[call-overload]
    numpy.testing.assert_array_equal(filled.numpy(), expected)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("padding", vit.PADDINGS)
@pytest.mark.parametrize("output", [Representation.NODE_SCALARS, Representation.EDGE_SCALARS])
def test_reads_off_where_it_filled(output: Representation, padding: str, centred: bool) -> None:
    """A head that puts out the image itself, of which nodes are the diagonal."""
    x = graphs()
    model = network(output, channels=4, padding=padding, centred=centred)
    image = model._as_image(x)
    model.head = torch.nn.Module()
    model.head.forward = lambda tokens: model._filled(image.edge_scalars.movedim(-1, 1), 12, axes=2)
    found = values(model, x)
    if output is Representation.EDGE_SCALARS:
        torch.testing.assert_close(found, image.edge_scalars, rtol=0, atol=0)
    else:
        torch.testing.assert_close(found[..., 1:], x.node_scalars, rtol=0, atol=0)


@pytest.mark.parametrize("node_features", vit.NODE_FEATURES)
@pytest.mark.parametrize(
    "output", [Representation.GRAPH_SCALARS, Representation.NODE_SCALARS, Representation.EDGE_SCALARS]
)
def test_that_elements_act_on_images_changes_no_value(output: Representation, node_features: str) -> None:
    x, model = graphs(), network(output, node_features=node_features)
    element = group(("S_n",)).random(x, 3, torch.Generator().manual_seed(1))
    moved = values(model, x.acted(element.inverse())).unflatten(0, (len(x), 3))
    expected = element.act(moved, output)
    assert (expected[:, 0] - expected[:, 1]).abs().amax() > 1e-3
    torch.testing.assert_close(conjugated(model, x, element), expected, rtol=0, atol=1e-12)


def test_node_features_enter_once() -> None:
    """As channels of the image or as a sequence; a structure without them has an image alone."""
    x = graphs()
    bare = Structure.build(x.mask, edge_scalars=x.edge_scalars)
    for node_features, channels in (("diagonal", 4), ("sequence", 1)):
        model = network(Representation.GRAPH_SCALARS, node_features=node_features)
        assert (model.embed_image.in_channels, model.embed_sequence.in_channels) == (channels, 3)
        changed = replace(x, node_scalars=x.node_scalars * 2)
        assert ((values(model, changed) - values(model, x)).abs().amax(1) > 1e-3).all()
        signature = Signature.of(bare, Representation.GRAPH_SCALARS, 2)
        of_edges = VisionTransformer(signature, VIT.settings_from({**SMALL, "node_features": node_features})).double()
        assert of_edges.embed_sequence is None and values(of_edges, bare).shape == (4, 2)


@pytest.mark.parametrize("output", [Representation.NODE_SCALARS, Representation.EDGE_SCALARS])
def test_puts_out_the_shape_of_the_task_and_nothing_for_absent_nodes(output: Representation) -> None:
    x = graphs()
    y = values(network(output, channels=5), x)
    nodes = x.mask[..., None].expand(-1, -1, 5)
    present = nodes if output is Representation.NODE_SCALARS else nodes[:, :, None] & nodes[:, None]
    assert y.shape == present.shape
    assert (y[~present] == 0).all() and (y[present] != 0).all()


def test_one_graph_is_not_changed_by_its_neighbours_in_the_batch() -> None:
    x, model = graphs(), network(Representation.NODE_SCALARS, padding="reflect", centred=True)
    alone = torch.cat([values(model, x[index : index + 1]) for index in range(len(x))])
    torch.testing.assert_close(values(model, x), alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("part", "kept"), [(0.5, 8), (0.4, 9), (0.97, 1)])
def test_patch_dropout_encodes_the_patches_it_keeps(part: float, kept: int) -> None:
    """Of 16, a number that is cut, not rounded; one is left."""
    model = network(Representation.GRAPH_SCALARS, patch_dropout=part)
    seen: list[torch.Size] = []
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    whole = values(model, graphs())
    torch.manual_seed(1)
    dropped = values(model.train(), graphs())
    assert [shape[1] for shape in seen] == [17, 1 + kept]
    assert (dropped - whole).abs().amax() > 1e-6
    torch.testing.assert_close(values(model.eval(), graphs()), whole, rtol=0, atol=0)


def test_patches_are_dropped_of_each_graph_by_itself() -> None:
    """Any of them as often as any other."""
    model = network(Representation.GRAPH_SCALARS, patch_dropout=0.75).train()
    kept = model._kept(torch.zeros(2000, 16, 8)).sort(1).values
    assert (kept.diff() > 0).all() and len(kept.unique(dim=0)) > 1000  # of 1820 choices
    counts = kept.flatten().bincount(minlength=16)
    assert (counts - 500).abs().max() < 5 * (2000 * 0.25 * 0.75) ** 0.5


def test_drawn_patch_dropout_keeps_another_number_at_every_step() -> None:
    model = network(Representation.GRAPH_SCALARS, patch_dropout=0.5, patch_dropout_drawn=True).train()
    seen: list[int] = []
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[1]))
    for _ in range(20):
        values(model, graphs())
    assert len(set(seen)) > 3 and min(seen) >= 9 and max(seen) <= 17


def test_takes_the_weights_of_the_other_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16)
    stored = ViTModel(config, add_pooling_layer=False)
    stored.save_pretrained(tmp_path)
    monkeypatch.setattr(vit_encoder, "IN21K", str(tmp_path))
    monkeypatch.setattr(vit_encoder, "SIZES", {"grid": 4, "width": 16})
    model = network(Representation.GRAPH_SCALARS, weights="in21k")
    for ours, theirs in zip(model.blocks.parameters(), stored.layers.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.double(), rtol=0, atol=0)
    torch.testing.assert_close(model.position, stored.embeddings.position_embeddings.double(), rtol=0, atol=0)
    assert {module.eps for module in model.modules() if isinstance(module, torch.nn.LayerNorm)} == {1e-6}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and no way to the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    vit_weights.at_hand.cache_clear()
    return tmp_path


def in_cache(hub: Path, checkpoint: str, weights: Mapping[str, Tensor]) -> None:
    """As the hub's client lays a file out."""
    folder = hub / f"models--{checkpoint.replace('/', '--')}"
    for part in ("refs", "snapshots/0123abc"):
        (folder / part).mkdir(parents=True)
    (folder / "refs" / "main").write_text("0123abc")
    save_file(dict(weights), folder / "snapshots" / "0123abc" / vit_weights.FILE)


def in_the_names_of_timm(width: int, layers: int, tokens: int) -> dict[str, Tensor]:
    """Random weights of a whole network of images of 16 x 16 pixels a patch."""
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, tokens, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (5, width),
        "head.bias": (5,),
    }
    parts = {
        "norm1": (width,),
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
        "norm2": (width,),
        "mlp.fc1": (4 * width, width),
        "mlp.fc2": (width, 4 * width),
    }
    for layer in range(layers):
        for part, shape in parts.items():
            shapes |= {f"blocks.{layer}.{part}.weight": shape, f"blocks.{layer}.{part}.bias": shape[:1]}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_takes_the_published_weights_under_their_own_names(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but patch embedding and head; what they compute is in tests/golden/test_vit_*.py."""
    stored = in_the_names_of_timm(width=16, layers=2, tokens=17)
    in_cache(hub, vit_weights.AUGREG, stored)
    monkeypatch.setattr(vit_encoder, "SIZES", {"grid": 4, "width": 16})
    model = network(Representation.GRAPH_SCALARS, weights="augreg_in21k").float()
    assert torch.equal(model.class_token, stored["cls_token"]) and torch.equal(model.position, stored["pos_embed"])
    second = model.blocks[1]
    stacked = [getattr(second.attention, f"{name}_proj").weight for name in "qkv"]
    assert torch.equal(torch.cat(stacked), stored["blocks.1.attn.qkv.weight"])
    assert torch.equal(second.layernorm_after.bias, stored["blocks.1.norm2.bias"])
    assert torch.equal(second.mlp.fc2.weight, stored["blocks.1.mlp.fc2.weight"])
    assert torch.equal(model.norm.bias, stored["norm.bias"])


def test_a_checkpoint_that_lacks_a_weight_is_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = in_the_names_of_timm(width=16, layers=2, tokens=17)
    stored.pop("blocks.1.mlp.fc2.weight")
    in_cache(hub, vit_weights.AUGREG, stored)
    monkeypatch.setattr(vit_encoder, "SIZES", {"grid": 4, "width": 16})
    with pytest.raises(RuntimeError, match=r"Missing key.*layers\.1\.mlp\.fc2\.weight"):
        network(Representation.GRAPH_SCALARS, weights="augreg_in21k")


def test_the_published_size_fits_the_network() -> None:
    with torch.device("meta"):
        names = vit_encoder.from_timm(in_the_names_of_timm(width=768, layers=12, tokens=197))
        ours = vit_encoder.encoder(ViTSettings(weights="random")).state_dict()
    assert {name: value.shape for name, value in names.items()} == {
        name: value.shape for name, value in ours.items() if "patch_embeddings" not in name
    }


@pytest.mark.parametrize(
    ("params", "output", "sentence"),
    [
        ({"padding": "edge"}, Representation.GRAPH_SCALARS, "known are zeros, reflect, circular"),
        ({"patch_dropout": 0.5}, Representation.NODE_SCALARS, "set it to 0"),
        ({"node_features": "rows"}, Representation.NODE_SCALARS, "known are diagonal, sequence"),
        ({"weights": "augreg_in21k"}, Representation.NODE_SCALARS, "those of ViT-B/16, so grid and width and"),
        ({"weights": "mine"}, Representation.NODE_SCALARS, "known are auto, augreg_in21k, in21k, random"),
    ],
)
def test_says_what_cannot_be(params: dict[str, Any], output: Representation, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network(output, **params)


def test_auto_means_the_best_checkpoint_that_fits_and_is_at_hand(hub: Path) -> None:
    """The published one, else the other one, else none; tables tell it by its name."""

    def found(**params: Any) -> str | None:
        vit_weights.at_hand.cache_clear()
        return VIT.weights(VIT.resolve(VIT.settings_from(params)))

    assert found() == "random weights"
    in_cache(hub, vit_weights.IN21K, {})
    assert found() == "google/vit-base-patch16-224-in21k"
    in_cache(hub, vit_weights.AUGREG, {})
    assert found() == "timm/vit_base_patch16_224.augreg_in21k"
    assert found(width=192) == "random weights"
    assert found(weights="in21k") == "google/vit-base-patch16-224-in21k"


def test_a_file_that_the_hub_is_known_to_lack_is_not_at_hand(hub: Path) -> None:
    """Its client keeps that as an empty file, and says so by an object of its own."""
    in_cache(hub, vit_weights.AUGREG, {})
    assert vit_weights.in_cache(vit_weights.AUGREG)
    (snapshot,) = hub.glob(f"*/snapshots/*/{vit_weights.FILE}")
    snapshot.unlink()
    absent = snapshot.parents[2] / ".no_exist" / snapshot.parent.name / vit_weights.FILE
    absent.parent.mkdir(parents=True)
    absent.touch()
    assert huggingface_hub.try_to_load_from_cache(vit_weights.AUGREG, vit_weights.FILE) is not None
    assert not vit_weights.in_cache(vit_weights.AUGREG)


def test_weights_that_are_not_known_have_no_name_in_tables() -> None:
    assert [vit_weights.label(weights) for weights in ("random", "in21k", "mine", "auto")] == [
        "random weights",
        vit_weights.IN21K,
        None,
        None,
    ]


@pytest.mark.parametrize("output", [Representation.GRAPH_SCALARS, Representation.EDGE_SCALARS])
def test_blocks_are_compiled_once_for_all_layers(output: Representation, monkeypatch: pytest.MonkeyPatch) -> None:
    """In training: to the values and gradients of eager mode. The backend traces both passes and generates no code."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda block: compile(block, backend="aot_eager", fullgraph=True))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    transformer = network(output, layers=5)
    model, image = Equivariant(transformer).train(), transformer.pullback(graphs(), identity_permutation(graphs()))
    found = []
    for model.compiles in (False, True, True):
        model.zero_grad(set_to_none=True)
        value = model(image, 1).value
        value.square().sum().backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        found.append([value.detach(), *gradients])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    for compiled in found[1:]:
        torch.testing.assert_close(compiled, found[0], rtol=1e-9, atol=1e-11)
