"""The ranks by which a frame of S_n orders the nodes of a graph. They depend only on the graph.

They are computed once for a data set, on the CPU: an accelerator would have to wait for an eigendecomposition at every
step, and ranks might depend on the device through rounding.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from tasks.ragged import RaggedGraphs, RaggedStructures, Segments, Stored
from tasks.sources.cache import arrays, versioned_name
from tasks.symmetry.gathering import inverse_of
from tasks.symmetry.structure import Structure

VERSION = 1  # of the stored arrays; changes whenever the same graphs would get other ranks
EIGENVALUE_TOLERANCE = 1e-4
SIGNATURE_DECIMALS = 2
AT_ONCE = 1 << 24  # entries of the Laplacians of a batch, of which there are a few copies in memory
WORTH_KEEPING = 1e9  # graphs times nodes to the third power, which takes some seconds

_log = logging.getLogger(__name__)


def ranks_of(x: Structure) -> Tensor:
    """The ranks of nodes ``[B, N]`` by the rows of :func:`spectral_signature`, computed if ``x`` has none."""
    return x.ranks.squeeze(-1) if x.ranks.shape[-1] else lexicographic_ranks(spectral_signature(x))


def ranked(graphs: Stored) -> Stored:
    """The same graphs with their ranks, which are cached in the data folder for a large data set."""
    here = graphs.to("cpu")
    nodes = here.outline.nodes
    step = max(1, AT_ONCE // nodes**2)

    def computed() -> dict[str, Any]:
        _log.info("computing the ranks of the nodes of %d graphs", len(here))
        parts = (here[start : start + step] for start in range(0, len(here), step))
        return {"ranks": torch.cat([lexicographic_ranks(spectral_signature(x)).short() for x in parts]).numpy()}

    if len(here) * nodes**3 < WORTH_KEEPING:
        found = computed()
    else:
        found = arrays(versioned_name(f"graph-ranks-{digest(here)}", VERSION), ("ranks",), computed)
    return replace(graphs, ranks=torch.from_numpy(found["ranks"])[..., None].to(graphs.outline.mask.device))


def digest(graphs: Structure | RaggedGraphs | RaggedStructures) -> str:
    """A digest of all fields of a data set except keys and ranks."""
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
    """The matrix S(X), with a column for each distinct Laplacian eigenvalue (Kim et al. 2023, after Puny et al. 2022).

    A column contains the row norms of a basis of the eigenspace, which is |eigenvector| for a simple eigenvalue,
    rounded to 2 decimals. Columns are in ascending order of eigenvalues.

    Args:
        x: B graphs with N nodes.

    Returns:
        ``[B, N, N]``, double precision, with zeros in the remaining columns.
    """
    weights = x.edge_scalars.sum(-1).double()  # an edge weighs the sum of its scalars
    laplacian = torch.diag_embed(weights.sum(-1)) - weights
    absent = ~x.mask
    # Absent nodes get an eigenvalue of their own above all others, so that their columns come last.
    beyond = 2 * weights.abs().sum(-1).amax(-1, keepdim=True) + 1
    values, vectors = torch.linalg.eigh(laplacian + torch.diag_embed(absent * beyond))
    scale = values.abs().amax(-1, keepdim=True).clamp_min(1)
    distinct = (values.diff(dim=-1, prepend=values[:, :1]) > EIGENVALUE_TOLERANCE * scale).cumsum(-1)
    squares = torch.zeros_like(vectors).scatter_add_(-1, distinct[:, None].expand_as(vectors), vectors.square())
    # The offset moves values such as 1/8 off the boundary of rounding, where rounding errors would decide.
    return ((squares.sqrt() + 1e-9) * x.mask[..., None]).round(decimals=SIGNATURE_DECIMALS)


def lexicographic_ranks(rows: Tensor) -> Tensor:
    """Ranks ``[B, N]`` of the rows ``[B, N, C]`` in lexicographic order, equal for equal rows."""
    order = torch.arange(rows.shape[1], device=rows.device).expand(rows.shape[:2])
    for column in range(rows.shape[-1] - 1, -1, -1):  # a stable sort from the last key to the first
        keys = rows[..., column].gather(-1, order)
        order = order.gather(-1, keys.argsort(dim=-1, stable=True))
    in_order = rows.gather(1, order[..., None].expand_as(rows))
    steps = (in_order[:, 1:] != in_order[:, :-1]).any(-1).cumsum(-1)
    ranks_in_order = torch.cat([steps.new_zeros(len(rows), 1), steps], -1)
    return ranks_in_order.gather(-1, inverse_of(order))
