"""Every setting with its values under the protocols of a task."""

from __future__ import annotations

import pytest

from harness import registry
from harness.errors import SymbenchError
from harness.registry import resolve
from harness.settings_reference import Entry, entries
from tasks.protocol import Protocol
from tasks.settings import settings_of


def sections(found: list[Entry]) -> dict[str, dict[str, Entry]]:
    by_section: dict[str, dict[str, Entry]] = {}
    for entry in found:
        by_section.setdefault(entry.section, {})[entry.setting.name] = entry
    return by_section


def test_every_setting_has_a_meaning_and_a_limit() -> None:
    methods = registry.methods().values()
    cards = [*registry.tasks().values(), *(card.base for card in methods), *(card.sampler for card in methods)]
    for kind in {Protocol, *(card.settings for card in cards if card)}:
        for setting in settings_of(kind):
            assert setting.meaning.endswith(".") and setting.limit is not None, (kind.__name__, setting.name)


@pytest.mark.parametrize(("task", "method"), [("nbody", "transformer-ps"), ("nbody", "egnn"), ("exp", "vit-ga")])
def test_values_are_those_of_runs_under_each_protocol(task: str, method: str) -> None:
    found = sections(entries(method, task))
    for protocol in registry.task(task).protocols:
        run = resolve(task, method, protocol, 0).to_dict()
        for section in ("task_params", "base", "sampler", "settings"):
            shown = {name: entry.as_dict()["values"][protocol] for name, entry in found.get(section, {}).items()}
            assert shown == run[section]


def test_recipes_count() -> None:
    lr = sections(entries("egnn", "nbody"))["settings"]["lr"]
    assert lr.setting.default == 1e-3 and set(lr.values.values()) == {5e-4}


def test_a_task_is_shown_without_a_method() -> None:
    found = sections(entries("nbody"))
    assert found.keys() == {"task_params", "settings"}
    assert found["settings"]["epochs"].values == {"paper": 10_001, "standard": 1_000, "quick": 20}
    assert found["task_params"]["nodes"].accepted == "a whole number, at least 2 and at most 100"


def test_a_method_is_shown_without_a_task() -> None:
    found = sections(entries("mlp-ps"))
    assert found.keys() == {"base", "sampler"}
    assert found["sampler"]["q"].values == {} and found["sampler"]["q"].accepted.endswith(" or null")


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("nbdy", None, "There is no task and no method 'nbdy': did you mean 'nbody'"),
        ("egn", "nbody", "There is no method 'egn'"),
        ("egnn", "nbdy", "There is no task 'nbdy'"),
        ("egnn", "graph8c", "egnn does not fit graph8c: egnn needs points, which graph8c does not have"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(name: str, task: str | None, words: str) -> None:
    with pytest.raises(SymbenchError, match=words):
        entries(name, task)
