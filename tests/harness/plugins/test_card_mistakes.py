"""Calls that should make a card: the field that is missing, unknown or given without its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness import registry
from harness.plugins.card_mistakes import CLASSES, EXAMPLES, card_mistake
from tasks.cards import Recipe, TaskCard
from tests.distributions import found_in, put

WRITES: Any = frozenset({"graph_scalars"})
CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: BaseCard(name="net", writes=WRITES), "a BaseCard needs 'implementation', such as implementation='mypack"),  # type: ignore[call-arg]
    (lambda: SamplerCard(), "a SamplerCard needs 'name', such as name='mynet' and 'implementation', such as"),  # type: ignore[call-arg]
    (lambda: BaseCard(name="net", titel="Net"), "a BaseCard has no field 'titel': did you mean 'title'?"),  # type: ignore[call-arg]
    (lambda: TaskCard(nmae="net"), "a TaskCard has no field 'nmae': did you mean 'name'?"),  # type: ignore[call-arg]
    (lambda: Recipe("egnn"), "the fields of a Recipe are given by name, such as method=..."),  # type: ignore[misc]
    (lambda: MethodCard(), "a MethodCard needs 'base', such as base=a BaseCard"),  # type: ignore[call-arg]
]


@pytest.mark.parametrize(("call", "says"), CALLS)
def test_a_mistake_is_told_by_its_field(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(TypeError) as raised:
        call()
    assert (card_mistake(raised.value) or "").startswith(says)


def test_other_errors_are_not_explained() -> None:
    errors = [TypeError("Net.__init__() missing 1 required positional argument: 'x'"), TypeError("no"), ValueError("x")]
    assert [card_mistake(error) for error in errors] == [None] * 3


def test_every_field_without_a_default_has_an_example() -> None:
    required = {
        item.name
        for kind in CLASSES.values()
        for item in fields(kind)
        if item.default is MISSING and item.default_factory is MISSING
    }
    assert required == EXAMPLES.keys()


def test_a_module_with_a_mistake_is_left_out_with_that_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from baselines.cards import SamplerCard\nCARD = SamplerCard(nam='mine')\n"
    put(tmp_path, "other", "[symbench.samplers]\nmine = other_cards:CARD\n", {"other_cards.py": text})
    with found_in(tmp_path, monkeypatch):
        [plugin] = registry.plugins()
    assert plugin.fault == "it cannot be imported (a SamplerCard has no field 'nam': did you mean 'name'?)"
