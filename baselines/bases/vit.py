"""A vision transformer that sees a graph as an image (Kim et al. 2023, sections 4.3 and 4.4; Dosovitskiy et al. 2021).

The projections to its tokens and from them are new, as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.bases.vit_encoder import encoder
from baselines.catalogue.base_models import ViTSettings
from baselines.readout import present
from tasks.symmetry.element import Element
from tasks.symmetry.gathering import selected, taken
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

PADDINGS = ("zeros", "reflect", "circular")
NODE_FEATURES = ("diagonal", "sequence")


class VisionTransformer(BaseModel):
    """Edge scalars ``[B, N, N, E]`` are the channels of an image, in which a graph stands top left.

    The image is cut into ``grid x grid`` patches of ``ceil(N / grid)`` pixels, the sequence of node scalars
    ``[B, N, C]`` into as many of ``ceil(N / grid^2)`` places; each has a convolution to tokens, and the tokens are
    added. With ``node_features: diagonal`` node scalars are more channels of the image instead, on its diagonal, and
    the sequence is zero, so that it adds a bias alone. Image and sequence are filled up to whole patches by
    ``padding``, on both sides where ``centred``, else behind; they are filled as a whole, whatever the sizes of graphs.

    Graph scalars are read off the class token; edge scalars are a map ``[B, N, N, C]``, a transposed convolution of
    the other tokens; node scalars are the diagonal of such a map. ``patch_dropout`` leaves out that part of the patches
    in training (of at most that part, drawn for every batch, where ``patch_dropout_drawn``), which only outputs of the
    class token allow.

    Raises ``ValueError`` for settings that cannot be, ``ImportError`` without the extra ``vision``.
    """

    def __init__(self, signature: Signature, settings: ViTSettings) -> None:
        super().__init__()
        self.grid, width = settings.grid, settings.width
        self.padding = settings.padding
        self.centred = settings.centred
        self.patch_dropout, self.dropout_drawn = settings.patch_dropout, settings.patch_dropout_drawn
        self.output = signature.output
        if self.padding not in PADDINGS:
            raise ValueError(f"there is no padding '{self.padding}'; known are {', '.join(PADDINGS)}")
        if settings.node_features not in NODE_FEATURES:
            raise ValueError(
                f"node features cannot be a '{settings.node_features}'; known are {', '.join(NODE_FEATURES)}"
            )
        if self.patch_dropout and self.output is not Representation.GRAPH_SCALARS:
            raise ValueError(
                "patch_dropout takes away the patches that node and edge outputs are read off: set it to 0"
            )
        self.on_diagonal = settings.node_features == "diagonal"
        blocks = encoder(settings)
        self.class_token, self.position = blocks.embeddings.cls_token, blocks.embeddings.position_embeddings
        self.blocks, self.norm = blocks.layers, blocks.layernorm
        patch, stretch = math.ceil(signature.nodes / self.grid), math.ceil(signature.nodes / self.grid**2)
        self.canvas, self.length = patch * self.grid, stretch * self.grid**2
        channels = signature.edge_scalars + self.on_diagonal * signature.node_scalars
        self.embed_image = nn.Conv2d(channels, width, patch, patch)
        self.embed_sequence = (
            nn.Conv1d(signature.node_scalars, width, stretch, stretch) if signature.node_scalars else None
        )
        self.head: nn.Module = (
            nn.Linear(width, signature.output_channels)
            if self.output is Representation.GRAPH_SCALARS
            else nn.ConvTranspose2d(width, signature.output_channels, patch, patch)
        )

    def forward(self, x: Structure) -> Tensor:
        """``[B, C]`` or a map ``[B, N, N, C]``, of structures as :meth:`pullback` lays them out."""
        return self._through(x, through_block)

    def compiled(self) -> Callable[[Structure], Tensor]:
        """This network with its blocks compiled by themselves: they are alike, so one compilation serves them all."""
        block = torch.compile(through_block)
        return lambda x: self._through(x, block)

    def _through(self, x: Structure, through: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        tokens = self._encoded(self._embedded(x), through)
        if self.output is Representation.GRAPH_SCALARS:
            return self.head(tokens[:, 0])
        pixels = self.head(tokens[:, 1:].mT.unflatten(2, (self.grid, self.grid)))
        start = self._before(pixels.shape[-1] - x.nodes)
        inside = slice(start, start + x.nodes)
        return present(pixels[:, :, inside, inside].movedim(1, -1), x, Representation.EDGE_SCALARS)

    def pullback(self, x: Structure, element: Element) -> Structure:
        """Node scalars are on the diagonal of the image, where that is their place, before an element acts on it.

        So the straight-through gradient goes through both sides of the image, in and out. It changes no value.
        """
        return self._as_image(x).acted(element.inverse())

    def pushforward(self, y: Tensor, element: Element, output: Representation) -> Tensor:
        """The output's nodes are read off the diagonal of a map that is permuted back as a whole."""
        if output is Representation.NODE_SCALARS:
            return element.act(y, Representation.EDGE_SCALARS).diagonal(dim1=2, dim2=3).mT
        return element.act(y, output)

    def _as_image(self, x: Structure) -> Structure:
        """``x`` with its node scalars where they enter."""
        if not self.on_diagonal:
            return x
        diagonal = torch.diag_embed(x.node_scalars.mT).movedim(1, -1)
        image = torch.cat([x.edge_scalars, diagonal], -1)
        return replace(x, edge_scalars=image, node_scalars=x.node_scalars[..., :0])

    def _embedded(self, x: Structure) -> Tensor:
        """The patches ``[B, T, width]``."""
        image = self._filled(x.edge_scalars.movedim(-1, 1), self.canvas, axes=2)
        patches = self.embed_image(image).flatten(2)
        if self.embed_sequence is None:
            return patches.mT
        sequence = (
            patches.new_zeros(1, self.embed_sequence.in_channels, self.length)
            if self.on_diagonal
            else self._filled(x.node_scalars.mT, self.length, axes=1)
        )
        return (patches + self.embed_sequence(sequence)).mT

    def _filled(self, values: Tensor, size: int, axes: int) -> Tensor:
        """``values`` ``[B, C, N, ...]`` with ``size`` places on each of the last ``axes`` axes."""
        nodes = values.shape[-1]
        before = self._before(size - nodes)
        if self.padding == "zeros":
            return nn.functional.pad(values, (before, size - nodes - before) * axes)
        place = torch.arange(-before, size - before, device=values.device)
        source = place % nodes if self.padding == "circular" else _reflected(place, nodes)
        beside = torch.cat([source[:before], source[before + nodes :]])
        for axis in range(-axes, 0):
            front, back = selected(values, beside, axis).split([before, len(beside) - before], axis)
            values = torch.cat([front, values, back], axis)
        return values

    def _before(self, extra: int) -> int:
        """Of so many places that are filled, how many stand in front."""
        return extra // 2 if self.centred else 0

    def _encoded(self, patches: Tensor, through: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        """Class token and patches ``[B, 1 + T, width]``."""
        patches = patches + self.position[:, 1:]
        if self.training and self.patch_dropout:
            kept = self._kept(patches)
            patches = taken(patches, kept)
        first = (self.class_token + self.position[:, :1]).expand(len(patches), -1, -1)
        tokens = torch.cat([first, patches], 1)
        for block in self.blocks:
            tokens = through(block, tokens)
        return self.norm(tokens)

    def _kept(self, patches: Tensor) -> Tensor:
        """The places ``[B, T']`` of the patches that are not dropped."""
        part = self.patch_dropout * (torch.rand(()).item() if self.dropout_drawn else 1.0)
        count = max(1, int(patches.shape[1] * (1 - part)))
        return torch.rand(patches.shape[:2], device=patches.device).topk(count, 1).indices


def through_block(block: nn.Module, tokens: Tensor) -> Tensor:
    """``[B, T, width]``: the tokens behind one block of the encoder."""
    out: Tensor = block(tokens)
    return out


def _reflected(place: Tensor, nodes: int) -> Tensor:
    """The nodes at both ends stand there once."""
    last = max(nodes - 1, 1)
    place = place % (2 * last)
    return torch.minimum(place, 2 * last - place).clamp_max(nodes - 1)

