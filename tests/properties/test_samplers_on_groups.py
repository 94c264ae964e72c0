"""Every sampler on every group: symmetric, and trained through where discrete, or refused in one sentence."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from baselines.bases.mlp import MLP
from baselines.build import build_sampler
from baselines.catalogue import SAMPLERS
from baselines.catalogue.base_models import MLPSettings
from baselines.symmetrized import Symmetrized
from harness.verification.equivariance import law
from tasks.symmetry.element import Element, Product
from tasks.symmetry.groups import FiniteGroup, GeometricGroup, Group, NodeGroup, factors, group
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_momenta, random_particles

CARDS = {card.name: card for card in SAMPLERS}
ON_NODES = ["S_n", "C_n", "D_n"]
IN_SPACE = ["O(2)", "SO(3)", "O(4)", "E(3)", "SE(2)", "Sim(3)", "SSim(2)", "Aff(2)", "Aff(3)", "U(1)", "U(2)", "SU(2)"]
IN_SPACE += ["C_1", "C_5", "D_1", "D_4", "B_2", "B_3", "SO+(1,3)"]
MIXED = [("S_n", "E(3)"), ("C_n", "Sim(3)"), ("D_n", "Aff(3)"), ("S_n", "U(2)"), ("S_n", "SO+(1,3)"), ("S_n", "B_2")]
SYMMETRIES = [(name,) for name in ON_NODES + IN_SPACE] + MIXED
WITH_FINITE_FRAMES = [names for names in SYMMETRIES if not set(names) & {"U(1)", "U(2)", "SU(2)", "SO+(1,3)"}]
WITH_AXES = ["S_n", "O(2)", "SO(3)", "O(4)", "E(3)", "SE(2)", "Sim(3)", "SSim(2)", "Aff(2)", "Aff(3)"]
WITH_CANONICAL_FORMS = [names for names in SYMMETRIES if set(names) <= set(WITH_AXES)]


def structures_for(symmetry: Group, batch: int = 3, nodes: int = 5, edges: bool = True) -> Structure:
    """Graphs of different sizes, or particles in the space that the group acts on."""
    space = next((factor for factor in factors(symmetry) if isinstance(factor, GeometricGroup)), None)
    if space is None:
        return random_graphs(batch, nodes + 1)
    momenta = space.name == "SO+(1,3)"
    x = random_momenta(batch, nodes) if momenta else random_particles(batch, nodes, dimension=space.dimension)
    return x if edges else Structure.build(x.mask, points=x.points, vectors=x.vectors)


def symmetrized(name: str, symmetry: Group, x: Structure, **params: object) -> Symmetrized:
    """A random MLP that reads everything, with a sampler of this name, in evaluation."""
    torch.manual_seed(0)
    output = Representation.NODE_POINTS if x.points.shape[-1] else Representation.GRAPH_SCALARS
    signature = Signature.of(x, output, 1)
    card = CARDS[name]
    size = {"width": 24} if "width" in card.params else {}
    sampler = build_sampler(card, symmetry, signature, {**size, **params})
    base = MLP(signature, MLPSettings(widths=(16,), activation="tanh"))
    return Symmetrized(base, sampler, output).double().eval()


def left_over(symmetry: Group, x: Structure, g: Element) -> Element:
    """What g is to a network that sees ``x`` and ``g x`` from their rest frames."""
    parts = []
    for factor, part in zip(factors(symmetry), g.factors if isinstance(g, Product) else (g,), strict=True):
        if isinstance(factor, GeometricGroup):
            part = factor.rest_frame(x.acted(part)).inverse().compose(part).compose(factor.rest_frame(x))
        parts.append(part)
    return Product(tuple(parts))


def moved_noise(symmetry: Group, x: Structure, g: Element, noise: Noise) -> Noise:
    """The noise of a q, moved as what it reads is: vectors turn, numbers of nodes follow these."""
    k = left_over(symmetry, x, g)
    if len(noise) == 2:
        features, ties = noise
        return k.act(features, Representation.NODE_SCALARS), on_nodes(k, ties)
    vectors, ties, ranks = noise
    everywhere = ranks[:, :, None].expand(-1, -1, x.nodes, -1, -1)  # no node's own: permutations do nothing
    ranks = k.act(everywhere, Representation.NODE_VECTORS)[:, :, 0]
    return k.act(vectors, Representation.NODE_VECTORS), on_nodes(k, ties), ranks


def on_nodes(g: Element, values: Tensor) -> Tensor:
    return g.act(values[..., None], Representation.NODE_SCALARS)[..., 0]


def moved_prediction(model: Symmetrized, g: Element, prediction: Tensor) -> Tensor:
    return g.act(prediction[:, None], model.output)[:, 0]


def with_noise(model: Symmetrized, noise: Noise) -> Symmetrized:
    def fixed(x: Structure, samples: int, generator: Generator) -> Noise:
        return noise

    model.sampler.noise = fixed  # type: ignore[method-assign]
    return model


@pytest.mark.parametrize("names", SYMMETRIES)
@pytest.mark.parametrize("kind", ["ps", "canonical"])
def test_a_symmetrized_network_is_equivariant_jointly_in_input_and_noise(kind: str, names: tuple[str, ...]) -> None:
    """phi(g x, g noise) = g phi(x, noise): an equivariant mean, because no g changes the law of the noise."""
    symmetry = group(names)
    x = structures_for(symmetry)
    model = symmetrized(kind, symmetry, x)
    noise = model.sampler.noise(x, 1 if kind == "canonical" else 3, torch.Generator().manual_seed(1))
    g = symmetry.random(x, 1, torch.Generator().manual_seed(2))
    here = with_noise(model, noise)(x, 3).value
    there = with_noise(model, moved_noise(symmetry, x, g, noise))(x.acted(g), 3).value
    expected = moved_prediction(model, g, here)
    torch.testing.assert_close(there, expected, atol=1e-10 * (1 + expected.abs().max().item()), rtol=0)
    assert (x.acted(g).points - x.points).abs().sum() > 0.1 or x.points.shape[-1] == 0 or names == ("C_1",)


@pytest.mark.parametrize("names", [names for names in SYMMETRIES if not any("Aff" in name for name in names)])
def test_group_averaging_has_a_law_that_moves_with_the_input(names: tuple[str, ...]) -> None:
    assert_law_moves("ga", names)


@pytest.mark.parametrize("names", [("C_n",), ("Aff(3)",), ("U(2)",), ("B_3",), ("S_n", "SO+(1,3)")])
def test_a_learned_law_moves_with_the_input(names: tuple[str, ...]) -> None:
    assert_law_moves("ps", names)


@pytest.mark.parametrize("names", WITH_FINITE_FRAMES)
def test_a_stochastic_frame_has_a_law_that_moves_with_the_input(names: tuple[str, ...]) -> None:
    assert_law_moves("fa", names, exact=False)


def assert_law_moves(kind: str, names: tuple[str, ...], **params: object) -> None:
    symmetry = group(names)
    x = structures_for(symmetry, batch=2)
    model = symmetrized(kind, symmetry, x, **params)
    g = symmetry.random(x, 1, torch.Generator().manual_seed(3))
    found = law(model.sampler, x, x.acted(g), g, 200)
    assert found.agrees, found


EXACT = [(kind, names) for kind in ("fa", "mfa") for names in WITH_FINITE_FRAMES if names != ("S_n",)]
EXACT = [(kind, names) for kind, names in EXACT if kind == "fa" or names in WITH_CANONICAL_FORMS]


@pytest.mark.parametrize(("kind", "names"), EXACT)
@pytest.mark.parametrize("edges", [False, True])
def test_an_exact_frame_is_exactly_equivariant(kind: str, names: tuple[str, ...], edges: bool) -> None:
    """Whatever is drawn, also on pure point clouds, whose nodes are sorted as each element of space shows them."""
    symmetry = group(names)
    x = structures_for(symmetry, edges=edges)
    model = symmetrized(kind, symmetry, x, exact=True)
    assert model.deterministic or ("S_n" in names and edges)
    g = symmetry.random(x, 1, torch.Generator().manual_seed(4))
    here, there = (model(y, 1, torch.Generator().manual_seed(s)).value for s, y in enumerate((x, x.acted(g))))
    expected = moved_prediction(model, g, here)
    torch.testing.assert_close(there, expected, atol=1e-10 * (1 + expected.abs().max().item()), rtol=0)


@pytest.mark.parametrize("names", [("E(3)",), ("Sim(3)",), ("Aff(3)",), ("S_n", "SE(3)")])
def test_a_minimal_frame_has_one_element_that_moves_exactly(names: tuple[str, ...]) -> None:
    symmetry = group(names)
    x = structures_for(symmetry, edges=False)
    model = symmetrized("mfa", symmetry, x)
    assert model.fixed_samples == 1
    g = symmetry.random(x, 1, torch.Generator().manual_seed(4))
    here, there = (model(y, 1, torch.Generator().manual_seed(s)).value for s, y in enumerate((x, x.acted(g))))
    expected = moved_prediction(model, g, here)
    torch.testing.assert_close(there, expected, atol=1e-10 * (1 + expected.abs().max().item()), rtol=0)


@pytest.mark.parametrize("name", ["C_n", "D_n"])
def test_the_exact_frame_of_a_sequence_is_the_mean_over_its_group(name: str) -> None:
    """By loops over where to start and which way to go, for sequences of different lengths in one batch."""
    x = random_graphs(4, 6)
    model = symmetrized("fa", group((name,)), x)
    expected = []
    for b in range(4):
        n = int(x.mask[b].sum())
        values = []
        for start, step in product(range(n), (1, -1) if name == "D_n" else (1,)):
            order = torch.tensor([(start + step * place) % n for place in range(n)] + list(range(n, 6)))
            turned = Structure.build(
                x.mask[b : b + 1],
                node_scalars=x.node_scalars[b, order][None],
                edge_scalars=x.edge_scalars[b, order][:, order][None],
            )
            values.append(model.base(turned)[0])
        expected.append(torch.stack(values).mean(0))
    assert model.fixed_samples == (12 if name == "D_n" else 6)
    torch.testing.assert_close(model(x, 1).value, torch.stack(expected))
    torch.testing.assert_close(model(x, 1, chunk=2).value, torch.stack(expected))


@pytest.mark.parametrize("name", ["C_5", "D_4", "B_3"])
def test_the_exact_frame_of_a_finite_group_is_the_mean_over_it(name: str) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, FiniteGroup)
    x = structures_for(symmetry)
    model = symmetrized("fa", symmetry, x)
    expected = torch.zeros(3, 5, symmetry.dimension, 1, dtype=torch.float64)
    for matrix in symmetry.matrices(x.points):
        turned = Structure.build(
            x.mask, points=matrix.T @ x.points, vectors=matrix.T @ x.vectors, edge_scalars=x.edge_scalars
        )
        expected += matrix @ model.base(turned) / symmetry.size
    torch.testing.assert_close(model(x, 1).value, x.points[..., :1] + expected)


def test_the_exact_frame_of_a_product_has_every_pair_once() -> None:
    x = structures_for(group(("D_n", "C_3")), batch=1)
    sampler = symmetrized("fa", group(("D_n", "C_3")), x).sampler
    element = sampler(x, sampler.noise(x, 1, None)).element
    assert isinstance(element, Product) and sampler.fixed_samples == element.samples == 30
    turns, rotations = element.factors
    pairs = torch.cat([turns.images[0].double(), rotations.matrix[0].flatten(1)], -1)  # type: ignore[attr-defined]
    assert (torch.cdist(pairs, pairs) < 1e-9).sum() == 30


@pytest.mark.parametrize("cloud", ["a square", "a line", "one place", "one node"])
def test_nodes_of_a_degenerate_cloud_are_sorted_by_chance_where_nothing_tells_them_apart(cloud: str) -> None:
    """The law of S_n x SE(3) moves with the points, and elements are of the group."""
    clouds = {
        "a square": torch.tensor([[1.0, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0]]),
        "a line": torch.arange(4.0)[:, None] * torch.tensor([[1.0, 2, 3]]),
        "one place": torch.ones(4, 3),
        "one node": torch.ones(1, 3),
    }
    points = clouds[cloud].double() + torch.tensor([0.3, -2, 5], dtype=torch.float64)
    x = Structure.build(torch.ones(1, len(points), dtype=torch.bool), points=points[None, ..., None])
    symmetry = group(("S_n", "SE(3)"))
    sampler = symmetrized("fa", symmetry, x, exact=False).sampler
    g = symmetry.random(x, 1, torch.Generator().manual_seed(3))
    assert law(sampler, x, x.acted(g), g, 1000).agrees


@pytest.mark.parametrize("names", [("C_n",), ("D_n",), ("C_5",), ("D_4",), ("B_3",), ("S_n", "B_3"), ("C_n", "SO(2)")])
@pytest.mark.parametrize("kind", ["ps", "canonical"])
def test_gradients_reach_every_parameter_of_q(kind: str, names: tuple[str, ...]) -> None:
    """Through the prediction, and through the entropy that is its penalty."""
    symmetry = group(names)
    x = structures_for(symmetry)
    model = symmetrized(kind, symmetry, x).train()
    torch.manual_seed(1)
    prediction = model(x, 3, torch.Generator().manual_seed(1))
    assert prediction.penalty is not None and prediction.penalty > 0
    for objective in (prediction.value.square().sum(), prediction.penalty):
        model.zero_grad()
        objective.backward(retain_graph=True)
        gradients = [parameter.grad for parameter in model.sampler.parameters() if parameter.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert sum(bool(gradient.abs().max() > 0) for gradient in gradients) > 4


@pytest.mark.parametrize("names", [("C_n",), ("D_4",), ("B_3",), ("S_n", "U(2)"), ("D_n", "Aff(3)")])
def test_training_and_evaluation_pick_the_same_elements(names: tuple[str, ...]) -> None:
    """What is soft shows in gradients only."""
    symmetry = group(names)
    x = structures_for(symmetry)
    model = symmetrized("ps", symmetry, x)
    noise = model.sampler.noise(x, 4, None)
    soft = x.acted(model.sampler(x, noise).element.inverse())
    with torch.no_grad():
        hard = x.acted(model.sampler(x, noise).element.inverse())
    for name in ("node_scalars", "points", "vectors", "edge_scalars"):
        torch.testing.assert_close(getattr(soft, name), getattr(hard, name), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["C_2", "C_5", "D_1", "D_4", "B_1", "B_3"])
def test_a_relaxed_finite_group_is_a_dense_straight_through_matrix(name: str) -> None:
    """By loops over its elements; the most likely one is that of the head."""
    symmetry = group((name,))
    assert isinstance(symmetry, FiniteGroup)
    frame = torch.randn(2, 3, symmetry.dimension, symmetry.dimension, dtype=torch.float64, requires_grad=True)
    element, law_of = symmetry.relaxed_compact_head(frame, 0.2)
    matrices, landmark = symmetry.matrices(frame), symmetry.landmark(frame)
    weights = torch.randn_like(element.matrix)
    objective = torch.zeros((), dtype=torch.float64)
    for b, k in product(range(2), range(3)):
        column = frame[b, k, :, 0] / frame[b, k, :, 0].norm()
        scores = torch.stack([torch.dot(column, matrix @ landmark) for matrix in matrices])
        soft = sum(p * matrix for p, matrix in zip((scores / 0.2).softmax(0), matrices, strict=True))
        hard = matrices[scores.argmax()]
        torch.testing.assert_close(element.matrix[b, k], hard, atol=1e-12, rtol=0)
        torch.testing.assert_close(law_of[b, k], (scores / 0.2).softmax(0))
        objective = objective + ((hard - soft.detach() + soft) * weights[b, k]).sum()
    (expected,) = torch.autograd.grad(objective, frame, retain_graph=True)
    (found,) = torch.autograd.grad((element.matrix * weights).sum(), frame)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("names", [("U(2)",), ("SU(2)",), ("SO+(1,3)",), ("D_4",), ("B_3",)])
def test_q_may_know_what_a_subgroup_leaves_alone(names: tuple[str, ...]) -> None:
    """Its matrices do not turn along with all rotations of space, only with those of the group."""
    symmetry = group(names)
    (factor,) = factors(symmetry)
    assert isinstance(factor, GeometricGroup)
    x = structures_for(symmetry)
    sampler = symmetrized("canonical", symmetry, x).sampler
    noise = sampler.noise(x, 1, None)
    rotations = group((f"O({factor.dimension})",))
    r = rotations.random(x, 1, None)
    turned = sampler.network(x.acted(r), noise, 0.0).matrix  # type: ignore[operator,union-attr]
    expected = r.matrix @ sampler.network(x, noise, 0.0).matrix  # type: ignore[attr-defined,operator]
    assert (turned - expected).abs().max() > 1e-2 * expected.abs().max()


POINTS, GRAPHS = random_particles(2, 5), random_graphs(2, 5)
CLOUD = Structure.build(POINTS.mask, points=POINTS.points)
FOUR, FIVE = (random_particles(2, 5, dimension=dimension) for dimension in (4, 5))
REFUSED: list[tuple[str, tuple[str, ...], Structure, str]] = [
    *((kind, ("SO(3)",), GRAPHS, r"SO\(3\) acts on points and vectors, and there are none") for kind in CARDS),
    *((kind, ("S_n", "SO(2)"), POINTS, r"SO\(2\) acts on R\^2, and points and vectors are in R\^3") for kind in CARDS),
    *((kind, ("S_n",), CLOUD, "sorts nodes by their edges, and there are none") for kind in ("fa", "mfa")),
    *((kind, ("U(2)",), FOUR, r"U\(2\) has no finite frame here: use") for kind in ("fa", "mfa")),
    *((kind, ("S_n", "SO+(1,3)"), FOUR, "has no finite frame here") for kind in ("fa", "mfa")),
    ("ga", ("S_n", "Aff(3)"), POINTS, r"Aff\(3\) has no Haar probability measure.*canonicalization or probabilistic"),
    ("mfa", ("C_n",), GRAPHS, "C_n has no canonical form here: use frame averaging"),
    ("mfa", ("S_n", "B_3"), POINTS, "B_3 has no canonical form here"),
    ("fa", ("B_5",), FIVE, "an exact frame of B_5 has 3,840 elements here, and at most 1,024 are taken: set exact"),
    *(
        (
            kind,
            ("O(21)",),
            random_particles(1, 3, dimension=21),
            r"signs of at most 20 axes, and O\(21\) has more: use",
        )
        for kind in ("fa", "mfa")
    ),
    ("ps", ("B_7",), random_particles(1, 3, dimension=7), "B_7 has 645,120 elements .* use group averaging"),
]


@pytest.mark.parametrize(("kind", "names", "x", "sentence"), REFUSED)
def test_what_is_not_covered_is_one_sentence_at_construction(
    kind: str, names: tuple[str, ...], x: Structure, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        symmetrized(kind, group(names), x)


SOME = [("S_n",), ("D_n",), ("SE(3)",), ("Aff(3)",), ("U(2)",), ("D_4",), ("B_3",), ("SO+(1,3)",), ("D_n", "Aff(3)")]


@pytest.mark.parametrize("names", SOME)
@pytest.mark.parametrize("kind", list(CARDS))
def test_whatever_the_pair_it_is_built_or_refused_in_words(kind: str, names: tuple[str, ...]) -> None:
    """Never an assertion, an attribute or a key that is missing."""
    symmetry = group(names)
    for x in (GRAPHS, CLOUD, POINTS, FOUR):
        try:
            model = symmetrized(kind, symmetry, x)
        except ValueError as error:
            assert len(str(error).splitlines()) == 1
            continue
        value = model(x, 2, torch.Generator().manual_seed(0)).value
        assert value.isfinite().all()
        for factor in factors(symmetry):
            assert isinstance(factor, NodeGroup) or x.points.shape[2] == factor.dimension  # type: ignore[attr-defined]
