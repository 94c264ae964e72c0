"""A symmetrized module gives the numbers of the harness's methods, from tensors and from batches alike."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from baselines.bases.mlp import MLP
from baselines.build import build
from baselines.symmetrized import Symmetrized
from baselines.symmetrized_module import SymmetrizedModule
from harness.registry import method
from harness.symmetrize import symmetrize
from tasks.errors import SettingsError
from tasks.symmetry.noise import Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_particles

ROOT = Path(__file__).resolve().parents[2]
SEED = 3


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def points(batch: int = 3, nodes: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(batch, nodes, 3, generator=drawn(), dtype=dtype)


def perceptron(width: int = 15, channels: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, channels))


def learned(x: Tensor, **settings: Any) -> SymmetrizedModule:
    return symmetrize(perceptron(), "S_n x O(3)", "ps", inputs={"positions": x}, **{"width": 24, **settings})


class InOrder(nn.Module):
    """The layers of an MLP on tensors: node features, positions and vectors, edges."""

    def __init__(self, base: MLP) -> None:
        super().__init__()
        self.layers, self.shape = base.layers, base.shape

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.layers(torch.cat([values.flatten(1) for values in inputs], 1)).unflatten(1, self.shape)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("sampler", ["ps", "ga", "canonical", "fa"])
@pytest.mark.parametrize("particles", [False, True])
def test_the_numbers_are_those_of_a_registered_method(particles: bool, sampler: str, training: bool) -> None:
    """A base model MLP, wrapped by hand; its points are displacements from the first point."""
    x = random_particles(4, 5) if particles else random_graphs(4, 5, padded=False)
    names = ("S_n", "E(3)") if particles else ("S_n",)
    card = method(f"mlp-{sampler}")
    output = Representation.NODE_POINTS if particles else Representation.GRAPH_SCALARS
    assert card.sampler is not None
    registered = build(card, Signature.of(x, output, 1), names, card.base.params, card.sampler.params).double()
    assert isinstance(registered, Symmetrized) and isinstance(registered.base, MLP)
    inputs = {"node_features": x.node_scalars} if x.node_scalars.shape[-1] else {}
    inputs |= {"vectors": torch.cat([x.points, x.vectors], -1)} if particles else {}
    inputs |= {"edge_features": x.edge_scalars}
    if particles:  # points and vectors are two tensors, which the MLP reads as one
        inputs = {"positions": x.points[..., 0], "vectors": x.vectors[..., 0], "edge_features": x.edge_scalars}

        class Geometry(InOrder):
            def forward(self, *inputs: Tensor) -> Tensor:
                return super().forward(torch.stack(inputs[:2], -1), inputs[2])[..., 0]

        module: nn.Module = Geometry(registered.base)
    else:
        module = InOrder(registered.base)
    model = symmetrize(module, names, sampler, inputs=inputs, output="vectors" if particles else "graph_features")
    model.sampler.load_state_dict(registered.sampler.state_dict())
    registered.train(training), model.train(training)
    torch.manual_seed(5)  # dropout
    expected = registered(x, 4, drawn())
    torch.manual_seed(5)
    found = model.predict(*inputs.values(), samples=4, generator=drawn())
    value = found.value + x.points[..., 0] if particles else found.value
    torch.testing.assert_close(value, expected.value.squeeze(-1) if particles else expected.value)
    assert (found.penalty is None) == (expected.penalty is None)
    if expected.penalty is not None and found.penalty is not None:
        torch.testing.assert_close(found.penalty, expected.penalty)


class ByPlace(nn.Module):
    """Sums over nodes and edges of graphs, with a weight for each place in a graph: tensors or a batch."""

    def __init__(self, output: str) -> None:
        super().__init__()
        self.output = output
        self.weight = nn.Parameter(torch.arange(1.0, 8.0, dtype=torch.float64).sin())

    def forward(self, h: Any, adjacency: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        if adjacency is None:
            return self.of_batch(h)
        assert mask is not None
        nodes = h * (self.weight[: h.shape[1], None] * mask[..., None])
        nodes = nodes + adjacency @ nodes
        if self.output == "edge_features":
            return (nodes[:, :, None] - 2 * nodes[:, None]) * adjacency[..., None]
        return nodes.sum(1).tanh() if self.output == "graph_features" else nodes.tanh()

    def of_batch(self, batch: Any) -> Tensor:
        place = torch.arange(batch.num_nodes) - batch.ptr[batch.batch]
        nodes = batch.x * self.weight[place, None]
        source, target = batch.edge_index
        nodes = nodes.index_add(0, target, nodes[source] * batch.edge_weight[:, None])
        if self.output == "edge_features":
            return (nodes[target] - 2 * nodes[source]) * batch.edge_weight[:, None]
        if self.output == "graph_features":
            return nodes.new_zeros(batch.num_graphs, 2).index_add(0, batch.batch, nodes).tanh()
        return nodes.tanh()


@pytest.mark.parametrize("sampler", ["ps", "ga", "mfa"])
@pytest.mark.parametrize("output", ["graph_features", "node_features", "edge_features"])
def test_batches_give_what_tensors_give(output: str, sampler: str) -> None:
    """With the same noise and the same weights of q."""
    dense = random_graphs(4, 6, seed=2)
    weights = dense.edge_scalars * torch.rand(dense.edge_scalars.shape, generator=drawn()).double()
    inputs = {"node_features": dense.node_scalars, "edge_features": torch.cat([dense.edge_scalars, weights], -1)}
    owner, target, source = dense.edge_scalars[..., 0].nonzero().unbind(1)
    first = dense.node_counts.cumsum(0) - dense.node_counts
    order = torch.randperm(len(owner), generator=drawn())
    batch = Batch(
        x=dense.node_scalars[dense.mask],
        edge_index=(torch.stack([source, target]) + first[owner])[:, order],
        edge_weight=weights[owner, target, source, 0][order],
        batch=torch.arange(4).repeat_interleave(dense.node_counts),
        ptr=torch.cat([first, dense.node_counts.sum()[None]]),
    )
    module = ByPlace(output)

    class OnEdges(nn.Module):
        def forward(self, h: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
            return module(h, edges[..., 1], mask)

    size = {"width": 16} if sampler == "ps" else {}
    torch.manual_seed(0)
    from_batch = symmetrize(module, "S_n", sampler, inputs=batch, output=output, **size).eval()
    tensors = {**inputs, "mask": dense.mask}
    from_tensors = symmetrize(OnEdges(), "S_n", sampler, inputs=tensors, output=output, **size).eval()
    from_tensors.sampler.load_state_dict(from_batch.sampler.state_dict())
    found = from_batch(batch, samples=5, generator=drawn())
    expected = from_tensors(*tensors.values(), samples=5, generator=drawn())
    if output == "node_features":
        expected = expected[dense.mask]
    if output == "edge_features":
        expected = expected[owner, target, source][order]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(from_batch(batch, samples=5, generator=drawn(), chunk=2), expected)


def test_a_batch_of_points_is_moved_in_space() -> None:
    """Positions out of positions, under a group with translations, for graphs of different sizes."""

    class Mover(nn.Module):
        def forward(self, data: Any) -> Tensor:
            place = torch.arange(data.num_nodes) - data.ptr[data.batch]
            return data.pos * torch.tensor([1.0, 2.0, 3.0]) + place[:, None] + data.z[:, None]

    clouds = [Data(pos=torch.randn(n, 3), z=torch.randint(0, 5, (n,))) for n in (4, 6, 5)]
    batch = Batch.from_data_list(clouds)
    model = symmetrize(Mover(), "SE(3)", "fa", inputs=batch, output="positions").eval()
    turn = torch.linalg.qr(torch.randn(3, 3)).Q
    turn = turn * turn.det()
    moved = batch.clone()
    moved.pos = batch.pos @ turn.T + torch.tensor([5.0, -1.0, 2.0])
    torch.testing.assert_close(model(moved), model(batch) @ turn.T + torch.tensor([5.0, -1.0, 2.0]))
    torch.testing.assert_close(model(batch)[:4], model(Batch.from_data_list(clouds[:1])))
    assert (model.module(moved) - (model.module(batch) @ turn.T + torch.tensor([5.0, -1.0, 2.0]))).abs().max() > 0.1


class Masked(nn.Module):
    """Sums over nodes that exist."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return (self.layer(x).tanh() * mask[..., None]).sum(1)


@pytest.mark.parametrize(("group", "sampler"), [("E(3)", "fa"), ("S_n x SE(3)", "ps"), ("SO(3)", "canonical")])
def test_padding_changes_nothing(group: str, sampler: str) -> None:
    x, mask = points(nodes=8), torch.arange(8) < torch.tensor([[4], [2], [5]])
    size = {} if sampler == "fa" else {"width": 24}
    model = symmetrize(Masked(), group, sampler, inputs={"positions": x, "mask": mask}, **size).eval()
    structure = model.inputs.structure((x, mask))
    noise = model.symmetrized.noise(structure, 4, drawn())

    def with_noise(noise: Noise, *inputs: Tensor) -> Tensor:
        model.symmetrized.noise = lambda *_: noise  # type: ignore[method-assign,assignment]
        return model(*inputs, samples=4)

    narrow = tuple(part[:, :, :5] if part.dim() > 2 and part.shape[2] == 8 else part for part in noise)
    torch.testing.assert_close(with_noise(narrow, x[:, :5], mask[:, :5]), with_noise(noise, x, mask))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_sampler_has_the_dtype_of_the_example(dtype: torch.dtype) -> None:
    x = points(dtype=dtype)
    model = symmetrize(perceptron().to(dtype), "S_n x O(3)", "ps", inputs={"positions": x}, width=24)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert model(x, samples=2).dtype == dtype


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_model_moves_to_a_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    x = points()
    model = learned(x).to(device)
    value = model(x.to(device), samples=2, generator=torch.Generator(device).manual_seed(0))
    assert value.device.type == device and value.isfinite().all()


def test_the_generator_is_the_only_chance_and_chunks_do_not_matter() -> None:
    x = points()
    model = learned(x).eval()
    one = model(x, samples=6, generator=drawn())
    assert torch.equal(model(x, samples=6, generator=drawn()), one)
    torch.testing.assert_close(model(x, samples=6, generator=drawn(), chunk=4), one)
    assert not torch.equal(model(x, samples=6, generator=torch.Generator().manual_seed(4)), one)


def test_gradients_reach_the_module_the_network_q_and_the_inputs() -> None:
    x = points().requires_grad_()
    model = learned(x, dropout=0.0).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = copy.deepcopy(model.state_dict())
    prediction = model.predict(x, samples=4, generator=drawn())
    assert prediction.penalty is not None and "entropy" in prediction.statistics
    prediction.objective(prediction.value.square().sum()).backward()
    optimizer.step()
    changed = {name for name, values in model.state_dict().items() if not torch.equal(values, before[name])}
    assert {name.split(".")[1] for name in changed} == {"base", "sampler"}
    assert x.grad is not None and x.grad.abs().min() > 0
    assert model.eval().predict(x, samples=2).penalty is None


@pytest.mark.parametrize(
    ("group", "sampler"), [("E(3)", "fa"), ("SE(3)", "mfa"), ("SO(3)", "ga"), ("Sim(3)", "canonical")]
)
def test_gradients_to_inputs_are_those_of_finite_differences(group: str, sampler: str) -> None:
    """Of the whole function: group elements that depend on the input are differentiated too."""
    x = points(batch=1, nodes=4, dtype=torch.float64).requires_grad_()
    size = {"width": 12} if sampler == "canonical" else {}
    module = perceptron(12).double()
    model = symmetrize(module, group, sampler, inputs={"positions": x}, output="graph_features", **size).eval()
    assert torch.autograd.gradcheck(lambda y: model(y, samples=2, generator=drawn()), (x,), atol=1e-6)


def test_a_copy_is_independent() -> None:
    x = points()
    model = learned(x).eval()
    other = copy.deepcopy(model)
    expected = model(x, samples=3, generator=drawn())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(other(x, samples=3, generator=drawn()), expected)
    assert model(x, samples=3, generator=drawn()).abs().max() == 0


IN_ANOTHER_PROCESS = """
import sys, torch
from torch import nn
import symbench
kept = torch.load(sys.argv[1])
module = nn.Sequential(nn.Flatten(), nn.Linear(15, 16), nn.Tanh(), nn.Linear(16, 2))
model = symbench.symmetrize(module, "S_n x O(3)", "ps", inputs={"positions": kept["x"]}, width=24).eval()
model.load_state_dict(kept["weights"])
torch.save(model(kept["x"], samples=3, generator=torch.Generator().manual_seed(3)), sys.argv[2])
"""


def test_saved_weights_give_the_same_numbers_in_another_process(tmp_path: Path) -> None:
    x = points()
    model = learned(x).train()
    model(x, samples=2)  # statistics of batch normalisation are part of the state
    torch.save({"weights": model.state_dict(), "x": x}, tmp_path / "kept.pt")
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path / "kept.pt"), str(tmp_path / "found.pt")]
    subprocess.run(command, check=True, cwd=ROOT)
    found = torch.load(tmp_path / "found.pt")
    torch.testing.assert_close(found, model.eval()(x, samples=3, generator=drawn()))


def test_a_whole_model_can_be_pickled() -> None:
    x = points()
    model = learned(x).eval()
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    loaded = torch.load(stream, weights_only=False)
    assert torch.equal(loaded(x, samples=3, generator=drawn()), model(x, samples=3, generator=drawn()))


@pytest.mark.parametrize(("group", "sampler"), [("S_n x O(3)", "ga"), ("SE(3)", "ps")])
def test_a_compiled_model_is_one_graph_with_the_same_numbers_and_gradients(group: str, sampler: str) -> None:
    """In training, with torch's own generator, which compiled code can use."""
    x, mask = points(), torch.arange(5) < torch.tensor([[4], [2], [5]])
    size = {"width": 12, "dropout": 0.0} if sampler == "ps" else {}
    model = symmetrize(Masked(), group, sampler, inputs={"positions": x, "mask": mask}, **size)
    found = []
    for run in (model, torch.compile(model, backend="eager", fullgraph=True)):
        model.zero_grad()
        torch.manual_seed(1)
        value = run(x, mask, samples=3)
        value.square().sum().backward()
        found.append([value, *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(found[0]) > 2
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)


def test_graphs_without_node_features_have_noise_of_their_own() -> None:
    """Elements of ps would otherwise only differ in how ties are broken."""
    x = random_graphs(2, 6, dtype=torch.float32, padded=False)
    inputs = {"adjacency": x.edge_scalars[..., 0]}
    model = symmetrize(perceptron(36), "S_n", "ps", inputs=inputs, width=16).eval()
    element = model.sampler(*elements(model, inputs["adjacency"])).element
    assert len(element.images[0].unique(dim=0)) > 10
    assert model(inputs["adjacency"]).shape == (2, 2)


def elements(model: SymmetrizedModule, adjacency: Tensor) -> tuple[Structure, Noise]:
    """What the sampler gets for graphs: with a constant, so that there is something to add noise to."""
    x = model.inputs.structure((adjacency,))
    x = replace(x, node_scalars=x.mask[..., None].to(adjacency.dtype))
    return x, model.symmetrized.noise(x, 50, drawn())


def test_exact_frames_of_sequences_keep_their_number_of_nodes() -> None:
    x = torch.randn(2, 4, 1)
    model = symmetrize(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), "C_n", "fa", inputs={"node_features": x})
    with pytest.raises(SettingsError, match="made for N = 4 nodes, padding included, not 5"):
        model(torch.randn(2, 5, 1))


class Returns(nn.Module):
    """A module that returns what it is given here."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(6, 4), r"'node_features' has N = 4, and its inputs have N = 5"),
        (torch.ones(2, 5, 1), "'node_features' has B = 2, and its inputs have B = 6"),
        (torch.ones(6), r"should have the shape \[B, N, C\] or \[B, N\], not \[6\]"),
        ((torch.ones(6, 5), 1), "should be one tensor, not tuple"),
    ],
)
def test_a_module_that_returns_something_else_is_one_sentence(value: Any, message: str) -> None:
    x = points(3)
    model = symmetrize(Returns(value), "SO(3)", "ga", inputs={"positions": x}, output="node_features")
    with pytest.raises(SettingsError, match=message):
        model(x, samples=2)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ((), {}, "The module takes positions, not 0 arguments"),
        ((points(), points()), {}, "The module takes positions, not 2 arguments"),
        ((points()[..., None],), {}, "'positions' should have 3 axes, not 4"),
        ((points()[..., :2],), {}, "'positions' should have D = 3, not 2"),
        ((points().tolist(),), {}, "'positions' should be a tensor, not list"),
        ((points(),), {"samples": 0}, "samples should be a whole number of at least 1, not 0"),
        ((points(),), {"chunk": 1.5}, "chunk should be a whole number of at least 1, not 1.5"),
    ],
)
def test_a_call_that_is_not_like_the_example_is_refused(inputs: tuple[Any, ...], options: Any, message: str) -> None:
    model = symmetrize(perceptron(), "SO(3)", "ga", inputs={"positions": points()})
    with pytest.raises(SettingsError, match=message):
        model(*inputs, **options)
