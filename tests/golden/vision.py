"""What the golden tests on vision transformers share: the vectors, the symmetrized network, official weights in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.bases.vit import VisionTransformer
from baselines.bases.vit_encoder import from_timm
from baselines.catalogue import LEARNED, VIT
from baselines.samplers.learned import LearnedSampler
from baselines.symmetrized import Symmetrized
from tasks.symmetry.element import Permutation
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

Vectors = Mapping[str, Tensor]
SAMPLES = 2
FORWARD, GRADIENT = 1e-12, 1e-11  # the second of the largest entry of the group of weights
IN_Q = {"mean": "running_mean", "var": "running_var"}
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


def vectors(name: str) -> Vectors:
    """All arrays of ``name``.npz; small whole numbers as float64."""
    with np.load(Path(__file__).with_name(f"{name}.npz")) as arrays:
        found = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    return {key: value.double() if value.dtype in (torch.uint8, torch.int8) else value for key, value in found.items()}


def below(found: Vectors, prefix: str) -> Vectors:
    """The arrays whose names start with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}


def graphs(found: Vectors, edges: Tensor) -> Structure:
    nodes = found["node_features"].shape[1]
    mask = torch.arange(nodes) < found["node_counts"][:, None]
    return Structure.build(mask, node_scalars=found["node_features"], edge_scalars=edges)


def network(x: Structure, output: Representation, channels: int, base: Any = None, q: Any = None) -> Symmetrized:
    """One block of width 8 with 2 heads, q of width 16; the penalty is the entropy, unweighted."""
    small = {"width": 8, "layers": 1, "heads": 2, "weights": "random"}
    law = {"width": 16, "layers": 3, "noise_scale": 1.0, "temperature": 0.01, "input_linear": False}
    signature = Signature.of(x, output, channels)
    sampler = LearnedSampler(group(("S_n",)), signature, {**LEARNED.params, **law, "entropy_weight": 1.0, **(q or {})})
    model = Symmetrized(VisionTransformer(signature, {**VIT.params, **small, **(base or {})}), sampler, output)
    model.double().eval().training = True  # q and base are as in evaluation, and the entropy is told
    return model


def load(model: Symmetrized, q: Vectors, base: Vectors) -> None:
    missing, unexpected = model.sampler.load_state_dict(q_in_our_names(q), strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    model.base.load_state_dict(base_in_our_names(base))


def q_in_our_names(weights: Vectors) -> dict[str, Tensor]:
    """``layer1.norm2.mean`` becomes ``network.scorer.layers.1.mlp.1.norm.running_mean``."""

    def ours(name: str) -> str:
        name = re.sub(r"^layer(\d)", r"layers.\1", name)
        name = re.sub(r"(linear|norm)(\d)", lambda part: f"mlp.{int(part[2]) - 1}.{part[1]}", name)
        stem, _, last = name.rpartition(".")
        return "network.scorer." + (f"{stem}.{IN_Q.get(last, last)}" if stem else name)

    return {ours(name): value for name, value in weights.items()}


def base_in_our_names(weights: Vectors) -> dict[str, Tensor]:
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


def of_samples(values: Tensor) -> Tensor:
    """``[B * K, C, T]`` as ``[B, K, T, C]``."""
    return values.mT.unflatten(0, (-1, SAMPLES))


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


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected.reshape(found.shape), atol=FORWARD, rtol=0)


def assert_gradients(value: Tensor, module: nn.Module, expected: Mapping[str, Tensor]) -> None:
    """Of the scalar ``value`` with respect to the weights of ``expected``; one that does not enter has zero."""
    weights = [module.get_parameter(name) for name in expected]
    found = torch.autograd.grad(value, weights, retain_graph=True, materialize_grads=True)
    tolerance = GRADIENT * max(entries.abs().max().item() for entries in expected.values())
    assert tolerance > 0
    for name, gradient in zip(expected, found, strict=True):
        torch.testing.assert_close(
            gradient, expected[name], atol=tolerance, rtol=0, msg=lambda text, of=name: f"{of}: {text}"
        )
