"""The registered tasks with the published settings of every experiment (facts: Kim et al. 2023, arXiv 2306.02866).

:data:`PROTOCOLS` says what the names of protocols mean. One module for each family; none imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks.cards import TaskCard
from tasks.catalogue.geometry import NBODY, SHAPES_O3, SHAPES_SE3
from tasks.catalogue.graphs import BREC, EXP, EXP_CLASSIFY, GRAPH8C
from tasks.catalogue.long_range import PCQM_CONTACT, PEPTIDES_FUNC, PEPTIDES_STRUCT
from tasks.catalogue.nodes import PATTERN
from tasks.catalogue.synthetic import INNER_SYMMETRY, TEACHERS

PROTOCOLS: Mapping[str, str] = {
    "paper": "What the authors' code does with its published commands: networks, objective, passes, learning rates, "
    "batches, group samples, repeats, the monitored metric and scores, held to arrays that this code put out. "
    "Where a task or method knowingly differs, its card says so (deviations). "
    "Methods that were not published on a task take the settings of those that were; random numbers are our own.",
    "standard": "The same for fewer epochs, an hour or a few on one GPU, where needed with fewer group samples or "
    "examples too.",
    "quick": "Cut to fit two CPU cores; it proves nothing by itself.",
}

TASKS: tuple[TaskCard, ...] = (
    GRAPH8C,
    EXP,
    BREC,
    EXP_CLASSIFY,
    NBODY,
    SHAPES_O3,
    SHAPES_SE3,
    PATTERN,
    PEPTIDES_FUNC,
    PEPTIDES_STRUCT,
    PCQM_CONTACT,
    INNER_SYMMETRY,
    *TEACHERS,
)
