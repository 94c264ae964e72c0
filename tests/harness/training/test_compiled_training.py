"""A compiled network is trained to the numbers of the network itself, and nothing else is compiled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from harness.training.context import RunContext
from harness.training.execute import execute, execute_stack
from harness.training.results import NotStacked, Outcome
from tests.harness.training.small_problems import particles_spec

pytestmark = pytest.mark.usefixtures("generated_data")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that were compiled. The backend traces both passes and generates no code, which takes a minute."""
    names: list[str] = []
    compile = torch.compile

    def recorded(network: torch.nn.Module, **options: Any) -> Any:
        names.append(type(network).__name__)
        return compile(network, backend="aot_eager")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", recorded)
    return names


def outcome(method: str, **settings: Any) -> Outcome:
    spec = particles_spec(method, epochs=2, **settings)
    nothing_dropped = {"dropout": 0.0} if "dropout" in spec.base else {}  # masks would be others
    return execute(replace(spec, base={**spec.base, **nothing_dropped}))


@pytest.mark.parametrize(
    ("method", "network"),
    [("mlp-ps", "MLP"), ("transformer-canonical", "PairTransformer"), ("egnn", "EGNN")],
)
def test_a_compiled_network_trains_to_the_same_numbers(method: str, network: str, compiled: list[str]) -> None:
    expected = outcome(method, precision="float64")
    assert compiled == []
    found = outcome(method, precision="float64", compile=True)
    assert compiled == [network]
    assert found.metrics == pytest.approx(dict(expected.metrics), rel=1e-6)
    assert found.cost["parameters"] == expected.cost["parameters"]
    assert found.cost["flops_per_example"] == expected.cost["flops_per_example"]


def test_compiling_is_part_of_what_a_run_is_and_the_digests_of_others_stay() -> None:
    plain, compiling = particles_spec("gnn-ga"), particles_spec("gnn-ga", compile=True)
    assert plain.digest != compiling.digest
    assert particles_spec("gnn-ga", compile=False).digest == plain.digest


def test_networks_of_a_stack_are_not_compiled() -> None:
    specs = [particles_spec("gnn-ga", seed=seed, compile=True) for seed in (0, 1)]
    with pytest.raises(NotStacked, match="compiled one at a time"):
        execute_stack(specs, [RunContext(), RunContext()])
