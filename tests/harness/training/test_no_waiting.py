"""A training step never waits for its device, has deterministic kernels that do not sort, and compiles to one graph.

The device ``meta`` stands for an accelerator: it holds no numbers, so that an operator which has to look at some (an
``item``, a ``nonzero``, a shape that follows the data) fails there. What runs there and would be waited for on CUDA all
the same, or has no deterministic kernel, or one that sorts, is known by its name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from baselines.build import build
from baselines.model import Model
from harness.registry import method, methods, resolve, task
from harness.suites.loading import load as load_suite
from harness.training.context import RunContext
from harness.training.fit import Fit
from tasks.catalogue.geometry import NBodySettings
from tasks.catalogue.long_range import PCQMContactSettings, PeptidesSettings
from tasks.catalogue.nodes import PatternSettings
from tasks.nbody import NBody
from tasks.pattern import PatternTask
from tasks.pcqm_contact import PCQMContact
from tasks.peptides import PeptidesFunc, PeptidesStruct
from tasks.protocol import Protocol
from tasks.symmetry.gathering import taken
from tasks.task import SupervisedTask
from tests.harness.training.small_problems import EdgeCount

META = torch.device("meta")
WAITING = {
    "mfa": "colours are refined until they are stable: a fixed number of rounds costs more than waiting",
    "gated_gcn": "lists of edges are as long as there are edges",
    "gps": "lists of edges are as long as there are edges",
}
WAITS = frozenset(
    {
        "_linalg_check_errors",
        "_linalg_eigh",
        "_linalg_eigvals",
        "_linalg_svd",
        "_local_scalar_dense",
        "_unique2",
        "bincount",
        "equal",
        "is_nonzero",
        "linalg_eig",
        "masked_select",
        "nonzero",
        "unique_consecutive",
        "unique_dim",
    }
)
"""What an accelerator is waited for: an error, a number or a shape is read off it."""
SORTS = frozenset(
    {
        "_index_put_impl",
        "_unsafe_index_put",
        "embedding_dense_backward",
        "index_add",
        "index_copy",
        "index_put",
        "index_reduce",
        "masked_scatter",
        "put",
        "scatter",
        "scatter_add",
        "scatter_reduce",
    }
)
"""What has no deterministic kernel on CUDA but one that sorts all indices first, gradients of gathers included."""
RAISES = frozenset(
    {
        "_adaptive_avg_pool2d_backward",
        "_adaptive_avg_pool3d_backward",
        "_ctc_loss_backward",
        "_embedding_bag_backward",
        "adaptive_max_pool2d_backward",
        "avg_pool3d_backward",
        "cumsum",
        "fractional_max_pool2d_backward",
        "fractional_max_pool3d_backward",
        "grid_sampler_2d_backward",
        "grid_sampler_3d_backward",
        "histc",
        "kthvalue",
        "max_unpool2d",
        "max_unpool3d",
        "median",
        "nanmedian",
        "nll_loss2d_backward",
        "nll_loss2d_forward",
        "reflection_pad1d_backward",
        "reflection_pad2d_backward",
        "reflection_pad3d_backward",
        "upsample_bicubic2d_backward",
        "upsample_bilinear2d_backward",
        "upsample_linear1d_backward",
        "upsample_trilinear3d_backward",
    }
)
"""What has no deterministic kernel on CUDA, by ``torch.use_deterministic_algorithms``; of ``cumsum`` that of floats."""
PARTICLES = NBodySettings(train=12, validation=12, test=12, data_seed=0)
PATTERNS = PatternSettings(data="generated", nodes=12, train=12, validation=4, test=4, patterns=2)
TASKS: dict[str, Callable[[], SupervisedTask]] = {
    "exp_classify": lambda: EdgeCount(),
    "nbody": lambda: NBody(PARTICLES),
    "pattern": lambda: PatternTask(PATTERNS),
    "peptides_func": lambda: PeptidesFunc(PeptidesSettings(nodes=6)),
    "peptides_struct": lambda: PeptidesStruct(PeptidesSettings(nodes=6)),
    "pcqm_contact": lambda: PCQMContact(PCQMContactSettings(nodes=6)),
}
FITTING = {
    (name, m)
    for name in ("exp_classify", "nbody")
    for m, card in methods().items()
    if card.misfit(task(name), task(name).params) is None
}
PUBLISHED = {
    (job.spec.task, job.spec.method)
    for job in load_suite(Path(__file__).parents[3] / "ray_configs" / "paper.yaml").expand().jobs
    if job.spec.task in TASKS
}
PAIRS = sorted(pair for pair in FITTING | PUBLISHED if not pair[1].endswith(tuple(WAITING)))
TINY = {
    "width": 12,
    "layers": 2,
    "widths": [8],
    "heads": 2,
    "sinkhorn_steps": 2,
    "grid": 3,
    "weights": "random",
}

pytestmark = pytest.mark.usefixtures("generated_data", "small_molecules")


def small_model(task_name: str, problem: SupervisedTask, method_name: str) -> Model:
    """As published where it is, but for its sizes."""
    protocol = "paper" if (task_name, method_name) in PUBLISHED else "quick"
    card, spec = method(method_name), resolve(task_name, method_name, protocol, 0)
    base, sampler = (
        {**own, **{name: v for name, v in TINY.items() if name in own}} for own in (spec.base, spec.sampler)
    )
    return build(card, problem.signature, card.symmetrized_group(task(task_name), spec.task_params), base, sampler)


def fit(task_name: str, method_name: str, device: torch.device, **settings: Any) -> Fit:
    problem = TASKS[task_name]()
    model = small_model(task_name, problem, method_name).to(device).train()
    protocol = Protocol(**{"epochs": 2, "batch_size": 4, "train_samples": 2, "clip_norm": 0.1, **settings})
    return Fit(model, problem, protocol, RunContext(device=device), seed=0)


class Watch(TorchDispatchMode):
    """Fails at an operator that an accelerator would be waited for, has no deterministic kernel for, or sorts for.

    What is computed from numbers of the host alone, as the optimiser's counts of steps are, is not looked at.
    """

    def __init__(self, device: str = "meta", forbidden: frozenset[str] = WAITS | SORTS | RAISES) -> None:
        super().__init__()
        self.device, self.forbidden = device, forbidden

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves((args, kwargs, out)) if isinstance(value, Tensor)]
        kinds = {value.device.type for value in tensors}
        assert len(kinds) <= 1, f"{func} between {' and '.join(sorted(kinds))}"
        if kinds == {self.device}:
            name = func.overloadpacket.__name__.rstrip("_")
            whole = name == "cumsum" and not tensors[0].is_floating_point()
            one_value = name == "scatter" and func._overloadname == "value"  # in whatever order it is written
            assert whole or one_value or name not in self.forbidden, f"{func}"
        return out


@pytest.mark.parametrize(("task_name", "method_name"), PAIRS)
def test_a_step_does_not_look_at_numbers(task_name: str, method_name: str) -> None:
    ready = fit(task_name, method_name, META)
    batch = ready.train[torch.arange(4, device=META)]
    with Watch():
        values = ready.step(batch, None)
    assert all(value.device == META for value in values.values())


@pytest.mark.parametrize(
    ("task_name", "method_name"),
    [
        ("exp_classify", "gated_gcn"),
        ("exp_classify", "gps"),
        ("exp_classify", "gin_id-mfa"),
        ("nbody", "transformer-mfa"),
        ("pattern", "gps"),
        ("pcqm_contact", "vit-mfa"),
    ],
)
def test_what_waits_is_deterministic_without_sorting(
    task_name: str, method_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On numbers, which are looked at, in the way of an accelerator."""
    for name, module in list(sys.modules.items()):
        for way in ("on_cpu", "may_follow_data"):
            if name.startswith(("baselines.", "tasks.")) and hasattr(module, way):
                monkeypatch.setattr(module, way, lambda values: False)
    ready = fit(task_name, method_name, torch.device("cpu"))
    inputs, targets = ready.train[:4]
    with Watch("cpu", SORTS | RAISES):
        ready.task.loss(ready.model(inputs, 2).value, targets).backward()


@pytest.mark.parametrize("task_name", TASKS)
def test_metrics_have_deterministic_kernels(task_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to where they are copied to the host. What has none would raise on CUDA, after the first epoch."""
    method_name = next(m for name, m in sorted(PUBLISHED) if name == task_name and m.endswith("ga"))
    ready = fit(task_name, method_name, torch.device("cpu"))
    inputs, targets = ready.validation[:4]
    predictions = ready.model.eval()(inputs, 2).value.detach()
    watch = Watch("cpu", RAISES)

    def copied(values: Tensor) -> Tensor:
        watch.forbidden = frozenset()
        return values

    monkeypatch.setattr(Tensor, "cpu", copied)
    with watch:
        ready.task.metrics(predictions, targets)


def seen_by_the_check() -> dict[str, Callable[[], object]]:
    x = torch.ones(3, 3, device=META, requires_grad=True)
    place = torch.arange(3, device=META)
    values = torch.ones(3, 3, device=META)
    return {
        "item": lambda: bool(x.sum() > 0),
        "nonzero": lambda: x[x > 0],
        "copy": lambda: torch.arange(3).to(META),
        "number of the host": lambda: x * torch.tensor(2.0),
        "eigh": lambda: torch.linalg.eigh(x),
        "inv": lambda: torch.linalg.inv(x),
        "unique": lambda: place.unique(),
        "gradient of an index": lambda: x[place].sum().backward(),
        "gradient of gather": lambda: x.gather(0, place[None]).sum().backward(),
        "gradient of index_select": lambda: x.index_select(0, place).sum().backward(),
        "assignment": lambda: values.index_put_((place,), values),
        "scatter": lambda: values.scatter(0, place[None], values),
        "scatter_reduce": lambda: values.scatter_reduce(0, place[None], values, "amax"),
        "cumsum": lambda: values.cumsum(0),
        "nll_loss of images": lambda: torch.nn.functional.nll_loss(values[None, :, None], place[None, None] * 0),
    }


@pytest.mark.parametrize("name", seen_by_the_check())
def test_the_check_sees_what_waits_or_is_not_deterministic(name: str) -> None:
    with Watch(), pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
        seen_by_the_check()[name]()


def test_the_check_lets_pass_what_is_deterministic() -> None:
    x = torch.ones(3, 3, device=META, requires_grad=True)
    places = torch.arange(3, device=META)
    with Watch():
        places.cumsum(0)
        places.new_zeros(3).scatter_(0, places, 1)
        (x.sort(0).indices.sum() * taken(x[None], places[None]).amax()).backward()


class Items(TorchDispatchMode):
    """Counts how often a number is read off a tensor."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_an_epoch_waits_once_whatever_the_number_of_its_steps() -> None:
    counts = {}
    for batch in (4, 20):
        ready = fit("exp_classify", "mlp-ps", torch.device("cpu"), batch_size=batch)
        ready.step = lambda *_: {"loss": torch.ones(()), "entropy": torch.ones(())}  # type: ignore[method-assign]
        with Items() as items:
            ready._train_epoch(0)
        counts[batch] = items.count
    assert counts == {4: 2, 20: 2}  # one for each of the two means


@pytest.mark.parametrize(
    ("task_name", "method_name", "backend"),
    [
        ("exp_classify", "mlp-ps", "aot_eager"),
        ("exp_classify", "gin_id-ps", "eager"),
        ("nbody", "transformer-ps", "eager"),
        ("nbody", "gnn-ps", "aot_eager"),
        ("nbody", "egnn", "aot_eager"),
        ("nbody", "fa_gnn", "eager"),
    ],
)
def test_a_step_is_one_graph(task_name: str, method_name: str, backend: str) -> None:
    """Compiled whole (a graph break is an error), with the loss and the gradients of eager mode.

    ``aot_eager`` traces the backward pass too, which takes longer.
    """
    problem = TASKS[task_name]()
    model = small_model(task_name, problem, method_name).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # a compiled dropout draws other numbers
    inputs, targets = problem.data("train")[:3]

    def loss() -> Tensor:
        prediction = model(inputs, 2)
        value = problem.loss(prediction.value, targets)
        return value if prediction.penalty is None else value + prediction.penalty

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    found: list[list[Tensor | None]] = []
    for step in (loss, compiled):
        torch.manual_seed(1)
        model.zero_grad(set_to_none=True)
        value = step()
        value.backward()
        found.append([value.detach(), *(parameter.grad for parameter in model.parameters())])
    torch.testing.assert_close(found[1], found[0], atol=1e-4, rtol=1e-3)
