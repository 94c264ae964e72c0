"""The ranks by which a frame of S_n orders the nodes of a graph: they depend on the graph alone.

They are computed on the CPU, once a data set: a decomposition at every step would be waited for by an accelerator, and
that of another device may round to the other side.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from tasks.ragged import RaggedGraphs, Segments, Stored
from tasks.sources.cache import arrays, versioned_name
from tasks.symmetry.gathering import inverse_of
from tasks.symmetry.structure import Structure

VERSION = 1  # of what is kept on disk: another one wherever other ranks would be computed
EIGENVALUE_TOLERANCE = 1e-4
SIGNATURE_DECIMALS = 2
AT_ONCE = 1 << 24  # entries of Laplacians, of which there are a few copies
WORTH_KEEPING = 1e9  # graphs times their nodes to the third power: some seconds

_log = logging.getLogger(__name__)


def ranks_of(x: Structure) -> Tensor:
    """``[B, N]``: the ranks of nodes by the rows of :func:`spectral_signature`, known or computed."""
    return x.ranks.squeeze(-1) if x.ranks.shape[-1] else lexicographic_ranks(spectral_signature(x))


def ranked(graphs: Stored) -> Stored:
    """The same graphs, with ranks that are known; those of a large data set are kept in the data folder."""
    here = graphs.to("cpu")
    nodes = here.outline.nodes
    step = max(1, AT_ONCE // nodes**2)

    def computed() -> dict[str, Any]:
        _log.info("ranks of the nodes of %d graphs are computed", len(here))
        parts = (here[start : start + step] for start in range(0, len(here), step))
        return {"ranks": torch.cat([lexicographic_ranks(spectral_signature(x)).short() for x in parts]).numpy()}

    if len(here) * nodes**3 < WORTH_KEEPING:
        found = computed()
    else:
        found = arrays(versioned_name(f"graph-ranks-{digest(here)}", VERSION), ("ranks",), computed)
    return replace(graphs, ranks=torch.from_numpy(found["ranks"])[..., None].to(graphs.outline.mask.device))


def digest(graphs: Structure | RaggedGraphs) -> str:
    """Of everything in a data set but the keys of its graphs."""
    found = hashlib.sha256()
    for item in fields(graphs):
        value = getattr(graphs, item.name)
        if item.name in ("key", "ranks"):
            continue
        parts = (value.start, value.count) if isinstance(value, Segments) else (value,)
        for part in parts:
            found.update(f"{item.name} {getattr(part, 'shape', part)} {getattr(part, 'dtype', '')};".encode())
            if isinstance(part, Tensor):
                found.update(part.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def spectral_signature(x: Structure) -> Tensor:
    """S(X) ``[B, N, N]``: a column for each distinct Laplacian eigenvalue, in ascending order, zeros behind.

    |eigenvector| where the eigenvalue is simple, else the row norms of its eigenspace's basis: one formula, the root
    of the summed squares within an eigenspace. Rounded to 2 decimals (Kim et al. 2023, after Puny et al. 2022).
    """
    weights = x.edge_scalars.sum(-1).double()  # of edges with several scalars too: what differs breaks ties
    laplacian = torch.diag_embed(weights.sum(-1)) - weights
    absent = ~x.mask
    # Absent nodes get an eigenvalue of their own above all others, so that their columns come last.
    beyond = 2 * weights.abs().sum(-1).amax(-1, keepdim=True) + 1
    values, vectors = torch.linalg.eigh(laplacian + torch.diag_embed(absent * beyond))
    scale = values.abs().amax(-1, keepdim=True).clamp_min(1)
    distinct = (values.diff(dim=-1, prepend=values[:, :1]) > EIGENVALUE_TOLERANCE * scale).cumsum(-1)
    squares = torch.zeros_like(vectors).scatter_add_(-1, distinct[:, None].expand_as(vectors), vectors.square())
    # The offset keeps values such as 1/8 off the rounding's edge, where the order of a sum would decide.
    return ((squares.sqrt() + 1e-9) * x.mask[..., None]).round(decimals=SIGNATURE_DECIMALS)


def lexicographic_ranks(rows: Tensor) -> Tensor:
    """``[B, N]``: equal numbers for equal rows, in lexicographic order."""
    order = torch.arange(rows.shape[1], device=rows.device).expand(rows.shape[:2])
    for column in range(rows.shape[-1] - 1, -1, -1):  # a stable sort from the last key to the first
        keys = rows[..., column].gather(-1, order)
        order = order.gather(-1, keys.argsort(dim=-1, stable=True))
    in_order = rows.gather(1, order[..., None].expand_as(rows))
    steps = (in_order[:, 1:] != in_order[:, :-1]).any(-1).cumsum(-1)
    ranks_in_order = torch.cat([steps.new_zeros(len(rows), 1), steps], -1)
    return ranks_in_order.gather(-1, inverse_of(order))
