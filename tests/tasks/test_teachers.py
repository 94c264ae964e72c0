"""Teachers: targets are exactly symmetric under their group and not under a larger one; symmetric inputs are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness.registry import resolve, task
from tasks.catalogue.synthetic import SpaceTeacherSettings, TeacherSettings
from tasks.graphs import typed_graphs
from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups import FAMILIES, SINGLE, group, node_and_space
from tasks.symmetry.names import dimension, family, log_order
from tasks.symmetry.structure import Structure
from tasks.teachers.inputs import random_graphs, random_points, stabiliser, symmetric
from tasks.teachers.tasks import GraphEquivariant, GraphInvariant, SpaceEquivariant, SpaceInvariant, Teacher, spread

FEW = {"train": 8, "validation": 4, "test": 40, "data_seed": 0, "stabilised": 0.25}
EXACT = 1e-9
Names = tuple[str, ...]

GRAPHS: list[tuple[Names, Names | None]] = [
    (("S_n",), None),
    (("C_n",), ("D_n",)),
    (("D_n",), ("S_n",)),
]
SPACES: list[tuple[Names, Names | None]] = [
    (("O(3)",), ("S_n", "O(3)")),
    (("SO(3)",), ("O(3)",)),
    (("S_n", "SO(4)"), ("O(4)",)),
    (("E(2)",), ("Sim(2)",)),
    (("C_n", "SE(3)"), ("E(3)",)),
    (("S_n", "Sim(3)"), ("Aff(3)",)),
    (("S_n", "SSim(2)"), ("Sim(2)",)),
    (("S_n", "Aff(3)"), None),
    (("U(2)",), ("O(4)",)),
    (("S_n", "SU(2)"), ("U(2)",)),
    (("C_4", "S_n"), ("D_4",)),
    (("C_3", "C_n"), ("SO(2)",)),
    (("D_5",), ("O(2)",)),
    (("B_3", "D_n"), ("O(3)",)),
    (("S_n", "SO+(1,3)"), ("O(4)",)),
]


def teacher(kind: type[Teacher], names: Names, nodes: int = 6, **params: Any) -> Teacher:
    settings = SpaceTeacherSettings if issubclass(kind, SpaceInvariant) else TeacherSettings
    return kind(settings(**{**FEW, "group": names, "nodes": nodes, **params}))


def fresh(problem: Teacher) -> Structure:
    """Inputs of the law that the teacher's are of, in double precision."""
    return problem._inputs(40, "fresh")


def error(problem: Teacher, x: Structure, names: Names) -> float:
    """How far the targets of inputs moved by elements of a group are from moved targets, relative to their spread."""
    g = group(names).random(x, 1, torch.Generator().manual_seed(3))
    expected = g.act(problem.targets(x)[:, None], problem.output)[:, 0]
    difference = problem.targets(x.acted(g)) - expected
    return (difference.square().mean() / spread(expected)).sqrt().item()


KINDS: list[tuple[type[Teacher], Names, Names | None]] = [
    *((kind, *case) for kind in (GraphInvariant, GraphEquivariant) for case in GRAPHS),
    *((kind, *case) for kind in (SpaceInvariant, SpaceEquivariant) for case in SPACES),
]


@pytest.mark.parametrize(("kind", "names", "larger"), KINDS)
def test_targets_have_the_symmetry_of_their_group_alone(
    kind: type[Teacher], names: Names, larger: Names | None
) -> None:
    problem = teacher(kind, names)
    assert error(problem, fresh(problem), names) < EXACT
    assert larger is None or error(problem, fresh(problem), larger) > 0.1


@pytest.mark.parametrize("kind", [SpaceInvariant, SpaceEquivariant])
@pytest.mark.parametrize("names", [("SO(3)",), ("S_n", "SE(3)"), ("S_n", "SSim(2)"), ("S_n", "SO+(1,3)")])
def test_targets_of_a_group_without_reflections_change_under_one(kind: type[Teacher], names: Names) -> None:
    """Of the last coordinate: on some inputs at least, targets are not those of the mirror image."""
    problem = teacher(kind, names)
    x = fresh(problem)
    mirror = torch.ones(x.points.shape[2], dtype=torch.float64)
    mirror[-1] = -1
    g = LinearMap(torch.diag(mirror).expand(len(x), 1, -1, -1))
    expected = g.act(problem.targets(x)[:, None], problem.output)[:, 0]
    gap = (problem.targets(x.acted(g)) - expected).square().mean() / spread(expected)
    assert gap.sqrt() > 0.05


def test_every_registered_group_is_among_these() -> None:
    known = {*SINGLE, *FAMILIES} - {"trivial"}  # under which every function is equivariant
    covered = {name if name in known else family(name)[0] for names, _ in (*GRAPHS, *SPACES) for name in names}
    assert covered == known


def test_the_teacher_of_graphs_sees_what_colour_refinement_does_not() -> None:
    """One cycle of six against two of three: every node has two neighbours."""
    edges = [(i, (i + 1) % 6) for i in range(6)], [(a + i, a + (i + 1) % 3) for a in (0, 3) for i in range(3)]
    ends = torch.tensor([*edges[0], *edges[1]]).T
    x = typed_graphs(torch.tensor([0, 6, 12]), torch.tensor([0, 12, 24]), torch.zeros(12), both_ways(ends), nodes=6).to(
        "cpu", torch.float64
    )
    one, two = teacher(GraphInvariant, ("S_n",)).targets(x)
    assert (one - two).abs() > 0.1


def both_ways(ends: Tensor) -> Tensor:
    """Each half of the edges, then its reverse."""
    half = ends.shape[1] // 2
    parts = [ends[:, :half], ends[:, :half].flip(0), ends[:, half:], ends[:, half:].flip(0)]
    return torch.cat(parts, 1)


@given(st.sampled_from([names for names, _ in (*GRAPHS, *SPACES)]), st.integers(4, 9), st.integers(0, 2**31))
def test_symmetric_inputs_stay_as_they_are_under_another_element_than_the_identity(
    names: Names, nodes: int, seed: int
) -> None:
    chance = torch.Generator().manual_seed(seed)
    symmetry = group(names)
    _, space = node_and_space(symmetry)
    if space is None:
        x = random_graphs(symmetry, 3, nodes, 0.0, chance)
    else:
        x = random_points(symmetry, space, 3, nodes, 0.0, chance)
    element, order = stabiliser(symmetry, x, chance)
    y = symmetric(x, element, order)
    assert apart(y.acted(element), y) < 1e-8
    assert apart(x.acted(element), x) > 1e-3
    back = x
    for _ in range(order):
        back = back.acted(element)
    assert apart(back, x) < 1e-8
    assert torch.equal(y.adjacency, y.adjacency.mT)


def apart(x: Structure, y: Structure) -> float:
    """The largest difference of two structures, degrees (which follow from edges) aside."""
    pairs = [(getattr(x, kind), getattr(y, kind)) for kind in ("points", "vectors", "edge_scalars")]
    pairs.append((x.node_scalars[..., :1], y.node_scalars[..., :1]))
    return max((a - b).abs().max().item() for a, b in pairs if a.numel())


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_the_fraction_of_flat_sets_is_as_asked(fraction: float) -> None:
    """Under O(3) alone, what a reflection leaves as it is lies in a plane through the origin."""
    problem = teacher(SpaceInvariant, ("O(3)",), test=400, stabilised=fraction)
    x = problem.data("test").inputs
    assert isinstance(x, Structure)
    flat = torch.linalg.svdvals(torch.cat([x.points, x.vectors], 1)[..., 0])[:, 2] < 1e-4
    assert flat.double().mean().item() == pytest.approx(fraction, abs=0.1)


@pytest.mark.parametrize(("nodes", "degree"), [(5, 2.0), (9, 4.0), (33, 4.0)])
def test_random_graphs_have_the_degree_and_types_that_they_should(nodes: int, degree: float) -> None:
    """Four neighbours on average or half of the others; simple, undirected, of both types alike."""
    x = random_graphs(group(("S_n",)), 400, nodes, 0.0, torch.Generator().manual_seed(1))
    adjacency = x.adjacency
    assert torch.equal(adjacency, adjacency.mT) and not adjacency.diagonal(dim1=1, dim2=2).any()
    pairs, likely = 400 * nodes * (nodes - 1) / 2, degree / (nodes - 1)
    error = 2 * (likely * (1 - likely) / pairs) ** 0.5 * (nodes - 1) / 2
    assert adjacency.sum(-1).mean().item() == pytest.approx(degree, abs=5 * error)
    assert torch.equal(x.node_scalars[..., 1], adjacency.sum(-1))
    assert x.node_scalars[..., 0].mean().item() == pytest.approx(0.5, abs=5 * 0.5 / (400 * nodes) ** 0.5)


@pytest.mark.parametrize("names", [("SO+(1,3)",), ("S_n", "SO+(1,3)"), ("S_n", "O(4)")])
def test_random_points_and_momenta_have_their_law(names: Names) -> None:
    """Standard normal coordinates; in space-time the vectors are on the mass shell, of mass 1 and positive energy."""
    symmetry = group(names)
    space = node_and_space(symmetry)[1]
    assert space is not None
    x = random_points(symmetry, space, 400, 5, 0.0, torch.Generator().manual_seed(1))
    momenta = "SO+(1,3)" in names
    for values in (x.points, x.vectors[:, :, 1:] if momenta else x.vectors):
        assert values.mean().abs() < 5 / values.numel() ** 0.5
        assert values.square().mean().item() == pytest.approx(1, abs=5 * (2 / values.numel()) ** 0.5)
    if momenta:
        energy, momentum = x.vectors[:, :, 0], x.vectors[:, :, 1:]
        torch.testing.assert_close(energy.square() - momentum.square().sum(2), torch.ones_like(energy))
        assert (energy >= 1).all()
    edges = x.edge_scalars[..., 0]
    assert torch.equal(edges, edges.mT) and not edges.diagonal(dim1=1, dim2=2).any()
    off = edges[:, ~torch.eye(5, dtype=torch.bool)]
    assert torch.equal(off.abs(), torch.ones_like(off)) and off.mean().abs() < 0.1


@pytest.mark.parametrize("kind", [GraphInvariant, GraphEquivariant, SpaceInvariant, SpaceEquivariant])
@pytest.mark.parametrize("seed", [0, 1])
def test_targets_have_a_spread_of_one_and_scalars_a_level_of_zero(kind: type[Teacher], seed: int) -> None:
    names = ("S_n",) if issubclass(kind, GraphInvariant) else ("S_n", "SE(3)")
    problem = teacher(kind, names, data_seed=seed, test=400, stabilised=0.0)
    x, y = problem.data("test")[:]
    assert spread(y).item() == pytest.approx(1, abs=0.4)
    assert y.dim() == 4 or y.mean().abs() < 0.3
    again = problem._inputs(400, "test")
    torch.testing.assert_close(problem.targets(again).float(), y)
    assert torch.equal(again.points.float(), x.points) and torch.equal(again.edge_scalars.float(), x.edge_scalars)


def test_a_teacher_reads_the_types_of_both_ends_of_an_edge() -> None:
    """On an edgeless pair of nodes only their types are known: the target of each depends on the other's too."""
    problem = teacher(GraphEquivariant, ("S_n",), nodes=3)
    ones = torch.tensor([[0.0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=torch.float64)
    x = Structure.build(
        torch.ones(3, 3, dtype=torch.bool),
        node_scalars=torch.stack([ones, torch.zeros_like(ones)], -1),
        edge_scalars=torch.zeros(3, 3, 3, 1, dtype=torch.float64),
    )
    first = problem.targets(x)[:, 0, 0]
    assert len({round(value, 6) for value in first.tolist()}) == 3


def test_mse_is_relative_to_the_spread_also_on_moved_targets() -> None:
    problem = teacher(SpaceEquivariant, ("S_n", "Sim(3)"), test=200)
    x, y = fresh(problem), problem.targets(fresh(problem))
    assert spread(y).item() == pytest.approx(1, abs=0.5)
    at_mean = y.mean(1, keepdim=True).expand_as(y)
    assert problem.metrics(at_mean, y)["mse"] == pytest.approx(1)
    enlarged = 7 * y + 5
    assert problem.metrics(enlarged + 7 * 0.1, enlarged)["mse"] == pytest.approx(problem.metrics(y + 0.1, y)["mse"])
    assert problem.metrics(y, y)["mse"] == 0 and len(x) == 40


def test_same_settings_same_data_and_splits_differ() -> None:
    first, second = (teacher(GraphEquivariant, ("C_n",), train=40) for _ in range(2))
    for split in ("train", "validation", "test"):
        assert torch.equal(first.data(split).targets[:], second.data(split).targets[:])  # type: ignore[arg-type]
    assert not torch.equal(first.data("train").targets[:], first.data("test").targets[:])
    other = teacher(GraphEquivariant, ("C_n",), data_seed=1)
    assert not torch.equal(first.data("test").targets[:], other.data("test").targets[:])


@pytest.mark.parametrize(
    ("kind", "names", "params", "words"),
    [
        (GraphInvariant, ("O(3)",), {}, "group of graphs must be"),
        (SpaceInvariant, ("S_n",), {}, "group of points must have"),
        (SpaceInvariant, ("Z_9",), {}, "there is no group 'Z_9'"),
        (SpaceInvariant, ("C_5",), {}, "fixes only the origin"),
        (SpaceInvariant, ("Aff(3)",), {}, "is in a hyperplane"),
        (SpaceInvariant, ("SO(1)",), {}, "only one element"),
        (SpaceInvariant, ("S_n", "Aff(12)"), {}, "do not span"),
        (GraphInvariant, ("S_n",), {"nodes": 1}, "at least 2"),
        (GraphInvariant, ("S_n",), {"stabilised": 1.5}, "stabilised must be from 0 to 1"),
    ],
)
def test_bad_parameters_are_named(kind: type[Teacher], names: Names, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        teacher(kind, names, **params)


def test_the_group_of_a_run_is_what_its_parameters_say() -> None:
    card = task("teacher_space_invariant")
    spec = resolve(card.name, "mlp-ga", "quick", 0, task_params={"group": ["S_n", "B_#"], "degree": 4})
    assert card.group_of(spec.task_params) == ("S_n", "B_4")
    assert card.size_of(spec.task_params) == 4
    fixed = resolve(card.name, "mlp-ga", "quick", 0, task_params={"group": ["SO+(1,3)"]})
    assert fixed.task_params["degree"] is None and card.size_of(fixed.task_params) is None


@pytest.mark.parametrize("name", ["C_7", "D_7", "B_3"])
def test_orders_of_finite_groups_by_counting(name: str) -> None:
    found = group((name,))
    assert log_order([name], 5) == pytest.approx(torch.tensor(float(found.size)).log().item())  # type: ignore[attr-defined]
    assert dimension([name]) is None


def test_orders_of_products_and_dimensions() -> None:
    assert log_order(("S_n", "O(3)"), 5) == pytest.approx(torch.tensor(120.0).log().item())
    assert log_order(("O(3)",), 5) is None and log_order(("D_n",), 5) == pytest.approx(torch.tensor(10.0).log().item())
    dimensions = {"SO(3)": 3, "SE(3)": 6, "Sim(3)": 7, "Aff(3)": 12, "SU(2)": 3, "SO+(1,3)": 6}
    assert {name: dimension([name]) for name in dimensions} == dimensions
    assert dimension(("S_n", "E(2)")) == 3
