"""The registered tasks with the published settings of every experiment (facts: Kim et al. 2023, arXiv 2306.02866).

``paper`` is what the authors' code does with its published commands: passes, learning rates, batches, numbers of group
samples and of repeats, what is monitored, and scores, held to arrays that it put out (``tests/golden``). Where a task
or a method knowingly differs, its card says so (``deviations``). Methods that were not published on a task take the
settings of those that were, and random numbers are our own throughout.
``standard`` is the same for fewer epochs, an hour or a few on one GPU, where that asks for it with fewer group samples
or examples too; ``quick`` is cut to fit two CPU cores and proves nothing by itself.
One module for each family; none imports torch.
"""

from __future__ import annotations

from tasks.cards import TaskCard
from tasks.catalogue.geometry import NBODY, SHAPES_O3, SHAPES_SE3
from tasks.catalogue.graphs import BREC, EXP, EXP_CLASSIFY, GRAPH8C
from tasks.catalogue.long_range import PCQM_CONTACT, PEPTIDES_FUNC, PEPTIDES_STRUCT
from tasks.catalogue.nodes import PATTERN
from tasks.catalogue.synthetic import INNER_SYMMETRY, TEACHERS

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
