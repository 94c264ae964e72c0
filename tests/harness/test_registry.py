"""Names, and tasks and methods that other packages register."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.errors import SymbenchError
from harness.suites.loading import load
from tests.distributions import both, found_in, put

ROOT = Path(registry.__file__).parents[1]
SUITE = "protocol: quick\nexperiments: [{tasks: [TASK], methods: [METHOD]}]\n"
WHOLE = "from tasks.catalogue import NBODY\nfrom dataclasses import replace\n"
BROKEN: dict[str, tuple[str, str, str]] = {  # the value of an entry point, its module's text, what is said of it
    "raising": ("raising_cards:TASK", "raise ValueError('one\\ntwo')", "cannot be imported (ValueError: one)"),
    "leaving": ("leaving_cards:TASK", "raise SystemExit(3)", "cannot be imported (SystemExit: 3)"),
    "aborting": ("aborting_cards:TASK", "class Stop(BaseException): pass\nraise Stop", "cannot be imported (Stop)"),
    "unparsed": ("unparsed_cards:TASK", "TASK = (", "cannot be imported (SyntaxError"),
    "nameless": ("nameless_cards:TASK", "", "module 'nameless_cards' has no attribute 'TASK'"),
    "homeless": ("nowhere_cards:TASK", "", "No module named 'nowhere_cards'"),
    "needing": ("needing_cards:TASK", "import no_such_package", "No module named 'no_such_package'"),
    "malformed": ("3 4 5", "", "cannot be imported"),
    "module": ("module_cards", "", "is not a TaskCard but of the type module"),
    "number": ("number_cards:TASK", "TASK = 3", "is not a TaskCard but of the type int"),
    "method": ("method_cards:M", "from baselines.catalogue import METHODS\nM = METHODS[0]", "is not a TaskCard but"),
    "built_in": (
        "built_in_cards:TASK",
        "from tasks.catalogue import NBODY as TASK",
        "the name nbody, which is built in",
    ),
    "twin": ("twin_cards:TASK", WHOLE + "TASK = replace(NBODY, name='double')", "'double' is registered twice"),
    "twin_too": ("twin_too_cards:TASK", WHOLE + "TASK = replace(NBODY, name='double')", "double is registered twice"),
    "misspelt": ("misspelt_cards:TASK", WHOLE + "TASK = replace(NBODY, name='m', output='node_point')", "did you mean"),
    "exploding": (
        "exploding_cards:TASK",
        WHOLE + "TASK = replace(NBODY, name='e', max_nodes=lambda settings: settings.node)",
        "AttributeError",
    ),
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages of which one is right, and each of the others is wrong in a way of its own."""
    folder = tmp_path_factory.mktemp("damaged")
    put(folder, "right", both("right"))
    for name, (value, text, _) in BROKEN.items():
        put(folder, name, f"[symbench.tasks]\nentry_{name} = {value}\n", {f"{name}_cards.py": text})
    return folder


def symbench(folder: Path, *words: str, code: int = 0) -> tuple[str, str]:
    """The command line where these packages are installed: what it prints, and what it warns of."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    call = [sys.executable, "-m", "harness.cli", *words]
    done = subprocess.run(call, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    "words", [("tasks", "--json"), ("methods", "--json"), ("plan", "quick", "--json"), ("report",)]
)
def test_what_is_broken_is_left_out_with_one_warning_each(damaged: Path, words: tuple[str, ...]) -> None:
    options = (
        ("--store", str(ROOT / "results/published/nbody_small"), "--out", str(damaged / "out"))
        if words == ("report",)
        else ()
    )
    said, warned = symbench(damaged, *words, *options)
    if words[0] in ("tasks", "methods"):
        names = [row["name"] for row in json.loads(said)]
        built_in = registry.tasks() if words[0] == "tasks" else registry.methods()
        assert names == [*built_in, "right_nbody" if words[0] == "tasks" else "right_egnn"]
    for name, (value, _, reason) in BROKEN.items():
        [line] = [line for line in warned.splitlines() if line.startswith(f"The plug-in {name} 1.0")]
        assert f"entry point entry_{name} = {value} (symbench.tasks) is left out: " in line
        assert reason.replace("'", "") in line.replace("'", "")
    assert len(warned.splitlines()) == len(BROKEN)


def test_doctor_lists_plug_ins_and_their_faults(damaged: Path) -> None:
    said, warned = symbench(damaged, "doctor", "--json", code=1)
    found = {item["name"]: item for item in json.loads(said) if item["name"].startswith("plug-in")}
    assert warned == ""
    assert found["plug-in right"]["status"] == "ok"
    assert "right 1.0" in found["plug-in right"]["text"] and "right_nbody, right_egnn" in found["plug-in right"]["text"]
    for name, (value, _, reason) in BROKEN.items():
        item = found[f"plug-in {name}"]
        assert (
            item["status"] == "problem"
            and value in item["text"]
            and reason.replace("'", "") in item["text"].replace("'", "")
        )
        assert item["advice"]


SUBMIT = ("submit", "--store", "/s", "--address", "http://x:1")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *((("plan",), name) for name in ("entry_raising", "m", "double", "unknown_name")),
        (("run", "--store", "s"), "m"),
        (SUBMIT, "m"),
    ],
)
def test_a_suite_that_names_what_is_left_out_is_told_why(damaged: Path, command: tuple[str, ...], name: str) -> None:
    suite = damaged / "mine.yaml"
    suite.write_text(SUITE.replace("TASK", name).replace("METHOD", "egnn"))
    _, warned = symbench(damaged, command[0], str(suite), *command[1:], code=2)
    [sentence] = [line for line in warned.splitlines() if not line.startswith("The plug-in ")]
    assert f"there is no task '{name}'" in sentence
    expected = {
        "entry_raising": ["raising 1.0, entry point entry_raising", "ValueError: one"],
        "m": ["misspelt 1.0", "did you mean 'node_points'"],
        "double": ["twin 1.0", "twin_too 1.0", "uninstall one of them"],
        "unknown_name": ["raising 1.0", "leaving 1.0", "needing 1.0"],  # whose names nobody knows
    }[name]
    assert all(part in sentence for part in expected)
    assert ("misspelt" in sentence) == (name == "m")


def test_another_package_adds_a_task_and_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "other", both("other"))
    suite = tmp_path / "both.yaml"
    suite.write_text(SUITE.replace("TASK", "other_nbody").replace("METHOD", "other_egnn, egnn, mlp-ga"))
    with found_in(tmp_path, monkeypatch):
        jobs, misfits = load(suite).expand()
    assert [job.spec.method for job in jobs] == ["other_egnn", "egnn", "mlp-ga"]
    assert {job.spec.task for job in jobs} == {"other_nbody"}
    assert misfits == []


def test_a_package_that_is_there_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "other", both("other"))
    put(tmp_path / "behind", "other", both("other"), version="0.9")
    monkeypatch.syspath_prepend(str(tmp_path / "behind"))
    with found_in(tmp_path, monkeypatch):
        assert [(plugin.version, plugin.fault) for plugin in registry.plugins()] == [("1.0", None)] * 2


def test_a_list_of_entry_points_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "garbled", "[symbench.tasks]\nno equals sign\n", {})
    put(tmp_path, "binary", b"[symbench.tasks]\n\xff\xfe = a:b\n", {})
    put(tmp_path, "not_ours", "[other.group]\nno equals sign\n", {})
    put(tmp_path, "right", both("right"))
    (put(tmp_path, "bare", both("bare")) / "METADATA").unlink()
    with found_in(tmp_path, monkeypatch):
        faults = {plugin.distribution: plugin.fault for plugin in registry.plugins()}
        assert {"right_nbody", "bare_nbody"} <= registry.tasks().keys()
        with pytest.raises(SymbenchError, match=r"entry_points\.txt of garbled cannot be read"):
            registry.task("mine")
    assert faults.keys() == {"garbled", "binary", "right", "(no name)"}
    assert {name for name, fault in faults.items() if fault and "cannot be read" in fault} == {"binary", "garbled"}


@pytest.mark.parametrize("words", [("plan", "quick", "--json"), ("report",), ("doctor", "--json"), ("tasks", "--json")])
def test_a_list_of_entry_points_of_anybody_that_cannot_be_read_is_one_warning(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Libraries look through the lists of all packages as they are imported."""
    put(tmp_path, "not_ours", "[other.group]\nno equals sign\n", {})
    options = ("--store", str(ROOT / "results/published/nbody_small"), "--out", str(tmp_path / "out"))
    said, warned = symbench(tmp_path, *words, *(options if words == ("report",) else ()))
    [line] = warned.splitlines()
    assert line.startswith("The entry_points.txt of not_ours 1.0 cannot be read")
    assert said


def test_one_package_that_registers_a_name_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "other", "[symbench.methods]\na = other_cards:METHOD\nb = other_cards:METHOD\n")
    with found_in(tmp_path, monkeypatch):
        assert "other_egnn" not in registry.methods()
        assert ["is registered twice" in str(plugin.fault) for plugin in registry.plugins()] == [True, True]


def test_a_recipe_may_mean_a_method_that_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from dataclasses import replace\nfrom tasks.cards import Recipe\nfrom tasks.catalogue import NBODY\n"
        "TASK = replace(NBODY, name='a', recipes=(Recipe(method='theirs'), Recipe(method='right_egnn')))\nMETHOD = 3\n"
    )
    points = "[symbench.tasks]\na = a_cards:TASK\n[symbench.methods]\ntheirs = a_cards:METHOD\n"
    put(tmp_path, "a", points, {"a_cards.py": text})
    put(tmp_path, "right", both("right"))
    with found_in(tmp_path, monkeypatch):
        assert "a" in registry.tasks()


def test_a_warning_is_given_once_a_process(
    damaged: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with found_in(damaged, monkeypatch), caplog.at_level(logging.WARNING):
        for _ in range(2):
            registry.tasks(), registry.methods(), registry.plugins()
    assert len(caplog.records) == len(BROKEN)


def test_an_interrupt_is_none_of_a_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "other", both("other"), {"other_cards.py": "raise KeyboardInterrupt"})
    with found_in(tmp_path, monkeypatch), pytest.raises(KeyboardInterrupt):
        registry.tasks()


def test_methods_are_the_product_of_base_models_and_samplers() -> None:
    cards = registry.methods().values()
    symmetrized = [card for card in cards if card.sampler]
    bases = {card.base.name for card in symmetrized}
    samplers = {card.sampler.name for card in symmetrized if card.sampler}
    assert {card.name for card in symmetrized} == {f"{base}-{sampler}" for base in bases for sampler in samplers}
    assert {"mlp", "gin_id", "gnn", "transformer"} <= bases
    assert {"none", "ga", "fa", "canonical", "ps"} <= samplers
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
    with pytest.raises(SymbenchError, match=r"'mlp-har': did you mean 'mlp-ga'\?"):
        registry.method("mlp-har")
    with pytest.raises(SymbenchError, match=r"'quik': did you mean 'quick'\?"):
        registry.resolve("nbody", "egnn", "quik", 0)
    with pytest.raises(SymbenchError, match=r"'widht': did you mean 'width'\?"):
        registry.resolve("nbody", "egnn", "quick", 0, base={"widht": 3})
    with pytest.raises(SymbenchError, match="takes no sampler settings"):
        registry.resolve("nbody", "egnn", "quick", 0, sampler={"temperature": 1.0})


def test_recipes_are_layered_and_the_caller_wins() -> None:
    quick = registry.resolve("exp_classify", "mlp-ga", "quick", 0)
    paper = registry.resolve("exp_classify", "mlp-ga", "paper", 0)
    assert quick.base["widths"] != paper.base["widths"]
    chosen = registry.resolve("exp_classify", "mlp-ga", "quick", 0, base={"widths": [7]}, settings={"epochs": 9})
    assert chosen.base == {**quick.base, "widths": [7]}
    assert chosen.settings.epochs == 9


@pytest.mark.parametrize("part", ["base", "sampler"])
def test_the_code_of_every_part_of_a_method_is_looked_for_before_a_run(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "from dataclasses import replace\nfrom baselines.cards import MethodCard\n"
        "from baselines.catalogue import METHODS\n"
        "haar = next(card for card in METHODS if card.name == 'mlp-ga')\n"
        f"parts = {{'base': haar.base, 'sampler': haar.sampler}}\nname = parts['{part}'].name\n"
        f"parts['{part}'] = replace(parts['{part}'], name='other', implementation='other_code:Part')\n"
        "METHOD = MethodCard(**parts)\n"
    )
    sources = {"other_cards.py": text, "other_code.py": "import no_such_package\nclass Part: pass\n"}
    put(tmp_path, "other", "[symbench.methods]\nm = other_cards:METHOD\n", sources)
    name = "other-ga" if part == "base" else "mlp-other"
    with found_in(tmp_path, monkeypatch):
        registry.check_implementations([registry.resolve("nbody", "mlp-ga", "quick", 0)])
        with pytest.raises(SymbenchError, match=r"plug-in other 1\.0, .*: the module other_code cannot be imported"):
            registry.check_implementations([registry.resolve("nbody", name, "quick", 0)])


def test_of_those_with_one_name_only_what_would_serve_is_to_be_uninstalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = {"one": "title='a'", "two": "title='b'", "faulty": "output='nothing'"}
    for name, field in change.items():
        text = f"{WHOLE}TASK = replace(NBODY, name='double', {field})\n"
        put(tmp_path, name, f"[symbench.tasks]\nt = {name}_cards:TASK\n", {f"{name}_cards.py": text})
    with found_in(tmp_path, monkeypatch):
        faults = {plugin.distribution: str(plugin.fault) for plugin in registry.plugins()}
    assert "registered twice, also by two 1.0, entry point" in faults["one"] and "faulty" not in faults["one"]
    assert "registered twice, also by one 1.0, entry point" in faults["two"] and "faulty" not in faults["two"]
    assert "nothing" in faults["faulty"] and "twice" not in faults["faulty"]
