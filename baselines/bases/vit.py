"""A vision transformer on graphs as images (Kim et al. 2023, sections 4.3 and 4.4; Dosovitskiy et al. 2021).

The projections to and from tokens are not pretrained, as in the paper.
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
    """Reads edge scalars ``[B, N, N, E]`` as the channels of an image.

    The image is divided into ``grid x grid`` patches of ``ceil(N / grid)`` pixels along each side, and the sequence of
    node scalars ``[B, N, C]`` into as many patches of ``ceil(N / grid^2)`` nodes. A convolution maps each of them to
    tokens, which are added. With ``node_features: diagonal`` node scalars are channels on the diagonal of the image,
    and the sequence is zero, so that it only adds a bias. The image and the sequence are padded to whole patches
    according to ``padding``, at the end or, if ``centred``, on both sides. The padding does not depend on the sizes of
    the graphs in a batch.

    Predicts graph scalars ``[B, C]`` from the class token, edge scalars ``[B, N, N, C]`` by a transposed convolution of
    the other tokens, or node scalars ``[B, N, C]`` as the diagonal of such a map. In training the share
    ``patch_dropout`` of the patches is dropped; with ``patch_dropout_drawn`` the share is drawn for every batch, up to
    ``patch_dropout``.

    Raises:
        ValueError: The settings are invalid, or ``patch_dropout`` is set for an output other than graph scalars.
        ImportError: The extra ``vision`` is not installed.
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
            raise ValueError("patch_dropout drops patches that node and edge outputs are computed from: set it to 0")
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
        """The output ``[B, C]`` or ``[B, N, N, C]`` for the result of :meth:`pullback`."""
        return self._through(x, through_block)

    def compiled(self) -> Callable[[Structure], Tensor]:
        """This network with its blocks compiled one by one: they are alike, so that they share one compilation."""
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
        """The inputs rho_in(g)^-1 x, with node scalars on the diagonal of the image if they enter there.

        They are put there before the element acts on the image, so that its straight-through gradient goes through
        rows and columns. Values do not depend on this.
        """
        return self._as_image(x).acted(element.inverse())

    def pushforward(self, y: Tensor, element: Element, output: Representation) -> Tensor:
        """The action rho_out(g) y. Node scalars are the diagonal of the permuted map."""
        if output is Representation.NODE_SCALARS:
            return element.act(y, Representation.EDGE_SCALARS).diagonal(dim1=2, dim2=3).mT
        return element.act(y, output)

    def _as_image(self, x: Structure) -> Structure:
        """``x`` with its node scalars on the diagonal of the image if they enter there."""
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
        """Pads ``values`` ``[B, C, N, ...]`` to ``size`` along each of the last ``axes`` axes."""
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
        """The number of padded places before the values, of ``extra`` in all."""
        return extra // 2 if self.centred else 0

    def _encoded(self, patches: Tensor, through: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        """The encoded class token and patches ``[B, 1 + T, width]``."""
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
        """The indices ``[B, T']`` of the patches that are not dropped."""
        part = self.patch_dropout * (torch.rand(()).item() if self.dropout_drawn else 1.0)
        count = max(1, int(patches.shape[1] * (1 - part)))
        return torch.rand(patches.shape[:2], device=patches.device).topk(count, 1).indices


def through_block(block: nn.Module, tokens: Tensor) -> Tensor:
    """Applies one block of the encoder to tokens ``[B, T, width]``."""
    out: Tensor = block(tokens)
    return out


def _reflected(place: Tensor, nodes: int) -> Tensor:
    """The nodes at ``place`` if a sequence of nodes is reflected at both ends, without repeating the ends."""
    last = max(nodes - 1, 1)
    place = place % (2 * last)
    return torch.minimum(place, 2 * last - place).clamp_max(nodes - 1)
