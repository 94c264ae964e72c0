"""What the golden tests on vision transformers share: the symmetrized network with the weights of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from baselines.bases.vit import VisionTransformer
from baselines.bases.vit_encoder import from_timm
from baselines.catalogue import VIT
from baselines.symmetrized import Symmetrized
from tasks.symmetry.element import Permutation
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.golden.vectors import FORWARD, Vectors, assert_gradients, below, graph_q_names, graph_sampler, vectors

SAMPLES = 2
Q_NAMES = dict(graph_q_names(3))
IN_TIMM = {  # parts of a block and what stands beside the blocks
    "qkv": "attn.qkv",
    "out": "attn.proj",
    "feed0": "mlp.fc1",
    "feed1": "mlp.fc2",
    "class_token": "cls_token",
    "position": "pos_embed",
}
PROJECTIONS = {"conv2d": "embed_image", "conv1d": "embed_sequence", "head": "head"}
IN_BASE = {  # what ViTModel calls the parts of our base model
    "embeddings.cls_token": "class_token",
    "embeddings.position_embeddings": "position",
    "layers": "blocks",
    "layernorm": "norm",
}


def measured(name: str) -> Vectors:
    """The arrays of one file; bytes, which hold small whole numbers, as float64."""
    small = (torch.uint8, torch.int8)
    return {key: value.double() if value.dtype in small else value for key, value in vectors(name).items()}


def graphs(found: Vectors, edges: Tensor) -> Structure:
    """Graphs with ``edges`` ``[B, N, N, E]``."""
    features = found["node_features"]
    mask = torch.arange(features.shape[1]) < found["node_counts"][:, None]
    return Structure.build(mask, node_scalars=features, edge_scalars=edges)


def network(x: Structure, output: Representation, found: Vectors, base: Mapping[str, Any], **q: Any) -> Symmetrized:
    """One block of width 8 with 2 heads, in evaluation; its penalty, computed as in training, is the entropy alone."""
    signature = Signature.of(x, output, len(found["base.head.bias"]))
    small = {"width": 8, "layers": 1, "heads": 2, "weights": "random"}
    transformer = VisionTransformer(signature, VIT.settings_from({**base, **small}))
    transformer.load_state_dict(base_in_our_names(below(found, "base.")))
    sampler = graph_sampler(x, signature, below(found, "q."), entropy_weight=1.0, **q)
    model = Symmetrized(transformer, sampler, output).double().eval()
    model.training = True
    return model


def base_in_our_names(weights: Vectors) -> Vectors:
    """The projections, and what ``vit_encoder.from_timm`` makes of the encoder's weights."""
    projections, timm = {}, {}
    for name, value in weights.items():
        stem, _, kind = name.rpartition(".")
        if stem in PROJECTIONS:
            projections[f"{PROJECTIONS[stem]}.{kind}"] = value
        else:
            parts = [IN_TIMM.get(part, part) for part in name.split(".")]
            timm[re.sub(r"^block(\d)", r"blocks.\1", ".".join(parts))] = value
    stem_of = re.compile("|".join(f"^{re.escape(name)}" for name in IN_BASE))
    encoder = {stem_of.sub(lambda stem: IN_BASE[stem[0]], name): value for name, value in from_timm(timm).items()}
    return {**projections, **encoder}


def assert_gradients_in_q(value: Tensor, model: Symmetrized, expected: Vectors) -> None:
    """Of the scalar ``value``, to the tolerance of the file."""
    _backward(value, model)
    assert_gradients(model.sampler.network.scorer, expected, Q_NAMES)


def assert_gradients_in_base(value: Tensor, model: Symmetrized, expected: Vectors) -> None:
    """Of the scalar ``value``, to the tolerance of the file."""
    _backward(value, model)
    ours = base_in_our_names(expected)
    assert_gradients(model.base, ours, dict(zip(ours, ours, strict=True)))


def _backward(value: Tensor, model: Symmetrized) -> None:
    model.zero_grad()
    value.backward(retain_graph=True)


def assert_places(model: Symmetrized, x: Structure, noise: tuple[Tensor, Tensor], expected: Tensor) -> None:
    """``node_at_place`` ``[B, K, N]``, -1 where no node is left."""
    element = model.sampler(x, noise).element
    assert isinstance(element, Permutation)
    assert torch.equal(element.images.where(x.mask[:, None], -1), expected)


def tapped(module: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """What goes into a module and what comes out, call by call."""
    into: list[Tensor] = []
    out: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        into.append(inputs[0].detach())
        out.append(output.detach())

    module.register_forward_hook(note)
    return into, out


def of_samples(values: Tensor) -> Tensor:
    """``[B * K, C, T]`` as ``[B, K, T, C]``."""
    return values.mT.unflatten(0, (-1, SAMPLES))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected.reshape(found.shape), **FORWARD)
