"""The variance of predictions and losses over repeats, as the authors' analysis has it (``sample_complexity.npz``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.build import build
from baselines.symmetrized import Symmetrized
from harness.registry import method
from harness.training.output_variance import spread, variance_point
from tasks.exp import ExpClassify
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

FORWARD = {"atol": 1e-12, "rtol": 0}
REPEATS = 100
Golden = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(Path(__file__).parent / "sample_complexity.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def graphs(golden: Golden) -> Structure:
    nodes = golden["adjacency"].shape[-1]
    mask = torch.arange(nodes) < golden["node_counts"][:, None]
    edges = golden["adjacency"].double()[..., None]
    return Structure.build(mask, node_scalars=golden["node_features"], edge_scalars=edges)


def our_name(theirs: str) -> str:
    """The name of a weight of the file in our networks."""
    part, *rest = theirs.split(".")
    if part == "base":
        return f"base.layers.{2 * int(rest[0].removeprefix('layer'))}.{rest[1]}"
    scorer = "sampler.network.scorer"
    if not rest[0].startswith("layer"):
        return ".".join([scorer, *rest])
    layer, inner, *kind = rest
    layer = f"{scorer}.layers.{layer.removeprefix('layer')}"
    if inner == "eps":
        return f"{layer}.eps"
    name = {"mean": "running_mean", "var": "running_var"}.get(kind[0], kind[0])
    return f"{layer}.mlp.{int(inner[-1]) - 1}.{inner[:-1]}.{name}"


def golden_model(golden: Golden, x: Structure) -> Symmetrized:
    card = method("mlp-learned")
    assert card.sampler is not None
    base = {**card.base.params, "widths": [12, 8, 8, 10], "activation": "relu", "reads": ["node_scalars", "edges"]}
    sampler = {**card.sampler.params, "q": "gin", "noise": "uniform", "width": 16, "layers": 3, "input_linear": False}
    model = build(card, Signature.of(x, Representation.GRAPH_SCALARS, 1), ("S_n",), base, sampler).double()
    assert isinstance(model, Symmetrized)
    weights = {our_name(name): value for name, value in golden.items() if name.startswith(("q.", "base."))}
    counters = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict({**counters, **weights})
    return model.eval()


@pytest.mark.parametrize("place", range(4))
def test_logits(golden: Golden, place: int) -> None:
    x, samples = graphs(golden), int(golden["k"][place])
    model = golden_model(golden, x)
    features, ties = golden[f"k{samples}.noise.features"], golden[f"k{samples}.noise.ties"]
    with torch.no_grad():
        found = [model.from_noise(x, noise, samples).value[:, 0] for noise in zip(features, ties, strict=True)]
    torch.testing.assert_close(torch.stack(found), golden["logits"][place], **FORWARD)


@pytest.mark.parametrize("place", range(4))
def test_variance_over_repeats(golden: Golden, place: int) -> None:
    """Of what is predicted, a probability, and of the loss: the mean deviation over graphs, squared."""
    task = ExpClassify.__new__(ExpClassify)  # what is put out and lost needs no data
    predictions, targets = golden["logits"][place][..., None], golden["labels"].double()[:, None]
    outputs, losses = task.outputs(predictions), task.losses(predictions, targets)
    torch.testing.assert_close(spread(outputs), golden["prediction_std.by_graph"][place], **FORWARD)
    torch.testing.assert_close(spread(outputs).mean(), golden["prediction_std"][place], **FORWARD)
    torch.testing.assert_close(spread(losses).mean(), golden["loss_std"][place], **FORWARD)
    point = variance_point("trained", int(golden["k"][place]), outputs, losses)
    assert point.repeats == REPEATS
    found = torch.tensor([point.output_variance, point.loss_mean, point.loss_variance], dtype=torch.float64)
    names = ("prediction_variance", "loss_mean", "loss_variance")
    torch.testing.assert_close(found, torch.stack([golden[name][place] for name in names]), **FORWARD)
