"""The command check: the shipped methods keep what they claim, and broken ones are found out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness import cli
from harness.errors import SymbenchError
from harness.registry import methods, tasks
from harness.verification import verdicts

SAMPLERS = [  # one base model for each group that is left to a sampler
    (task, method)
    for task in ("graph8c", "nbody")
    for method, card in methods().items()
    if card.sampler and card.base.name in ("mlp", "gnn") and card.misfit(tasks()[task], tasks()[task].params) is None
]
Call = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("generated_data")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """``symbench check`` in this process: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["symbench", "check", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.mark.parametrize(("task", "method"), SAMPLERS)
def test_the_law_of_every_shipped_sampler(task: str, method: str) -> None:
    verdict = verdicts.law_verdict(verdicts.subject(method, task), draws=200)
    assert verdict.passed, verdict.sentence
    assert verdict.numbers["statistics"] > 50 or method.endswith("mfa")  # a minimal frame may leave nothing to chance
    assert verdict.numbers["agrees"] != method.endswith("none")


def test_an_equivariant_network_is_exact(call: Call) -> None:
    code, out, _ = call("egnn", "--task", "nbody")
    assert code == 0
    assert "exactly symmetric under S_n x E(3)" in out and "law:" not in out


def test_a_sampled_method_is_symmetric_in_law(call: Call) -> None:
    code, out, _ = call("mlp-ga", "--task", "nbody", "--json")
    error, law = json.loads(out)["checks"]
    assert code == 0
    assert error["numbers"]["samples"] == [1, 4, 16, 64]
    assert error["numbers"]["symmetry"] == "Monte Carlo" and abs(error["numbers"]["slope"] + 0.5) < 0.1
    assert law["passed"] and law["numbers"]["agrees"]


def test_no_symmetrization_is_expected_to_fail(call: Call) -> None:
    code, out, _ = call("mlp-none", "--task", "nbody")
    assert code == 0
    assert out.count("as expected without a guarantee") == 2


def guaranteeing(found: verdicts.Subject, guarantee: str) -> verdicts.Subject:
    """The same method, with a sampler of a plug-in that guarantees this."""
    assert found.method.sampler is not None
    sampler = replace(found.method.sampler, guarantee=guarantee)
    return found._replace(method=replace(found.method, sampler=sampler))


def test_a_sampler_is_held_to_its_guarantee() -> None:
    """A deterministic one: to nothing, to exactness if it says so or says nothing, to its law over seeds."""
    plain = verdicts.subject("mlp-none", "nbody")
    claims = {"none": "nothing", "none on ties": "nothing", "": "exact", "exact": "exact"}
    claims |= {"in expectation over noise": "nothing for one seed"}
    for guarantee, claim in claims.items():
        found = guaranteeing(plain, guarantee)
        verdict = verdicts.equivariance_verdict(found, (1, 4))
        assert found.claim == claim and verdict.passed == (claim != "exact"), verdict.sentence
        assert ("although the method claims to be symmetric (exact)" in verdict.sentence) == (claim == "exact")


def test_symmetry_that_is_not_guaranteed_is_no_failure() -> None:
    averaged = verdicts.subject("mlp-ga", "nbody")
    assert averaged.claim == guaranteeing(averaged, "exact").claim == guaranteeing(averaged, "").claim == "in law"
    verdict = verdicts.law_verdict(guaranteeing(averaged, "none"), draws=200)
    assert verdict.passed and "which the method does not guarantee" in verdict.sentence


def test_fixed_noise_is_symmetric_over_the_draw_of_its_seed_only(call: Call) -> None:
    code, out, _ = call("mlp-ps", "--task", "graph8c", "--set", "sampler.fixed_noise=true")
    assert code == 0
    assert out.count("as expected of fixed noise") == 2 and "not symmetric under S_n" in out


def test_symmetrizing_over_a_part_of_the_group_is_found_out(call: Call) -> None:
    """Rotations alone leave the order of the nodes to the MLP: a small bias behind much chance, which a slope hides."""
    code, out, _ = call("mlp-ga", "--task", "nbody", "--set", "sampler.group=['E(3)']", "--json")
    error, law = json.loads(out)["checks"]
    assert code == 1
    assert not error["passed"] and abs(error["numbers"]["slope"] + 0.5) < 0.1
    assert law["passed"]  # right for what it covers


def test_a_smaller_group_than_the_task_asks_for_is_said(call: Call) -> None:
    """Reflections of a network with random weights show less than the chance of a few samples does."""
    _, out, _ = call("gnn-ga", "--task", "nbody", "--set", "sampler.group=[SE(3)]", "--samples", "1,2", "--json")
    assert "It symmetrizes over SE(3), and nbody asks for E(3)" in json.loads(out)["checks"][0]["sentence"]
    _, out, _ = call("gnn-ga", "--task", "nbody", "--samples", "1,2", "--json")
    assert "It symmetrizes over" not in json.loads(out)["checks"][0]["sentence"]


@pytest.fixture
def two_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Universality without the width in between, which is for people to read and costs a third of the time."""
    monkeypatch.setattr("harness.verification.universality.WIDTHS", (4, 64))


@pytest.mark.usefixtures("two_widths")
@pytest.mark.parametrize("task", ["graph8c", "nbody", "shapes_o3"])
def test_a_symmetrized_network_fits_better_as_it_widens(call: Call, task: str) -> None:
    """Clouds of points under S_n x O(3) take longest: a student that stops after 600 steps has an error of 0.8."""
    code, out, _ = call("mlp-ga", "--task", task, "--universality", "--json")
    numbers = json.loads(out)["checks"][-1]["numbers"]
    assert code == 0
    assert numbers["fits"] and numbers["p_value"] < 0.01
    assert numbers["plain"][0] > 0.3 and numbers["plain"][-1] < 0.5 * numbers["plain"][0]
    assert numbers["stabilised"][-1] < 0.2


def test_a_base_model_that_is_too_small_is_not_universal(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is trained: no error is small, and none falls where no student is any wider."""
    monkeypatch.setattr("harness.verification.universality.WIDTHS", (4,))
    verdict = verdicts.universality_verdict(verdicts.subject("mlp-ga", "shapes_o3"))
    assert not verdict.passed
    assert verdict.numbers["plain"][0] > 0.7


@pytest.mark.usefixtures("two_widths")
def test_a_network_that_sees_no_more_than_colour_refinement_is_not_universal(call: Call) -> None:
    code, out, _ = call("gin", "--task", "graph8c", "--universality", "--json")
    numbers = json.loads(out)["checks"][-1]["numbers"]
    assert code == 1 and not numbers["fits"]
    assert numbers["plain"][-1] < 0.3  # it does fit what it tells apart
    assert all(0.98 < error < 1.05 for error in numbers["stabilised"])  # 1 is what their mean gives


@pytest.mark.usefixtures("two_widths")
def test_without_symmetrization_nothing_is_learnt_of_moved_inputs() -> None:
    verdict = verdicts.universality_verdict(verdicts.subject("mlp-none", "nbody"))
    assert verdict.passed and not verdict.numbers["fits"]
    assert min(verdict.numbers["plain"]) > 0.9
    assert "does not fit" in verdict.sentence and "as expected without a guarantee" in verdict.sentence


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_network_that_takes_no_small_width_is_one_sentence() -> None:
    with pytest.raises(SymbenchError, match="vector_neurons cannot be trained at widths 4, 16, 64: "):
        verdicts.universality_verdict(verdicts.subject("vector_neurons", "shapes_o3"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mlp-har", "--task", "nbody"], "did you mean 'mlp-ga'?"),
        (["MLP-Haar", "--task", "nbody"], "did you mean 'mlp-ga'?"),
        (["mlp-ga", "--task", "nbdy"], "did you mean 'nbody'?"),
        (["egnn", "--task", "graph8c"], "egnn does not fit graph8c: egnn needs points"),
        (["mlp-ga", "--task", "nbody", "--set", "base.wdths=[8]"], "did you mean 'widths'?"),
        (["mlp-ga", "--task", "nbody", "--set", "seeds=3"], "a check takes protocol, task_params.NAME"),
        (["mlp-ga", "--task", "nbody", "--set", "settings.epochs=many"], "--set settings.epochs=many:"),
        (["mlp-ga", "--task", "nbody", "--set", "base.widths=[wide]"], "each entry a whole number, at least 1"),
        (["gnn-ps", "--task", "nbody", "--set", "sampler.temperature=-1"], "should be like 0.1, not -1."),
        (["mlp-ga", "--task", "nbody", "--set", "sampler.group=[Z_9]"], "where # is a number, not ['Z_9']"),
        (["mlp-ga", "--task", "nbody", "--set", "sampler.group=SO(3)"], "should be a list, each entry a group"),
        (["gnn-ga", "--task", "nbody", "--set", "sampler.group=[Aff(3)]"], "Aff(3) has no Haar probability measure"),
        (["mlp-fa", "--task", "nbody", "--set", "sampler.group=[U(2)]"], "U(2) has no finite frame here"),
        (["mlp-ga", "--task", "graph8c", "--set", "sampler.group=[SO(3)]"], "acts on points and vectors"),
        (["mlp-ps", "--task", "nbody", "--set", "sampler.group=[SO(2)]"], "acts on R^2, and points and vectors"),
        (["mlp-ga", "--task", "nbody", "--set", "protocol=qick"], "did you mean 'quick'?"),
        (["mlp-ga", "--task", "nbody", "--set", "base.activation=rlu"], "one of relu, tanh, silu, gelu, not 'rlu'"),
        (["transformer-ga", "--task", "nbody", "--set", "base.heads=3"], "a multiple of heads, unlike 64 and 3"),
        (["mlp-ps", "--task", "nbody", "--set", "sampler.neighbours=0"], "a whole number, at least 1, not 0"),
        (["mlp-ga", "--task", "nbody", "--samples", "1,20000"], "numbers up to 10,000"),
        (["mlp-ga", "--task", "nbody", "--samples", "4"], "at least two different positive numbers"),
        (["mlp-ga", "--task", "nbody", "--samples", "1,many"], "write whole numbers with commas"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(call: Call, words: list[str], sentence: str) -> None:
    code, out, err = call(*words)
    assert code == 2 and out == ""
    assert sentence in err and len(err.strip().splitlines()) == 1


def test_settings_reach_the_method() -> None:
    found = verdicts.subject("gnn-ps", "nbody", ["base.width=8", "sampler.noise_scale=2", "task_params.nodes=3"])
    assert found.spec.base["width"] == 8 and found.spec.sampler["noise_scale"] == 2.0
    assert found.inputs.nodes == 3
    with pytest.raises(SymbenchError, match="has no sampler"):
        verdicts.subject("egnn", "nbody", ["sampler.noise_scale=2"])
