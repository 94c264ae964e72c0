"""A vision transformer that sees a graph as an image (Kim et al. 2023, sections 4.3 and 4.4; Dosovitskiy et al. 2021).

Its blocks are those of Hugging Face ``transformers``; patch embedding and heads are new, as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.bases.vit_weights import CHECKPOINT, SIZES
from baselines.readout import present
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

Padding = Literal["zeros", "reflect", "circular"]
PADDINGS = ("zeros", "reflect", "circular")


class VisionTransformer(BaseModel):
    """Edge scalars ``[B, N, N, E]`` are the channels of an image, node scalars more of them on its diagonal.

    The image is cut into ``grid x grid`` patches of ``ceil(N / grid)`` pixels; ``padding`` says what stands where a
    graph has no nodes and ``centred`` whether it stands in the middle. Graph scalars are read off the class token;
    edge scalars off a transposed convolution of the other tokens, node scalars off the diagonal of that.
    ``patch_dropout`` leaves out that part of the patches in training (of at most that part, drawn for every batch,
    where ``patch_dropout_drawn``), which only outputs of the class token allow.

    Raises ``ValueError`` for settings that cannot be, ``ImportError`` without the extra ``vision``.
    """

    def __init__(self, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.grid, width = int(params["grid"]), int(params["width"])
        self.padding: Padding = params["padding"]
        self.centred = bool(params["centred"])
        self.patch_dropout, self.dropout_drawn = float(params["patch_dropout"]), bool(params["patch_dropout_drawn"])
        self.output = signature.output
        if self.padding not in PADDINGS:
            raise ValueError(f"there is no padding '{self.padding}'; known are {', '.join(PADDINGS)}")
        if self.patch_dropout and self.output is not Representation.GRAPH_SCALARS:
            raise ValueError(
                "patch_dropout takes away the patches that node and edge outputs are read off: set it to 0"
            )
        patch = math.ceil(signature.nodes / self.grid)
        self.canvas = patch * self.grid
        encoder = _encoder(params)
        self.class_token, self.position = encoder.embeddings.cls_token, encoder.embeddings.position_embeddings
        self.blocks, self.norm = encoder.layers, encoder.layernorm
        self.embed = nn.Conv2d(signature.edge_scalars + signature.node_scalars, width, patch, patch)
        self.head: nn.Module = (
            nn.Linear(width, signature.output_channels)
            if self.output is Representation.GRAPH_SCALARS
            else nn.ConvTranspose2d(width, signature.output_channels, patch, patch)
        )

    def forward(self, x: Structure) -> Tensor:
        """``[B, C]``, ``[B, N, C]`` or ``[B, N, N, C]``."""
        start = (self.canvas - x.node_counts) // 2 if self.centred else torch.zeros_like(x.node_counts)
        tokens = self._encode(self._painted(_image(x), x.node_counts, start))
        if self.output is Representation.GRAPH_SCALARS:
            return self.head(tokens[:, 0])
        grid = tokens[:, 1:].mT.unflatten(2, (self.grid, self.grid))
        return _read_off(self.head(grid), x, start, self.output)

    def _painted(self, image: Tensor, counts: Tensor, start: Tensor) -> Tensor:
        """The image ``[B, C, N, N]`` on the canvas ``[B, C, S, S]`` with each graph at its start ``[B]``."""
        extra = self.canvas - image.shape[-1]
        if self.padding == "zeros" and not self.centred:
            return nn.functional.pad(image, (0, extra, 0, extra))
        place = torch.arange(self.canvas, device=image.device) - start[:, None]
        node = _FOLDS[self.padding](place, counts[:, None])
        painted = _take(_take(image, node, 2), node, 3)
        if self.padding != "zeros":
            return painted
        inside = (place >= 0) & (place < counts[:, None])
        return painted * (inside[:, None, :, None] & inside[:, None, None])

    def _encode(self, image: Tensor) -> Tensor:
        """Class token and patches ``[B, 1 + T, width]``."""
        patches = self.embed(image).flatten(2).mT + self.position[:, 1:]
        patches = self._dropped(patches) if self.training and self.patch_dropout else patches
        first = (self.class_token + self.position[:, :1]).expand(len(patches), -1, -1)
        tokens = torch.cat([first, patches], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def _dropped(self, patches: Tensor) -> Tensor:
        part = self.patch_dropout * (torch.rand(()).item() if self.dropout_drawn else 1.0)
        keep = max(1, round((1 - part) * patches.shape[1]))
        kept = torch.rand(patches.shape[:2], device=patches.device).topk(keep, 1).indices
        return patches.gather(1, kept[..., None].expand(-1, -1, patches.shape[-1]))


def _encoder(params: Mapping[str, Any]) -> Any:
    try:
        from transformers import ViTConfig, ViTModel
    except ImportError as error:
        raise ImportError("the vision transformer needs the extra 'vision': pip install 'symbench[vision]'") from error
    if params["weights"] == "imagenet21k":
        if wrong := [name for name, size in SIZES.items() if params[name] != size]:
            raise ValueError(f"the ImageNet weights are those of ViT-B/16, so {' and '.join(wrong)} cannot differ")
        return ViTModel.from_pretrained(CHECKPOINT, add_pooling_layer=False, use_safetensors=True)
    if params["weights"] != "random":
        raise ValueError(f"there are no weights '{params['weights']}'; known are auto, imagenet21k, random")
    config = ViTConfig(
        image_size=params["grid"],  # of one pixel a patch: what embeds patches of other sizes is not taken
        patch_size=1,
        hidden_size=params["width"],
        intermediate_size=4 * params["width"],
        num_hidden_layers=params["layers"],
        num_attention_heads=params["heads"],
    )
    return ViTModel(config, add_pooling_layer=False)


def _image(x: Structure) -> Tensor:
    """``[B, E + C, N, N]``."""
    return torch.cat([x.edge_scalars.movedim(-1, 1), torch.diag_embed(x.node_scalars.mT)], 1)


def _reflected(place: Tensor, count: Tensor) -> Tensor:
    last = (count - 1).clamp_min(1)  # the nodes at both ends stand there once
    place = place.remainder(2 * last)
    return torch.minimum(place, 2 * last - place).clamp_max(count - 1)


_FOLDS: Mapping[str, Any] = {
    "zeros": lambda place, count: place.clamp_min(0).minimum(count - 1),
    "circular": lambda place, count: place.remainder(count),
    "reflect": _reflected,
}


def _take(image: Tensor, index: Tensor, axis: int) -> Tensor:
    """``image`` ``[B, C, H, W]`` at the places ``index`` ``[B, S]`` of one axis."""
    shape = [len(image), 1, 1, 1]
    shape[axis] = index.shape[1]
    return torch.take_along_dim(image, index.view(shape), axis)


def _read_off(canvas: Tensor, x: Structure, start: Tensor, output: Representation) -> Tensor:
    """Node or edge scalars of the graphs on ``canvas`` ``[B, C, S, S]``, zero where there is none."""
    place = (start[:, None] + torch.arange(x.nodes, device=canvas.device)).clamp_max(canvas.shape[-1] - 1)
    edges = _take(_take(canvas, place, 2), place, 3)
    of_edges = output is Representation.EDGE_SCALARS
    return present(edges.movedim(1, -1) if of_edges else edges.diagonal(dim1=2, dim2=3).mT, x, output)
