"""Base models, samplers and equivariant networks of plug-ins: their pairs, names that are taken, added cards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.cards import BaseCard, MethodCard
from baselines.catalogue import BASES, EGNN, GROUP_AVERAGING, METHODS, MLP, PROBABILISTIC, SAMPLERS
from harness import registry
from harness.errors import PluginError
from harness.plugins.catalogue import Catalogue
from harness.plugins.discovery import entry_points
from harness.plugins.plugin import GROUPS, Plugin
from harness.records.plugin_code import used_by
from tasks.cards import Recipe
from tasks.catalogue import NBODY
from tests.distributions import found_in, put
from tests.harness.plugins.test_card_checks import ANYTHING

NET = replace(MLP, name="net")
MINE = replace(GROUP_AVERAGING, name="mine")
ALONE = MethodCard(base=replace(EGNN, name="alone"))


def plugin(group: str, card: Any, package: str = "one") -> Plugin:
    assert group in [name.removeprefix("symbench.") for name in GROUPS]
    return Plugin(distribution=package, version="1", group=f"symbench.{group}", entry="e", value="m:C", card=card)


def made(*found: Plugin) -> tuple[list[str], dict[str | None, str]]:
    """The methods of plug-ins, and the faults by name."""
    catalogue = Catalogue().plus(found)
    own = list(catalogue.methods)[len(METHODS) :]
    return own, {one.name: one.fault for one in catalogue.plugins if one.fault}


def test_base_models_and_samplers_are_crossed_with_all_others() -> None:
    found, faults = made(plugin("bases", NET), plugin("samplers", MINE, "two"), plugin("equivariant", ALONE))
    expected = {f"net-{sampler.name}" for sampler in (*SAMPLERS, MINE)} | {f"{base.name}-mine" for base in BASES}
    assert set(found) == expected | {"alone"} and len(found) == len(expected) + 1
    assert not faults


def test_built_in_methods_come_first_and_are_unchanged() -> None:
    catalogue = Catalogue().plus([plugin("bases", NET), plugin("samplers", MINE)])
    assert [card for card in catalogue.methods.values()][: len(METHODS)] == list(METHODS)


@pytest.mark.parametrize(
    ("found", "left_out", "says"),
    [
        ([plugin("bases", MLP)], {"mlp"}, "it registers the name mlp, which is built in"),
        ([plugin("bases", replace(NET, name="egnn"))], {"egnn"}, "which is built in"),
        ([plugin("bases", replace(NET, name="ps"))], {"ps"}, "which is built in"),
        ([plugin("samplers", PROBABILISTIC)], {"ps"}, "which is built in"),
        ([plugin("samplers", replace(MINE, name="mlp"))], {"mlp"}, "which is built in"),
        ([plugin("samplers", replace(MINE, name="learned"))], {"learned"}, "which is an old name of ps"),
        ([plugin("samplers", replace(MINE, name="b-c"))], {"b-c"}, "has no '-'"),
        ([plugin("equivariant", MethodCard(base=replace(EGNN, name="mlp")))], {"mlp"}, "which is built in"),
        ([plugin("equivariant", MethodCard(base=replace(EGNN, name="mlp-ps")))], {"mlp-ps"}, "which is built in"),
        ([plugin("bases", NET), plugin("bases", NET, "two")], {"net"}, "the name net is registered twice, also by"),
        ([plugin("samplers", MINE), plugin("samplers", MINE, "two")], {"mine"}, "is registered twice, also by"),
        (
            [plugin("bases", NET), plugin("equivariant", MethodCard(base=replace(EGNN, name="net-ps")), "two")],
            {"net-ps"},
            "it registers the name net-ps, which one 1, entry point e = m:C (symbench.bases) has registered",
        ),
        (
            [plugin("samplers", MINE), plugin("methods", MethodCard(base=MLP, sampler=MINE))],
            {"mlp-mine"},
            "which one 1, entry point e = m:C (symbench.samplers) has registered",
        ),
    ],
)
def test_names_that_are_taken(found: Sequence[Plugin], left_out: set[str], says: str) -> None:
    for order in itertools.permutations(found):
        _, faults = made(*order)
        assert faults.keys() == left_out
        assert all(says in fault or len(found) > 1 for fault in faults.values())
    assert any(says in fault for fault in made(*found)[1].values())


def test_a_base_model_may_have_a_dash_since_a_sampler_has_none() -> None:
    dashed = replace(NET, name="net-mine")
    found, faults = made(plugin("bases", NET), plugin("bases", dashed), plugin("samplers", MINE))
    assert not faults and len(found) == len(set(found))
    assert {"net-mine", "net-mine-mine", "net-mine-ps"} <= set(found)


def test_a_name_in_both_groups_of_networks_is_two_methods() -> None:
    """A network may be symmetric enough for one task alone, and need a sampler on another."""
    found, faults = made(plugin("bases", replace(NET, name="alone")), plugin("equivariant", ALONE))
    assert not faults and {"alone", "alone-ps"} <= set(found)


PACKAGES = {
    "zed": ("bases", "from dataclasses import replace\nfrom baselines.catalogue import MLP, GNN\n"
            "CARDS = [replace(MLP, name='net'), 3, replace(GNN, name='net2', title=4), replace(MLP, name='net3')]"),
    "mid": ("samplers", "from dataclasses import replace\nfrom baselines.catalogue import GROUP_AVERAGING\n"
            "CARDS = replace(GROUP_AVERAGING, name='mine')"),
    "abc": ("equivariant", "from dataclasses import replace\nfrom baselines.catalogue import EGNN\n"
            "CARDS = (replace(EGNN, name='alone'),)"),
    "rec": ("tasks", "from dataclasses import replace\nfrom tasks.cards import Recipe\n"
            "from tasks.catalogue import NBODY\nNAMES = ['net', 'mine', 'net-ps', 'mlp-mine', 'net-mine']\n"
            "NAMES += ['alone', 'net2', 'net2-ga', 'net2-mine']\n"
            "CARDS = [replace(NBODY, name='rec', recipes=tuple(Recipe(method=name) for name in NAMES))]"),
}  # fmt: skip


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, (group, text) in PACKAGES.items():
        put(tmp_path, name, f"[symbench.{group}]\ne = {name}_cards:CARDS\n", {f"{name}_cards.py": text})
    with found_in(tmp_path, monkeypatch):
        yield


def test_one_bad_card_of_a_list_leaves_the_others(packages: None) -> None:
    faults = {one.origin: one.fault for one in registry.plugins() if one.fault}
    second, third = (f"zed 1.0, entry point e = zed_cards:CARDS (symbench.bases), card {item}" for item in (2, 3))
    assert faults.keys() == {second, third}
    assert faults[second] == "it is not a BaseCard but of the type int"
    assert faults[third] == "the 'title' of its base model card should be a text, not 4"
    assert {"net-ps", "net3-mine", "mlp-mine", "alone"} <= registry.methods().keys()
    assert not any(name.startswith("net2") for name in registry.methods())


def test_a_recipe_may_name_a_part_and_a_pair_of_plug_ins(packages: None) -> None:
    assert "rec" in registry.tasks()


def test_nothing_depends_on_the_order_of_packages(packages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    names, plugins = [*registry.tasks(), *registry.methods()], [one.origin for one in registry.plugins()]
    found = list(metadata.distributions())
    monkeypatch.setattr(metadata, "distributions", lambda: iter(reversed(found)))
    again = Catalogue().plus(entry_points())
    assert [one.origin for one in again.plugins] == plugins
    assert [*again.tasks, *again.methods] == names


@pytest.mark.parametrize(
    ("task", "method", "used"),
    [
        ("nbody", "mlp-ga", set()),
        ("nbody", "net-ga", {"zed"}),
        ("nbody", "mlp-mine", {"mid"}),
        ("nbody", "net-mine", {"zed", "mid"}),
        ("rec", "alone", {"rec", "abc"}),
    ],
)
def test_a_run_uses_the_plug_ins_of_its_parts(packages: None, task: str, method: str, used: set[str]) -> None:
    spec = registry.resolve(task, method, "quick", 0)
    assert used_by([spec]).keys() == used
    assert {one.distribution for one in registry.plugins_of([spec])} == used
    registry.check_implementations([spec])


def test_a_method_of_a_part_that_is_left_out_is_told_why(packages: None) -> None:
    with pytest.raises(registry.UnknownName, match=r"method 'net2-ps': The plug-in zed 1\.0, .*, card 3 is left out"):
        registry.method("net2-ps")


# Cards that are added in a process


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with found_in(tmp_path, monkeypatch):
        yield


def test_an_added_card_is_crossed_and_known_everywhere(fresh: None) -> None:
    before = set(registry.methods())
    registry.add(NET, origin="a notebook")
    registry.add(MINE, replace(NBODY, name="bodies", recipes=(Recipe(method="net-mine"),)), origin="another")
    added = {f"net-{one.name}" for one in (*SAMPLERS, MINE)} | {f"{one.name}-mine" for one in BASES}
    assert set(registry.methods()) - before == added
    spec = registry.resolve("bodies", "net-mine", "quick", 0)
    assert {one.origin for one in registry.plugins_of([spec])} == {"a notebook", "another"}
    assert used_by([spec]).keys() == {"a notebook", "another"}


def test_a_card_may_be_added_again_and_another_of_its_name_may_not(fresh: None) -> None:
    def own(settings: Any) -> None:
        return None

    card = replace(NET, weights=own)
    for _ in range(2):
        registry.add(card, origin="a notebook")
    registry.add(MLP, PROBABILISTIC, NBODY, MethodCard(base=card, sampler=PROBABILISTIC), origin="built in")
    assert [one.name for one in registry.plugins()] == ["net"]
    known = set(registry.methods())
    with pytest.raises(PluginError, match=r"The card 'net' of here cannot be used: it registers the name net, "):
        registry.add(MINE, replace(card, version="3"), origin="here")
    assert set(registry.methods()) == known


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (3, "of the type int"),
        (BaseCard, "the class BaseCard: make a card with it"),
        (Path, "the class Path: register its card, whose implementation is 'module:Class'"),
        (made, "the function made: register the card that it returns"),
        (replace(NET, reads=["edges"]), "the 'reads' of its base model card should be a frozenset"),
        (replace(MINE, name="my-sampler"), "has no '-'"),
        (MethodCard(base=MINE), "should be a BaseCard"),  # type: ignore[arg-type]
        (replace(EGNN, name="egnn"), None),
    ],
)
def test_a_wrong_card_is_an_error_at_once(fresh: None, card: Any, says: str | None) -> None:
    with pytest.raises(PluginError, match=says):
        registry.add(NET, card, origin="a notebook")
    assert registry.plugins() == ()


def test_a_base_model_cannot_take_the_name_of_a_method_by_a_pair(fresh: None) -> None:
    registry.add(MethodCard(base=replace(EGNN, name="net-ps")), origin="first")
    with pytest.raises(PluginError, match="it would make the method net-ps, which first has registered"):
        registry.add(NET, origin="second")


@given(data=st.data())
def test_no_card_whatever_is_answered_by_another_exception(data: st.DataObject) -> None:
    """Neither a value that is no card, nor a card with two fields of any value."""
    card = data.draw(st.sampled_from([NET, MINE, NBODY, ALONE]))
    names = st.sampled_from([field.name for field in fields(card)])
    changed = replace(card, **data.draw(st.dictionaries(names, ANYTHING, max_size=2)))
    given = data.draw(st.permutations([changed, NET, data.draw(st.just(MINE) | ANYTHING)]))
    try:
        after = Catalogue().plus(Catalogue().new(given, "a notebook"))
    except PluginError as error:
        assert "\n" not in str(error)
    else:
        assert after.tasks.keys() | after.methods.keys() >= {"nbody", "mlp-ps"}


def test_cards_can_be_registered_for_a_while(fresh: None) -> None:
    registry.add(MINE, origin="before")
    before = set(registry.methods())
    with pytest.raises(ZeroDivisionError), registry.temporarily(NET, origin="a block"):
        assert "net-mine" in registry.methods()
        raise ZeroDivisionError
    assert set(registry.methods()) == before
