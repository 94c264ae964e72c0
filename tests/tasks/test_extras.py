"""The sentence about a package that is not installed, and which errors it replaces."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import extras
from tasks.errors import MissingExtra, SymbenchError
from tests.hiding import HIDING

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [(package, extra) for extra, packages in extras.EXTRAS.items() for package in packages]


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)


def test_each_package_belongs_to_one_extra() -> None:
    assert len(dict(PACKAGES)) == len(PACKAGES)


@pytest.mark.parametrize(("package", "extra"), PACKAGES)
def test_a_missing_package_is_named_by_its_extra(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extras.require("symbench x", package)
    assert extras.missing(extra) == []
    hide(monkeypatch, package)
    with pytest.raises(MissingExtra) as raised:
        extras.require("symbench x", package)
    assert str(raised.value) == f"symbench x needs the extra '{extra}': pip install 'symbench[{extra}]'"
    assert isinstance(raised.value, SymbenchError) and isinstance(raised.value, ImportError)
    assert extras.missing(extra) == [package]


def test_nothing_is_imported_to_see_what_is_installed() -> None:
    program = "from tasks.extras import EXTRAS, missing; print([missing(one) for one in EXTRAS]); import sys; "
    program += "print([name for names in EXTRAS.values() for name in names if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[[], [], [], [], []]\n[]\n"


def imports(name: str) -> Callable[[], object]:
    return lambda: __import__(name)


@pytest.mark.parametrize("name", ["plotly", "plotly.offline", "ray.tune.search.optuna"])
def test_an_import_that_fails_is_named_by_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in [one for one in sys.modules if one.partition(".")[0] in ("plotly", "ray")]:
        monkeypatch.delitem(sys.modules, loaded)
    hide(monkeypatch, "plotly", "ray")
    extra = "report" if name.startswith("plotly") else "cluster"
    with pytest.raises(MissingExtra, match=rf"^A figure needs the extra '{extra}': pip install 'symbench\[{extra}\]'$"):
        extras.named_extras("A figure")(imports(name))()


@pytest.mark.parametrize("error", [ModuleNotFoundError("none", name="no_such_package"), ImportError("x"), KeyError(1)])
def test_other_errors_are_left_alone(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, extras.named_extras():
        raise error
    assert raised.value is error


def test_the_data_of_a_task_and_the_network_of_a_method_name_their_extra() -> None:
    """Also in a program that does not ask beforehand."""
    program = """
from harness.registry import resolve
from harness.training.execute import execute
from tasks.errors import MissingExtra
for task, method in (("inner_symmetry", "gnn-none"), ("shapes_o3", "set_transformer-ga"), ("pattern", "vit-ga")):
    try:
        execute(resolve(task, method, "quick", 0, base={"weights": "random"} if method == "vit-ga" else {}))
    except MissingExtra as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", HIDING + program], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.splitlines() == [
        "This needs the extra 'graphs': pip install 'symbench[graphs]'",
        "This needs the extra 'vision': pip install 'symbench[vision]'",
        "The vision transformer needs the extra 'vision': pip install 'symbench[vision]'",
    ], done.stderr
