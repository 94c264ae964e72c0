"""The code that a card names: its base class and its arguments are checked before a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from baselines.bases.base_model import BaseModel
from baselines.cards import MethodCard
from baselines.catalogue import EGNN, GROUP_AVERAGING, METHODS, MLP
from baselines.samplers.sampler import Sampler
from harness import registry
from harness.errors import PluginError
from harness.plugins.construction import construction_fault
from tasks.catalogue import NBODY, TASKS
from tasks.task import SupervisedTask


class Plain(nn.Module):
    """A network that is not made for symmetrization."""

    def __init__(self, signature: Any, settings: Any) -> None:
        super().__init__()


class Narrow(BaseModel):
    """A network with arguments of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Any) -> torch.Tensor:
        return torch.zeros(len(x), 1)


class Unfinished(BaseModel):
    """A network without a forward pass."""


class TwoArguments(Sampler):
    """A sampler that does not take a signature."""

    def __init__(self, group: Any, settings: Any) -> None:
        super().__init__(group)

    def noise(self, x: Any, samples: int, generator: Any) -> Any:
        return ()

    def forward(self, x: Any, noise: Any) -> Any:
        return None


class Unrelated:
    """A class that is no task."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings


def make(signature: Any, settings: Any) -> Narrow:
    return Narrow(3)


BASE = "baselines.bases.base_model.BaseModel"
CASES: list[tuple[Any, str | None]] = [
    (replace(MLP, name="m", implementation=Plain), f"Plain should be a subclass of {BASE}"),
    (replace(MLP, name="m", implementation="torch.nn:Linear"), f"torch.nn:Linear should be a subclass of {BASE}"),
    (replace(MLP, name="m", implementation=Narrow), "Narrow is called with (signature, settings), and takes (width: "),
    (replace(MLP, name="m", implementation=Unfinished), "Unfinished lacks forward"),
    (replace(MLP, name="m", implementation=make), None),
    (replace(MLP, name="m", implementation=lambda signature: None), "is called with (signature, settings), and takes"),
    (
        replace(GROUP_AVERAGING, name="s", implementation=TwoArguments),
        "is called with (group, signature, settings), and",
    ),
    (replace(GROUP_AVERAGING, name="s", implementation=Plain), "a subclass of baselines.samplers.sampler.Sampler"),
    (MethodCard(base=replace(EGNN, name="e", implementation=Plain)), None),
    (MethodCard(base=replace(EGNN, name="e", implementation=Unrelated)), "should be a subclass of torch.nn.Module"),
    (MethodCard(base=MLP, sampler=replace(GROUP_AVERAGING, name="s", implementation=Plain)), "sampler.Sampler"),
    (replace(NBODY, name="t", implementation=Unrelated), "Unrelated should be a subclass of tasks.task.Task"),
    (replace(NBODY, name="t", implementation=SupervisedTask), "SupervisedTask lacks"),
]


@pytest.mark.parametrize(("card", "says"), CASES)
def test_what_cannot_be_built_says_what_is_expected(card: Any, says: str | None) -> None:
    found = construction_fault(card)
    assert (found is None) if says is None else (found is not None and says in found and "\n" not in found)


def test_everything_that_is_built_in_can_be_built() -> None:
    assert {construction_fault(card) for card in (*METHODS, *TASKS)} == {None}


def test_a_run_is_refused_before_it_starts() -> None:
    with registry.temporarily(replace(MLP, name="mine", implementation=Plain), origin="a notebook"):
        spec = registry.resolve("nbody", "mine-ga", "quick", 0)
        with pytest.raises(PluginError, match=r"The plug-in a notebook cannot be used: Plain should be a subclass of"):
            registry.check_implementations([spec])
