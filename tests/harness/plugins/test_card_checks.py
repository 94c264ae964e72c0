"""Cards that cannot be used: every field of every kind of card, and what only several fields together show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.cards import BaseCard, MethodCard, SamplerCard
from baselines.catalogue import EGNN, MLP
from harness import registry
from harness.errors import SymbenchError
from harness.plugins.card_checks import base_fault, method_fault, sampler_fault, task_fault
from harness.plugins.card_fields import BASE_FIELDS, SAMPLER_FIELDS, TASK_FIELDS
from harness.plugins.card_functions import Guarded, guarded
from tasks.cards import Recipe, TaskCard
from tasks.catalogue import NBODY
from tasks.limits import Range
from tasks.nbody import NBody
from tasks.protocol import Protocol
from tasks.settings import setting
from tasks.task import SupervisedTask

METHODS = list(registry.methods().values())
PROBABILISTIC = next(card.sampler for card in METHODS if card.sampler and card.sampler.name == "ps")
QUICK = {"quick": Protocol(epochs=1)}


def task_complaint(**changes: Any) -> str | None:
    return task_fault(guarded(replace(NBODY, **changes), "other"), METHODS)


def base_complaint(**changes: Any) -> str | None:
    return method_fault(guarded(MethodCard(base=replace(EGNN, **changes)), "other"))


def sampler_complaint(**changes: Any) -> str | None:
    return method_fault(guarded(MethodCard(base=MLP, sampler=replace(PROBABILISTIC, **changes)), "other"))


class Raising:
    """A limit that another package has written."""

    def __str__(self) -> str:
        return "a limit that raises"

    def wrong(self, value: Any) -> str | None:
        raise ZeroDivisionError

    def normal(self, value: Any) -> Any:
        return value


class Unstated:
    """Settings that are no dataclass."""

    width = 3


@dataclass(kw_only=True)
class Changeable:
    """Settings that can be changed after they are made."""

    width: int = 3


@dataclass(frozen=True, kw_only=True)
class Refusing:
    """Settings whose defaults do not go together."""

    width: int = 3

    def __post_init__(self) -> None:
        raise ValueError("width is odd\nand more")


def own_settings(**defaults: Any) -> type:
    """A frozen dataclass with one field for each of ``defaults``; a value may be a field itself."""
    return make_dataclass("Own", [(name, Any, value) for name, value in defaults.items()], frozen=True, kw_only=True)


SETTINGS_WRONG: list[tuple[Any, str]] = [
    (None, "should be a frozen dataclass"),
    ({"width": 3}, "should be a frozen dataclass"),
    (EGNN.settings(), "should be a frozen dataclass"),
    (Unstated, "should be a frozen dataclass"),
    (Changeable, "should be a frozen dataclass"),
    (own_settings(width=field()), "is Own, whose field 'width' has no default"),
    (own_settings(width=field(default_factory=dict)), "is Own, whose field 'width' has no default"),
    (own_settings(width=frozenset({1})), "has a default of 'width' that JSON cannot represent: frozenset({1})"),
    (own_settings(width=float("nan")), "has a default of 'width' that JSON cannot represent: nan"),
    (own_settings(width=setting(3, 5, "A number.")), "has a limit of 'width' that is not like those of tasks.limits"),  # type: ignore[arg-type]
    (Refusing, "is Refusing, which cannot be built from its defaults (ValueError: width is odd)"),
]
DEFAULTS_WRONG: list[tuple[Any, str]] = [
    (own_settings(width=setting(3, Range(most=2), "")), "the default 3 of 'width' on its base model card should be at"),
    (own_settings(width=setting(3, Raising(), "")), "on its base model card should be a limit that raises"),  # type: ignore[arg-type]
]


def raises(*values: Any) -> Any:
    raise RuntimeError("no such thing\nand more")


def test_every_card_that_is_built_in_is_right() -> None:
    bases = {card.base.name: card.base for card in METHODS}.values()
    samplers = {card.sampler.name: card.sampler for card in METHODS if card.sampler}.values()
    faults = [task_fault(guarded(card, "ours"), METHODS) for card in registry.tasks().values()]
    faults += [base_fault(guarded(card, "ours")) for card in bases]
    faults += [sampler_fault(guarded(card, "ours")) for card in samplers]
    faults += [method_fault(card) for card in METHODS]
    assert set(faults) == {None}


def test_every_field_is_looked_at() -> None:
    for kind, table in ((TaskCard, TASK_FIELDS), (BaseCard, BASE_FIELDS), (SamplerCard, SAMPLER_FIELDS)):
        assert {field.name for field in fields(kind)} == table.keys()


TASK_WRONG: Mapping[str, list[tuple[Any, str]]] = {
    "name": [("n body", "a name of letters"), ("", "a name"), ("all", "a name"), ("mlp-*", "a name"), (3, "a name")],
    "title": [(" ", "a text"), (None, "a text")],
    "group": [
        ("S_n", "a tuple of names of groups"),
        (("S_n", "O(#)"), "a tuple of names of groups"),
        ((), "a tuple of names of groups"),
        (raises, "the function 'group' of the card 'nbody' of the plug-in other raises RuntimeError: no such thing"),
        (lambda settings: "S_n", "should return a tuple of names of groups"),
    ],
    "inputs": [
        (frozenset({"pointz"}), "'pointz', which does not exist: did you mean 'points'?"),
        (frozenset(), "one or more of"),
        ("points", "a frozenset"),
        (frozenset({1}), "a frozenset"),
    ],
    "optional": [
        (frozenset({"edges", "node_scalars"}), "the 'optional' of its task card holds node_scalars, which"),
        (frozenset({"pointz"}), "did you mean 'points'?"),
        (["points"], "a frozenset"),
    ],
    "output": [("node_point", "did you mean 'node_points'?"), (None, "one of graph_scalars"), ((), "one of")],
    "metric": [("", "a text"), (0, "a text")],
    "direction": [("maximum", "did you mean 'max'?"), (1, "one of max, min")],
    "control": [("", "a text or None"), (1, "a text or None")],
    "deviations": [("One sentence", "a tuple of texts"), ((1,), "a tuple of texts"), (["one"], "a tuple of texts")],
    "version": [(2, "a text"), ("", "a text")],
    "source": [(None, "a text")],
    "implementation": [
        ("tasks.nbody", "like 'package.module:Class'"),
        ("tasks.nbody:NBdy", "the module tasks.nbody has no NBdy: did you mean 'NBody'?"),
        ("tasks.n_body:NBody", "there is no module tasks.n_body"),
        ("nowhere.nbody:NBody", "there is no module nowhere.nbody"),
        (NBODY, "like 'package.module:Class'"),
    ],
    "protocols": [({}, "a mapping"), ({"quick": {}}, "a mapping"), ({1: Protocol()}, "a mapping"), ([], "a mapping")],
    "max_nodes": [
        (5, "a function"),
        (lambda settings: None, "the function 'max_nodes' of the card 'nbody' of the plug-in other should return a"),
        (lambda settings: settings.node, "raises AttributeError: 'NBodySettings' object has no attribute 'node'"),
    ],
    "settings": [
        *SETTINGS_WRONG,
        (own_settings(nodes=setting(5, Range(most=3), "")), "the default 5 of 'nodes' on its task card should be at m"),
    ],
    "recipes": [
        ((Recipe(method="egn"),), "recipe 1 of its task card names the method 'egn', which does not exist: did you"),
        ((Recipe(), Recipe(method="learnd")), "recipe 2 of its task card names the method 'learnd'"),
        ((Recipe(protocol="quik"),), "names the protocol 'quik', which the task does not have: did you mean 'quick'?"),
        ((Recipe(method="egnn", base={"widht": 3}),), "sets the base parameter 'widht', which egnn does not have: d"),
        ((Recipe(method="egnn", base={"width": 0}),), "'width' of egnn, which should be a whole number, at"),
        ((Recipe(sampler={"noise_scal": 1.0}),), "sets 'noise_scal', which no sampler has: did you mean 'noise_scale'"),
        ((Recipe(sampler={"noise_scale": -1.0}),), "sets the sampler parameter 'noise_scale' of ps"),
        ((Recipe(method="ps", sampler={"noise_scale": -1.0}),), "sets the sampler parameter 'noise_scale' of"),
        ((Recipe(settings={"epoch": 3}),), "sets 'epoch', which is not a setting of a protocol: did you mean 'epochs'"),
        ((Recipe(settings={"batch_size": 0}),), "does not work under 'paper': batch_size must be at least 1"),
        ((Recipe(base=[]),), "should have as 'base' a mapping"),
        (({},), "should be a Recipe"),
        (Recipe(), "a tuple of Recipes"),
    ],
    "check": [
        (None, "a function"),
        (raises, "raises RuntimeError"),
        (lambda settings: "5 nodes are too few", "the default parameters of its task card do not work: 5 nodes are"),
    ],
    "form": [("supervized", "did you mean 'supervised'?"), (1, "one of supervised")],
    "examples": [
        (5, "a function"),
        (raises, "raises RuntimeError"),
        (lambda settings: 5, "should return a mapping"),
        (lambda settings: {"train": 0}, "should return a mapping of splits to whole numbers from 1 on"),
        (lambda settings: {1: 1}, "should return a mapping of splits"),
    ],
    "edge_scalars": [(0, "a whole number from 1 on, or None"), ("1", "a whole number")],
    "resolve": [
        (None, "a function"),
        (raises, "raises RuntimeError"),
        (lambda settings: {}, "an instance of NBodySettings"),
    ],
    "variant": [("own", "a function"), (raises, "raises RuntimeError"), (lambda settings: 3, "should return a text")],
    "size": [(3, "a function or None"), (raises, "raises RuntimeError"), (lambda settings: "5", "should return a")],
    "size_name": [(None, "a text")],
    "extra": [(None, "one of "), ("graph", "did you mean 'graphs'")],
    "reads_data": [("no", "True or False")],
}
BASE_WRONG: Mapping[str, list[tuple[Any, str]]] = {
    **{name: TASK_WRONG[name] for name in ("title", "deviations", "version", "source", "extra")},
    "name": TASK_WRONG["name"],
    "needs": [
        (frozenset({"node"}), "'node', which does not exist"),
        (["points"], "a frozenset"),
        ({"points": 1}, "a frozenset"),
    ],
    "reads": [(frozenset({"edge"}), "did you mean 'edges'?"), (frozenset({"edges"}), "needs points, which it does n")],
    "writes": [(frozenset({"graph_scalar"}), "did you mean 'graph_scalars'?"), (frozenset(), "one or more of")],
    "respects": [(frozenset({"SO3"}), "'SO3', which does not exist: did you mean 'SO(3)'?"), ("S_n", "a frozenset")],
    "implementation": [("baselines.bases.mlp:ML", "has no ML: did you mean"), (None, "like 'package.module:Class'")],
    "settings": SETTINGS_WRONG + DEFAULTS_WRONG,
    "check": [(None, "a function")],
    "meanings": [
        ({"width": 3}, "a mapping of parameters to functions"),
        (None, "a mapping"),
        ({"widht": raises}, "meanings for 'widht', which is not one of its parameters: did you mean 'width'?"),
    ],
    "max_tokens": [(0, "a whole number from 1 on, or None"), (True, "a whole number"), ("8", "a whole number")],
    "resolve": [
        (dict(), "a function"),
        (raises, "the function 'resolve' of the card 'egnn' of"),
        (vars, "should return an instance of EGNNSettings"),
        (type, "should return an instance of EGNNSettings"),
    ],
    "weights": [(None, "a function"), (lambda settings: 1, "should return a text or None")],
}
SAMPLER_WRONG: Mapping[str, list[tuple[Any, str]]] = {
    **{name: TASK_WRONG[name] for name in ("name", "title", "deviations", "version", "source")},
    "implementation": [("baselines.samplers:Nothing", "has no Nothing")],
    "guarantee": [(None, "begins with exact, in expectation, none"), ("always", "begins with exact")],
    "single": [("no", "True or False"), (1, "True or False")],
    "settings": SETTINGS_WRONG,
    "check": [(1, "a function")],
    "choices": [({"p": lambda task: ("a",)}, "choices for 'p', which is no"), ({"q": ("a",)}, "a mapping"), (1, "a m")],
    "meanings": [({"q": 3}, "a mapping of parameters to functions"), (None, "a mapping")],
    "uncovered": [(None, "a function")],
    "too_large": [(None, "a function")],
}
CASES = [
    pytest.param(complaint, field, value, says, id=f"{kind}-{field}-{number}")
    for kind, table, complaint in (
        ("task", TASK_WRONG, task_complaint),
        ("base", BASE_WRONG, base_complaint),
        ("sampler", SAMPLER_WRONG, sampler_complaint),
    )
    for field, values in table.items()
    for number, (value, says) in enumerate(values)
]


@pytest.mark.parametrize(("complaint", "field", "value", "says"), CASES)
def test_a_wrong_value_is_told_by_its_field(complaint: Any, field: str, value: Any, says: str) -> None:
    found = complaint(**{field: value})
    assert found is not None and says in found
    assert "\n" not in found


def test_every_field_has_a_wrong_value() -> None:
    for kind, table in ((TaskCard, TASK_WRONG), (BaseCard, BASE_WRONG), (SamplerCard, SAMPLER_WRONG)):
        assert {field.name for field in fields(kind)} == table.keys()


def test_the_parts_of_a_method_are_cards() -> None:
    assert "'base' of its card should be a BaseCard" in str(method_fault(MethodCard(base=NBODY)))  # type: ignore[arg-type]
    assert "'sampler' of its card should be" in str(method_fault(MethodCard(base=MLP, sampler=MLP)))  # type: ignore[arg-type]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        | st.tuples(inner)
        | st.sets(st.integers(), max_size=2)
    ),
    max_leaves=4,
)


@pytest.mark.parametrize(
    "complaint, kind", [(task_complaint, TaskCard), (base_complaint, BaseCard), (sampler_complaint, SamplerCard)]
)
@given(data=st.data())
def test_no_value_whatever_is_answered_by_an_exception(complaint: Any, kind: type, data: st.DataObject) -> None:
    names = st.sampled_from([field.name for field in fields(kind)])
    found = complaint(**data.draw(st.dictionaries(names, ANYTHING, min_size=1, max_size=2)))
    assert found is None or (found.strip() and "\n" not in found)


def test_functions_with_other_parameters_raise_sentences_too() -> None:
    card = guarded(replace(NBODY, max_nodes=lambda settings: 12 // settings.nodes), "other")
    assert card.max_nodes_of({"nodes": 5}) == 2
    with pytest.raises(SymbenchError, match=r"'max_nodes' of the card 'nbody' of the plug-in other raises ZeroDiv"):
        card.max_nodes_of({"nodes": 0})
    with pytest.raises(SymbenchError, match=r"should return a whole number from 1 on, not 0"):
        card.max_nodes_of({"nodes": 13})


GIVEN: list[tuple[str, list[Any], list[Any]]] = [
    ("meanings", [1, 0.5, None, "x", [1]], [{1}, float("nan"), raises]),
    ("size", [None, 3], [0, "3", 2.5, True]),
    ("examples", [{"train": 1}, {}], [{"train": 0}, {1: 1}, {"train": True}, 5, None]),
    ("choices", [("a", "b")], [(), ["a"], (1,), "a"]),
    ("check", [None, "a clause"], [0, False, []]),
    ("resolve", [{}, {"a": [1]}], [[], {1: 2}, {"a": {1}}]),
    ("max_nodes", [1], [0, -1, 1.0, None, True]),
]


@pytest.mark.parametrize(("name", "right", "wrong"), GIVEN)
def test_what_a_function_may_give(name: str, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        assert Guarded(lambda value=value: value, name, "the card")() == value
    for value in wrong:
        with pytest.raises(SymbenchError, match=f"'{name}' of the card should return "):
            Guarded(lambda value=value: value, name, "the card")()


def test_settings_need_no_limit_and_no_meaning() -> None:
    assert base_complaint(settings=own_settings(width=3, names=("a",))) is None
    assert sampler_complaint(settings=own_settings(scale=0.5), choices={}, meanings={}) is None


def test_a_recipe_for_several_methods_gives_each_what_it_has() -> None:
    """A parameter of some sampler is no mistake where another sampler is meant, also where only one is meant."""
    for method in ("*", "ps", "mlp-ga", "egnn"):
        assert task_complaint(recipes=(Recipe(method=method, sampler={"noise_scale": 0.5}),)) is None


def test_a_task_may_have_no_size() -> None:
    assert task_complaint(size=None) is None
    assert task_complaint(size=lambda settings: None) is None


def test_an_implementation_may_be_a_class_or_a_function() -> None:
    for one in (NBody, lambda settings: NBody(settings), partial(NBody)):
        assert task_complaint(implementation=one) is None
        assert base_complaint(implementation=one) is None
        assert sampler_complaint(implementation=one) is None
    lacking = str(task_complaint(implementation=SupervisedTask))
    assert "which cannot be used: SupervisedTask lacks __init__, data, loss" in lacking
