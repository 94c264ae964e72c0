"""Names, and tasks and methods that other packages register."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.errors import SymbenchError
from harness.suite import load

CARDS = """
from dataclasses import replace
from baselines.catalogue import EGNN
from baselines.cards import MethodCard
from tasks.catalogue import NBODY

OTHER_TASK = replace(NBODY, name="other_nbody")
SAME_TASK = NBODY
OTHER_METHOD = MethodCard(base=replace(EGNN, name="other_egnn"))
"""
Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package with these entry points where Python looks for installed ones."""

    def put(entry_points: str) -> Path:
        info = tmp_path / "other-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        (tmp_path / "other_cards.py").write_text(CARDS)
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path

    registry.tasks.cache_clear()
    registry.methods.cache_clear()
    yield put
    sys.modules.pop("other_cards", None)
    registry.tasks.cache_clear()
    registry.methods.cache_clear()


BOTH = """
[symbench.tasks]
mine = other_cards:OTHER_TASK
[symbench.methods]
mine = other_cards:OTHER_METHOD
"""


def test_another_package_adds_a_task_and_a_method(install: Install, tmp_path: Path) -> None:
    install(BOTH)
    suite = tmp_path / "both.yaml"
    suite.write_text("protocol: quick\nexperiments: [{tasks: [other_nbody], methods: [other_egnn, egnn, mlp-haar]}]\n")
    jobs, misfits = load(suite).expand()
    assert [job.spec.method for job in jobs] == ["other_egnn", "egnn", "mlp-haar"]
    assert {job.spec.task for job in jobs} == {"other_nbody"}
    assert misfits == []


def test_the_command_line_lists_it(install: Install) -> None:
    folder = install(BOTH)
    environment = os.environ | {"PYTHONPATH": f"{Path(registry.__file__).parents[1]}{os.pathsep}{folder}"}
    for command, name in (("tasks", "other_nbody"), ("methods", "other_egnn")):
        call = [sys.executable, "-m", "harness.cli", command]
        listed = subprocess.run(call, env=environment, capture_output=True, text=True, check=True).stdout
        assert name in listed


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("[symbench.tasks]\nmine = other_cards:OTHER_METHOD\n", "is no TaskCard"),
        ("[symbench.tasks]\nmine = other_cards:SAME_TASK\n", "register the name nbody"),
    ],
)
def test_a_package_that_registers_wrongly_is_named(install: Install, entry: str, sentence: str) -> None:
    install(entry)
    with pytest.raises(SymbenchError, match=sentence):
        registry.tasks()


def test_methods_are_the_product_of_base_models_and_samplers() -> None:
    cards = registry.methods().values()
    symmetrized = [card for card in cards if card.sampler]
    bases = {card.base.name for card in symmetrized}
    samplers = {card.sampler.name for card in symmetrized if card.sampler}
    assert {card.name for card in symmetrized} == {f"{base}-{sampler}" for base in bases for sampler in samplers}
    assert {"mlp", "gin_id", "gnn", "transformer"} <= bases
    assert {"identity", "haar", "frame", "canonical", "learned"} <= samplers
    assert {"gin", "egnn"} <= {card.name for card in cards if card.kind == "equivariant"}


def test_every_method_fits_a_task_and_every_task_has_a_method() -> None:
    fits = {
        (task.name, method.name)
        for task in registry.tasks().values()
        for method in registry.methods().values()
        if method.misfit(task, task.params) is None
    }
    assert {task for task, _ in fits} == set(registry.tasks())
    assert {method for _, method in fits} == set(registry.methods())


def test_unknown_names_bring_the_nearest_one() -> None:
    with pytest.raises(SymbenchError, match=r"'nbdy': did you mean 'nbody'\?"):
        registry.task("nbdy")
    with pytest.raises(SymbenchError, match=r"'mlp-har': did you mean 'mlp-haar'\?"):
        registry.method("mlp-har")
    with pytest.raises(SymbenchError, match=r"'quik': did you mean 'quick'\?"):
        registry.resolve("nbody", "egnn", "quik", 0)
    with pytest.raises(SymbenchError, match=r"'widht': did you mean 'width'\?"):
        registry.resolve("nbody", "egnn", "quick", 0, base={"widht": 3})
    with pytest.raises(SymbenchError, match="takes no sampler settings"):
        registry.resolve("nbody", "egnn", "quick", 0, sampler={"temperature": 1.0})


def test_recipes_are_layered_and_the_caller_wins() -> None:
    quick = registry.resolve("exp_classify", "mlp-haar", "quick", 0)
    paper = registry.resolve("exp_classify", "mlp-haar", "paper", 0)
    assert quick.base["widths"] != paper.base["widths"]
    chosen = registry.resolve("exp_classify", "mlp-haar", "quick", 0, base={"widths": [7]}, settings={"epochs": 9})
    assert chosen.base == {**quick.base, "widths": [7]}
    assert chosen.settings.epochs == 9
