"""The blocks of the vision transformer, from Hugging Face ``transformers``, and their initial weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from baselines.bases.vit_weights import AUGREG, CHECKPOINTS, FILE, IN21K, SIZES
from baselines.catalogue.base_models import ViTSettings
from tasks.extras import require

NORM_EPS = 1e-6  # of all published vision transformers; the default of transformers differs
_IN_BLOCK = {  # timm's names and those of transformers
    "norm1": "layernorm_before",
    "attn.proj": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def encoder(settings: ViTSettings) -> Any:
    """A ``ViTModel`` with ``grid * grid`` patches and no pooling layer. Its patch embedding is not used.

    Raises:
        ValueError: The settings are invalid.
        MissingExtra: The extra ``vision`` is not installed.
    """
    require("The vision transformer", "transformers", "huggingface_hub")
    from transformers import ViTConfig, ViTModel

    weights = settings.weights
    if weights != "random" and weights not in CHECKPOINTS:
        raise ValueError(f"there are no weights '{weights}'; known are auto, {', '.join(CHECKPOINTS)}, random")
    if weights != "random" and (wrong := [name for name, size in SIZES.items() if getattr(settings, name) != size]):
        raise ValueError(f"the ImageNet weights are those of ViT-B/16, so {' and '.join(wrong)} cannot differ")
    if weights == "in21k":
        return ViTModel.from_pretrained(IN21K, add_pooling_layer=False, use_safetensors=True, layer_norm_eps=NORM_EPS)
    config = ViTConfig(
        image_size=settings.grid,
        patch_size=1,
        hidden_size=settings.width,
        intermediate_size=4 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        layer_norm_eps=NORM_EPS,
    )
    model = ViTModel(config, add_pooling_layer=False)
    if weights == "augreg_in21k":
        unused = {name: value for name, value in model.state_dict().items() if "patch_embeddings" in name}
        model.load_state_dict({**unused, **from_timm(_augreg())})
    return model


def from_timm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's weights by the names of ``ViTModel``, without patch embedding and head.

    Args:
        weights: Weights by the names of timm, which stacks the projections to queries, keys and values.
    """
    found = {
        "embeddings.cls_token": weights["cls_token"],
        "embeddings.position_embeddings": weights["pos_embed"],
        "layernorm.weight": weights["norm.weight"],
        "layernorm.bias": weights["norm.bias"],
    }
    for name, value in weights.items():
        if name.startswith("blocks."):
            found.update(_in_block(name, value))
    return found


def _in_block(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    _, layer, *parts, kind = name.split(".")
    part = ".".join(parts)
    if part == "attn.qkv":
        for projection, third in zip("qkv", value.chunk(3), strict=True):
            yield f"layers.{layer}.attention.{projection}_proj.{kind}", third
    else:
        yield f"layers.{layer}.{_IN_BLOCK[part]}.{kind}", value


def _augreg() -> dict[str, Tensor]:
    """The published weights from the Hugging Face cache or hub, without the head for 21,843 classes."""
    from huggingface_hub import hf_hub_download
    from safetensors import safe_open

    with safe_open(hf_hub_download(AUGREG, FILE), framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names if not name.startswith("head.")}
