"""One mapping knows the names of earlier versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.renames import SAMPLERS, current_card, current_metric, current_name, current_record, first_name, replaced
from tasks.cards import Recipe
from tests.harness.synthetic import make_record

RECORD = make_record(method="gnn-ps").to_dict()


def nothing(name: str) -> bool:
    return False


def test_every_sampler_that_was_renamed_is_registered_under_its_new_name_alone() -> None:
    names = {card.sampler.name for card in registry.methods().values() if card.sampler}
    assert set(SAMPLERS.values()) <= names and not names & SAMPLERS.keys()


@pytest.mark.parametrize("method", registry.methods())
def test_the_first_name_of_a_method_leads_to_its_name_today(method: str) -> None:
    assert current_name(first_name(method)) == current_name(method) == method


def test_first_names_tell_methods_apart() -> None:
    assert len({first_name(name) for name in registry.methods()}) == len(registry.methods())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mlp-learned", "mlp-ps"),
        ("my_net-minimal_frame", "my_net-mfa"),
        ("a-b-haar", "a-b-ga"),
        ("*-frame", "*-fa"),
        ("*learned*", "*ps*"),
        ("[mg]*-identity", "[mg]*-none"),
        ("gnn-canonical", "gnn-canonical"),
        ("all", "all"),
        ("learned", "learned"),
        ("mlp-frames", "mlp-frames"),
        ("frame-net", "frame-net"),
        ("mlp-*", "mlp-*"),
    ],
)
def test_names_and_globs_end_in_the_sampler_of_today(old: str, new: str) -> None:
    assert current_name(old) == new


def test_only_what_matches_no_method_under_its_own_name_is_replaced() -> None:
    known = ["mlp-ps", "gnn-ps", "gnn-learned", "mlp-fa"]
    patterns = ["mlp-learned", "gnn-learned", "*-learned", "*-frame", "mlp-haar", "mlp-ps"]
    assert replaced(patterns, known) == {"mlp-learned": "mlp-ps", "*-frame": "*-fa"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mse_moved", "mse_transformed"),
        ("mse_moved_std", "mse_transformed_std"),
        ("mse_std", "mse_std"),
        ("ap_moved", "ap_moved"),
        ("moved", "moved"),
        ("mse_moved_mean", "mse_moved_mean"),
    ],
)
def test_scores_of_a_metric_at_hand_on_transformed_inputs_are_renamed(old: str, new: str) -> None:
    assert current_metric(old, ["mse"]) == new


def test_a_record_is_read_under_the_names_of_today() -> None:
    old = {
        **RECORD,
        "spec": {**RECORD["spec"], "method": "gnn-learned"},
        "description": {**RECORD["description"], "sampler": "learned", "control": "mse_moved"},
        "metrics": {"mse": 1.0, "mse_moved": 2.0, "mse_std": 0.1, "mse_moved_std": 0.2, "bytes_moved": 3.0},
    }
    found = current_record(old, nothing)
    assert found == {**RECORD, "metrics": found["metrics"]}
    assert list(found["metrics"].items()) == [
        ("mse", 1.0),
        ("mse_transformed", 2.0),
        ("mse_std", 0.1),
        ("mse_transformed_std", 0.2),
        ("bytes_moved", 3.0),
    ]
    assert current_record(found, nothing) == found


def test_a_method_that_is_registered_under_an_old_name_keeps_it() -> None:
    spec, described = {**RECORD["spec"], "method": "gnn-learned"}, {**RECORD["description"], "sampler": "learned"}
    values = {**RECORD, "spec": spec, "description": described}
    assert current_record(values, lambda name: name == "gnn-learned") == values


def test_a_network_without_a_sampler_keeps_its_name() -> None:
    spec, described = {**RECORD["spec"], "method": "my-frame"}, {**RECORD["description"], "sampler": None}
    values = {**RECORD, "spec": spec, "description": described}
    assert current_record(values, nothing) == values


SCALARS = st.none() | st.booleans() | st.floats() | st.sampled_from(["learned", "mlp-learned", "mse", "mse_moved"])
NAMES = st.sampled_from(["spec", "description", "metrics", "method", "sampler", "control", "metric"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12)


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_no_record_raises_nothing(values: dict[str, Any]) -> None:
    assert current_record(values, nothing).keys() == values.keys()


def test_the_card_of_a_task_is_read_under_the_names_of_today() -> None:
    methods = {name for card in registry.methods().values() for name in card.names}
    old = [Recipe(method=name, settings={"lr": 0.5}) for name in ("learned", "mlp-haar", "*", "ga", "unknown")]
    card = replace(registry.task("nbody"), recipes=tuple(old), control="mse_moved")
    found, names = current_card(card, methods)
    assert [recipe.method for recipe in found.recipes] == ["ps", "mlp-ga", "*", "ga", "unknown"]
    assert all(recipe.settings == {"lr": 0.5} for recipe in found.recipes) and found.control == "mse_transformed"
    assert names == {"learned": "ps", "mlp-haar": "mlp-ga", "mse_moved": "mse_transformed"}
    assert current_card(found, methods) == (found, {})
    assert current_card(card, methods | {"learned"})[0].recipes[0].method == "learned"
