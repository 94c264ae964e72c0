"""The registered tasks with the published settings of every experiment (Kim et al. 2023, arXiv 2306.02866).

:data:`PROTOCOLS` describes the protocols. There is a module for each family of tasks; none imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks.cards import TaskCard
from tasks.catalogue.geometry import NBODY, SHAPES_O3, SHAPES_SE3
from tasks.catalogue.graphs import BREC, EXP, EXP_CLASSIFY, GRAPH8C
from tasks.catalogue.images import DIGITS, FRACTALS
from tasks.catalogue.long_range import PCQM_CONTACT, PEPTIDES_FUNC, PEPTIDES_STRUCT
from tasks.catalogue.nodes import PATTERN
from tasks.catalogue.synthetic import INNER_SYMMETRY, TEACHERS

PROTOCOLS: Mapping[str, str] = {
    "paper": "As the authors' code with its published commands: networks, objective, epochs, learning rates, batches, "
    "group samples, repeats, monitored metric and scores, tested against arrays from that code. Known differences are "
    "in the cards of tasks and methods (deviations). Methods without published results on a task take the settings of "
    "those with results; random numbers differ.",
    "standard": "As paper with fewer epochs, which take an hour or a few on one GPU, for some tasks also with fewer "
    "group samples or examples.",
    "quick": "Reduced to run on two CPU cores; its results are no evidence.",
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
    FRACTALS,
    DIGITS,
    *TEACHERS,
)
