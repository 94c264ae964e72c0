"""Where the vision transformer's ImageNet-21k weights are found (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

CHECKPOINT = "google/vit-base-patch16-224-in21k"  # Dosovitskiy et al. 2021; the paper's is a later training of it
SIZES: Mapping[str, int] = {"grid": 14, "width": 768, "layers": 12, "heads": 12}
HUB_SECONDS = 3.0

Weights = Literal["imagenet21k", "random"]


def resolved(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with ``weights: auto`` replaced by what can be had: ImageNet-21k where sizes fit, else random."""
    if params["weights"] != "auto":
        return dict(params)
    fit = all(params[name] == size for name, size in SIZES.items())
    return {**params, "weights": "imagenet21k" if fit and at_hand() else "random"}


@cache
def at_hand() -> bool:
    """Whether the checkpoint lies in the Hugging Face cache or its hub answers."""
    if find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HTTPError

    if isinstance(try_to_load_from_cache(CHECKPOINT, "model.safetensors"), str):
        return True
    try:
        HfApi().model_info(CHECKPOINT, timeout=HUB_SECONDS)
    except (HTTPError, OSError):  # no network, no answer, no such model, or offline by the user's wish
        return False
    return True
