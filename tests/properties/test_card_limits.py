"""Every field of every card and protocol has a limit, and a plan refuses the values just outside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.errors import SymbenchError
from harness.parameters import unfit
from harness.registry import resolve
from harness.search.loading import load as load_search
from harness.suites.loading import load
from harness.suites.plan import plan
from harness.suites.yaml_source import dump
from tasks.limits import LARGEST, MOST, SMALLEST, Each, Flag, Groups, Limit, Numbers, OneOf, Range, SomeOf
from tasks.protocol import OPTIONAL
from tasks.symmetry.groups import GeometricGroup, group
from tasks.symmetry.names import NODE_GROUPS, clash, keeps_inputs, space_of
from tasks.teachers.inputs import check_stabilisers
from tests.properties.card_settings import PLACES, Place, settings_without_limits


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_every_field_has_a_limit_that_takes_its_default(place: Place) -> None:
    assert place.limit is not None
    if place.default is not None:
        default = list(place.default) if isinstance(place.default, tuple) else place.default
        assert place.limit.wrong(default) is None
        assert place.limit.normal(default) == default


def outside(limit: Limit | None) -> Iterator[tuple[Any, str]]:
    """Values just outside a limit, and what the sentence says of it."""
    match limit:
        case Range():
            step: float = 1 if limit.whole else 1e-3
            for bound, value in ((limit.least, -step), (limit.above, 0), (limit.most, step), (limit.below, 0)):
                if bound is not None:
                    number = bound + value
                    yield int(number) if limit.whole else float(number), f"{bound:.10g}".replace("0", "", bound == 0)
            yield ((LARGEST if limit.most is None else int(limit.most)) + 1 if limit.whole else MOST * 10), ""
            if limit.above == 0:
                yield SMALLEST / 10, "at least 1e-12"
            yield from ((value, "") for value in ("x", True, math.nan, math.inf, [1], {"a": 1}))
            if limit.whole:
                yield 2.5, ""
        case Flag():
            yield from ((value, "") for value in (1, "yes", [True]))
        case OneOf():
            yield from ((value, limit.names[0]) for value in ("x", [limit.names[0]], limit.names[0].upper()))
            yield from ((value, "") for value in (True, 1))
        case Each():
            yield from (([value], "") for value in (-1, 0, True, "x", None, [1]))
            yield [1] * (limit.most + 1), str(limit.most)
            yield from ((value, "") for value in ("x", 8, {"a": 1}))
        case SomeOf():
            yield from ((value, limit.names[0]) for value in (["x"], [[limit.names[0]]], [None], limit.names[0], 1))
        case Numbers():
            yield from ((value, "") for value in ([limit.least - 1], [2, 2, 1], [True], [2.5], ["x"], [None], 3, "x"))
            if limit.some:
                yield [], ""
        case Groups():
            yield from ((value, "") for value in ("S_n", 3, {"S_n": 1}))
            for value in (["Q_n"], [3], [None], [["S_n"]], ["O(0)"], [""]):
                yield value, "a group of S_n, C_n, D_n"
            yield ["S_n", "C_n"], "both act on nodes"
            yield ["O(3)", "SO(3)"], "both act on space"


def refused() -> Iterator[Any]:
    for place in PLACES:
        for value, words in outside(place.limit):
            shown = f"{value!r:.20}"
            yield pytest.param(place, value, words, id=f"{place}={shown}")


@pytest.mark.parametrize(("place", "value", "words"), [*refused()])
def test_a_value_just_outside_is_one_sentence_that_names_it(
    place: Place, value: Any, words: str, tmp_path: Path
) -> None:
    experiment = {"tasks": [place.task], "methods": [place.method], place.section: {place.name: value}}
    protocol = next(iter(registry.task(place.task).protocols))
    path = tmp_path / "mine.yaml"
    path.write_text(dump({"protocol": protocol, "experiments": [experiment]}))
    with pytest.raises(SymbenchError) as caught:
        plan(load(path), None)
    said = str(caught.value)
    assert said.startswith(f"{path}, line ") and place.name in said and words in said
    assert " should be " in said or " must be " in said
    assert "\n" not in said and "Traceback" not in said


TOGETHER = [
    ("nbody", "transformer-ga", "base", {"heads": 5}, "width should be a multiple of heads, unlike 64 and 5"),
    ("exp_classify", "gat", "base", {"width": 30}, "width should be a multiple of heads, unlike 30 and 8"),
    ("exp_classify", "gps", "base", {"heads": 3}, "width should be a multiple of heads, unlike 64 and 3"),
    ("nbody", "fa_gnn", "base", {"width": 64}, "width should be a multiple of 3, unlike 64"),
    ("nbody", "vector_neurons", "base", {"width": 5}, "width should be at least 6 for vector neurons, not 5"),
    ("nbody", "mlp-ps", "sampler", {"width": 5}, "width should be at least 6 for vector neurons, not 5"),
    ("pattern", "mlp-ps", "sampler", {"q": "transformer", "width": 30}, "width should be a multiple of heads"),
    ("nbody", "mlp-ga", "base", {"reads": ["node_scalars", "x"]}, "'reads' should be a list, each entry one of"),
    ("shapes_o3", "mlp-ga", "base", {"reads": ["edges"]}, "reads should name some of geometry, which shapes_o3 has"),
    ("shapes_o3", "mlp-ga", "base", {"reads": []}, "reads should name some of geometry, which shapes_o3 has"),
    ("pattern", "vit-ga", "base", {"patch_dropout": 0.1}, "set it to 0"),
    ("exp_classify", "vit-ga", "base", {"weights": "in21k", "width": 24}, "cannot differ"),
    ("nbody", "mlp-ga", "sampler", {"group": ["O(2)"]}, "O(2) acts on R^2, and points and vectors are in R^3"),
    ("nbody", "mlp-ga", "sampler", {"group": ["U(3)"]}, "U(3) acts on R^6, and points and vectors are in R^3"),
    ("nbody", "mlp-ga", "sampler", {"group": ["C_4"]}, "C_4 acts on R^2, and points and vectors are in R^3"),
    ("nbody", "mlp-ga", "sampler", {"group": ["Aff(3)"]}, "Aff(3) has no Haar probability measure"),
    ("nbody", "mlp-ga", "sampler", {"group": ["SO+(1,3)"]}, "SO+(1,3) acts on R^4"),
    ("pattern", "mlp-ga", "sampler", {"group": ["O(3)"]}, "O(3) acts on points and vectors, and there are none"),
    ("teacher_graph_invariant", "mlp-ga", "task_params", {"group": ["O(3)"]}, "which act on graphs, not O(3)"),
    ("teacher_graph_invariant", "mlp-ga", "task_params", {"group": []}, "which act on graphs, not nothing"),
    ("teacher_graph_invariant", "mlp-ga", "task_params", {"group": ["O(#)"]}, "which act on graphs, not O(#)"),
    ("teacher_space_invariant", "mlp-ga", "task_params", {"group": ["S_n"]}, "a factor that acts on space"),
    ("teacher_space_invariant", "mlp-ga", "task_params", {"group": ["SO(2)"]}, "set stabilised to 0"),
    ("pattern", "gin", "task_params", {"data": "official", "nodes": 100}, "the official graphs have nodes: 188"),
    ("pattern", "gin", "task_params", {"data": "official", "test": 2001}, "has 2,000 examples for test, not 2,001"),
    ("nbody", "egnn", "settings", {"train_size": 3001}, "train_size should be at most 3000, the train examples"),
    ("nbody", "egnn", "settings", {"valid_size": 2001}, "valid_size should be at most 2000, the validation examples"),
    ("nbody", "egnn", "settings", {"test_size": 2001}, "test_size should be at most 2000, the test examples of nbody"),
    ("exp_classify", "gin", "settings", {"train_size": 801}, "train_size should be at most 800"),
    ("peptides_func", "gin", "settings", {"test_size": 2332}, "test_size should be at most 2331"),
    ("brec", "gin", "settings", {"test_size": 401}, "test_size should be at most 400"),
    ("nbody", "egnn", "settings", {"batch_size": 501}, "drop_last leaves no batch of 501 among 500 training examples"),
    ("nbody", "egnn", "settings", {"train_size": 99}, "drop_last leaves no batch of 100 among 99 training examples"),
    ("nbody", "egnn", "task_params", {"train": 99}, "drop_last leaves no batch of 100 among 99 training examples"),
    ("nbody", "egnn", "settings", {"variance_samples": [1]}, "leave variance_samples empty"),
    ("graph8c", "gin", "settings", {"variance_samples": [1]}, "leave variance_samples empty"),
    ("graph8c", "gin", "settings", {"analysis_epochs": [0]}, "leave analysis_epochs empty"),
    ("brec", "gin", "settings", {"analysis_epochs": [0]}, "leave analysis_epochs empty"),
    ("graph8c", "gin", "resources", {"workers": 2}, "several workers cannot share a run on graph8c: set workers to 1"),
    ("nbody", "egnn", "resources", {"workers": 2, "gpus": 0.5}, "gpus should be 0 or 1, not 0.5, where several"),
    ("nbody", "egnn", "resources", {"workers": 101}, "a batch of 100 examples cannot be shared by 101 workers"),
]


@pytest.mark.parametrize(("task", "method", "section", "values", "words"), TOGETHER)
def test_settings_that_do_not_go_together_are_one_sentence_with_their_line(
    task: str, method: str, section: str, values: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        dump({"protocol": "quick", "experiments": [{"tasks": [task], "methods": [method], section: values}]})
    )
    with pytest.raises(SymbenchError) as caught:
        plan(load(path), None)
    said = str(caught.value)
    assert words in said and said.startswith(f"{path}, line ") and said.endswith(".") and "\n" not in said
    written = path.read_text().splitlines()[int(said.split("line ")[1].split(":")[0]) - 1]
    assert any(name in written for name in values) or section == "resources"


def test_which_inputs_have_stabilisers_is_known_without_building_a_group() -> None:
    lie = ("O", "SO", "E", "SE", "Sim", "SSim", "U", "SU", "Aff")
    spaces = [
        *(f"{kind}({d})" for kind in lie for d in (1, 2, 3, 4)),
        *(f"{kind}_{m}" for kind in ("C", "D", "B") for m in (1, 2, 3, 4, 9)),
        "SO+(1,3)",
    ]
    factors = [[name] for name in (*NODE_GROUPS, *spaces)]
    factors += [[permuting, space] for permuting in NODE_GROUPS for space in spaces]
    for names in factors:
        for nodes in (2, 3, 4, 5, 6, 9):
            try:
                check_stabilisers(group(tuple(names)), nodes)
            except ValueError:
                assert not keeps_inputs(names, nodes), (names, nodes)
            else:
                assert keeps_inputs(names, nodes), (names, nodes)


def test_what_a_group_acts_on_is_known_without_building_one() -> None:
    for name in ("O(3)", "SU(2)", "U(3)", "C_5", "D_4", "B_3", "SO+(1,3)", "Aff(2)", "SSim(4)"):
        built = group((name,))
        assert isinstance(built, GeometricGroup) and space_of(name) == built.dimension
    for names in (["S_n", "C_n"], ["O(3)", "E(3)"], ["S_n", "O(3)"], ["C_4"], ["D_n", "C_4"]):
        try:
            group(tuple(names))
        except ValueError as error:
            assert clash(names) == str(error)
        else:
            assert clash(names) is None


def test_all_examples_that_there_are_can_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    sizes = {"train_size": 3000, "valid_size": 2000, "test_size": 2000}
    path.write_text(
        dump({"protocol": "quick", "experiments": [{"tasks": ["nbody"], "methods": ["egnn"], "settings": sizes}]})
    )
    settings = load(path).expand().jobs[0].spec.settings
    assert (settings.train_size, settings.valid_size, settings.test_size) == (3000, 2000, 2000)


def test_of_two_overrides_the_line_is_that_of_the_one_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    overrides = "overrides:\n  - base: {heads: 4}\n  - base: {heads: 5}\n"
    path.write_text(f"protocol: quick\nexperiments: [{{tasks: nbody, methods: transformer-ga}}]\n{overrides}")
    with pytest.raises(SymbenchError, match=r"line 5: .*unlike 64 and 5"):
        load(path).expand()


def test_what_a_protocol_says_of_a_smaller_set_is_no_mistake() -> None:
    spec = resolve("teacher_graph_invariant", "gin", "quick", 0, task_params={"train": 20})
    assert spec.settings.train_size == 500


def test_a_warm_up_of_the_protocol_may_outlast_a_run_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "protocol: quick\nexperiments: [{tasks: [exp_classify], methods: [mlp-ga], settings: {epochs: 2}}]\n"
    )
    assert load(path).expand().jobs[0].spec.settings.warmup_epochs > 2


def test_a_group_with_too_many_elements_for_a_sampler_is_a_misfit(tmp_path: Path) -> None:
    def fits(names: str, degree: int, method: str, sampler: str = "{}") -> bool:
        path = tmp_path / "mine.yaml"
        params = f"{{group: [{names}], degree: {degree}, nodes: 6, stabilised: 0}}"
        experiment = (
            f"{{tasks: [teacher_space_invariant], methods: [{method}], task_params: {params}, sampler: {sampler}}}"
        )
        path.write_text(f"protocol: quick\nexperiments: [{experiment}]\n")
        jobs, misfits = load(path).expand()
        assert len(jobs) + len(misfits) == 1 and all(f"{degree}" in pair.reason for pair in misfits)
        return bool(jobs)

    for names, most, method in (
        ('"C_#"', 1024, "mlp-fa"),
        ('"D_#"', 512, "mlp-fa"),
        ('"O(#)"', 10, "mlp-fa"),
        ('"SO(#)"', 11, "mlp-fa"),
        ('"E(#)"', 10, "mlp-fa"),
        ('"B_#"', 4, "mlp-fa"),
        ('"D_n", "O(#)"', 6, "mlp-fa"),
        ('"C_#"', 4096, "mlp-ps"),
        ('"D_#"', 2048, "mlp-canonical"),
        ('"B_#"', 5, "mlp-ps"),
        ('"O(#)"', 20, "mlp-mfa"),
    ):
        assert fits(names, most, method) and not fits(names, most + 1, method), names
    assert fits('"C_#"', 1025, "mlp-fa", "{exact: false}") and fits('"O(#)"', 20, "mlp-fa", "{exact: false}")
    assert not fits('"O(#)"', 21, "mlp-fa", "{exact: false}")


def test_a_search_is_held_to_the_same_limits(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    search = {"task": "nbody", "method": "mlp-ga", "protocol": "quick", "trials": 2}
    for name, choice, words in (
        ("settings.train_size", [100, 3001], "train_size should be at most 3000"),
        ("settings.batch_size", [100, 501], "drop_last leaves no batch of 501"),
        ("sampler.group", [None, ["O(2)"]], "O(2) acts on R^2"),
        ("sampler.group", [["Q_n"]], "'group' should be a list, each entry a group of"),
        ("base.widths", [[8], [0]], "'widths' should be a list, each entry a whole number, at least 1, not [0]"),
    ):
        path.write_text(dump({**search, "space": {name: {"choice": choice}}}))
        with pytest.raises(SymbenchError) as caught:
            load_search(path)
        assert words in str(caught.value) and f"{path}, line " in str(caught.value)


def test_none_is_taken_where_it_is_the_default_only() -> None:
    for place in PLACES:
        if place.section == "settings":
            assert (place.default is None) == (place.name in OPTIONAL)
        elif place.section == "base":
            card = registry.method(place.method).base
            assert (unfit(place.name, None, card) is None) == (place.default is None), place


@pytest.mark.parametrize(
    ("default", "right", "wrong"),
    [
        (3, [0, 7], [-1, 2.0, True, "3", None]),
        (0, [-1, 7], [0.5, False, "0"]),
        (0.5, [0, 2, 0.25], [-0.5, -1, True, "x", math.nan, math.inf]),
        (0.0, [-0.5, -1, 2], [False, math.nan]),
        (False, [True], [0, 1]),
        ((1,), [[], (2, 3)], ["1", {1: 2}, [math.nan]]),
        (None, [1, "x", [2], None], [math.nan, {1}]),
    ],
)
def test_without_a_limit_a_value_is_like_the_default(default: Any, right: list[Any], wrong: list[Any]) -> None:
    """What is positive by default is a size or a scale; what is not may have a sign."""
    card = replace(registry.method("egnn").base, settings=settings_without_limits(a=default))
    for value in (default, *right):
        assert unfit("a", value, card) is None, value
    for value in wrong:
        assert str(unfit("a", value, card)).startswith("should be like"), value


@pytest.mark.parametrize("section", ["task_params", "base", "sampler", "settings"])
def test_every_name_of_several_is_looked_at(section: str) -> None:
    known = {"task_params": {"nodes": 5}, "base": {"widths": [8]}, "sampler": {"group": None}, "settings": {"lr": 0.1}}
    with pytest.raises(SymbenchError, match="'zzz'"):
        resolve("nbody", "mlp-ga", "quick", 0, **{section: {**known[section], "zzz": 1}})


def test_a_group_that_is_chosen_is_held_to_its_own_size() -> None:
    params = {"group": ["C_4"], "nodes": 6, "stabilised": 0}
    with pytest.raises(SymbenchError, match=r"The group of 'fa' does not work .*1025"):
        resolve("teacher_space_invariant", "mlp-fa", "quick", 0, task_params=params, sampler={"group": ["C_1025"]})
    chosen = resolve(
        "teacher_space_invariant",
        "mlp-fa",
        "quick",
        0,
        task_params={**params, "group": ["C_1025"]},
        sampler={"group": ["C_4"]},
    )
    assert chosen.sampler["group"] == ["C_4"]
