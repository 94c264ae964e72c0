"""What cards say of a sampler and a group, without torch, is what the samplers themselves say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from baselines.build import build_sampler
from baselines.cards import MethodCard, SamplerCard
from baselines.catalogue import MLP, SAMPLERS
from tasks.cards import TaskCard
from tasks.catalogue import TASKS
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_momenta, random_particles

NBODY, GRAPHS = (next(card for card in TASKS if card.name == name) for name in ("nbody", "graph8c"))
DIMENSIONS = {"U(1)": 2, "U(2)": 4, "SU(2)": 4, "SO+(1,3)": 4, "C_5": 2, "D_4": 2}
NAMES = ["S_n", "C_n", "D_n", "O(3)", "SE(3)", "Sim(3)", "SSim(3)", "Aff(3)", "B_3", *DIMENSIONS]
GROUPS = [(name,) for name in NAMES] + [("S_n", "SE(3)"), ("D_n", "Aff(3)"), ("S_n", "U(2)")]


def on(card: TaskCard, names: tuple[str, ...], edges: bool) -> TaskCard:
    return replace(card, group=names, inputs=card.inputs if edges else card.inputs - {"edges"})


@pytest.mark.parametrize("names", GROUPS)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda card: card.name)
@pytest.mark.parametrize(("task", "edges"), [(NBODY, True), (NBODY, False), (GRAPHS, True)])
def test_a_pair_that_does_not_fit_cannot_be_built_for_the_same_reason(
    task: TaskCard, sampler: SamplerCard, names: tuple[str, ...], edges: bool
) -> None:
    card = on(task, names, edges)
    reason = MethodCard(base=MLP, sampler=sampler).misfit(card, {**task.params})
    x = structures(task, names, edges)
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    try:
        build_sampler(sampler, group(names), signature, {"width": 8} if "width" in sampler.params else {})
    except ValueError as error:
        assert reason is not None and reason.endswith(str(error))
    else:
        assert reason is None


def structures(task: TaskCard, names: tuple[str, ...], edges: bool) -> Structure:
    if task is GRAPHS:
        return random_graphs(2, 5)
    if "SO+(1,3)" in names:
        x = random_momenta(2, 5)
    else:
        x = random_particles(2, 5, dimension=next((DIMENSIONS[name] for name in names if name in DIMENSIONS), 3))
    return x if edges else Structure.build(x.mask, points=x.points, vectors=x.vectors)
