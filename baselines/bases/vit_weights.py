"""Which weights the vision transformer starts from, and whether they can be had (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

AUGREG = "timm/vit_base_patch16_224.augreg_in21k"  # the published ones (Steiner et al. 2022)
IN21K = "google/vit-base-patch16-224-in21k"  # an earlier training on the same images (Dosovitskiy et al. 2021)
CHECKPOINTS: Mapping[str, str] = {"augreg_in21k": AUGREG, "in21k": IN21K}  # in the order of preference
FILE = "model.safetensors"
SIZES: Mapping[str, int] = {"grid": 14, "width": 768, "layers": 12, "heads": 12}
HUB_SECONDS = 3.0


def resolved(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with ``weights: auto`` replaced by what can be had.

    That is the first checkpoint at hand where sizes fit, else random weights.
    """
    if params["weights"] != "auto":
        return dict(params)
    fit = all(params[name] == size for name, size in SIZES.items())
    found = (name for name, checkpoint in CHECKPOINTS.items() if fit and at_hand(checkpoint))
    return {**params, "weights": next(found, "random")}


def label(weights: str) -> str | None:
    """What tables say of the parameter ``weights``: the name of the checkpoint; ``None`` for what is not known."""
    return "random weights" if weights == "random" else CHECKPOINTS.get(weights)


@cache
def at_hand(checkpoint: str) -> bool:
    """Whether the checkpoint lies in the Hugging Face cache or its hub answers."""
    if in_cache(checkpoint):
        return True
    if find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    try:
        HfApi().model_info(checkpoint, timeout=HUB_SECONDS)
    except (HTTPError, OSError):  # no network, no answer, no such model, or offline by the user's wish
        return False
    return True


def in_cache(checkpoint: str) -> bool:
    """Whether the checkpoint lies in the Hugging Face cache."""
    if find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(checkpoint, FILE), str)
