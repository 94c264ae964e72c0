"""The initial weights of the vision transformer, and whether they are available (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec

AUGREG = "timm/vit_base_patch16_224.augreg_in21k"  # the weights of the paper (Steiner et al. 2022)
IN21K = "google/vit-base-patch16-224-in21k"  # trained earlier on the same images (Dosovitskiy et al. 2021)
CHECKPOINTS: Mapping[str, str] = {"augreg_in21k": AUGREG, "in21k": IN21K}  # in the order of preference
FILE = "model.safetensors"
SIZES: Mapping[str, int] = {"grid": 14, "width": 768, "layers": 12, "heads": 12}
HUB_SECONDS = 3.0


def first_available() -> str | None:
    """The name of the first checkpoint that is available; None if there is none."""
    return next((name for name, checkpoint in CHECKPOINTS.items() if at_hand(checkpoint)), None)


def label(weights: str) -> str | None:
    """The label in tables of the setting ``weights``: the name of the checkpoint, or None if it is unknown."""
    return "random weights" if weights == "random" else CHECKPOINTS.get(weights)


@cache
def at_hand(checkpoint: str) -> bool:
    """Whether the checkpoint is in the Hugging Face cache or the hub provides it."""
    if in_cache(checkpoint):
        return True
    if find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    try:
        HfApi().model_info(checkpoint, timeout=HUB_SECONDS)
    except (HTTPError, OSError):  # no network, no answer, no such model, or offline mode
        return False
    return True


def in_cache(checkpoint: str) -> bool:
    """Whether the checkpoint is in the Hugging Face cache."""
    if find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(checkpoint, FILE), str)
