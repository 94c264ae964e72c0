"""References to implementations, and implementations themselves: what exists and can be called."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from harness.plugins.references import module_of, reference_fault, unusable
from tasks.nbody import NBody

SOURCES = {
    "plain.py": "import json as Json\nfrom math import pi as Pi\n"
    "if True:\n    class Inner: pass\nelse:\n    Other = 1\n"
    "class Whole:\n    hidden = 1\nwith open(__file__) as File: pass\n",
    "star.py": "from symbench_test_plain import *\n",
    "lazy.py": "def __getattr__(name):\n    if name == 'Whole': return int\n    raise AttributeError(name)\n",
    "broken.py": "class Whole(:\n",
    "raising.py": "class Whole: pass\nraise SystemExit('bye')\n",
    "abstract.py": "from abc import ABC, abstractmethod\n"
    "class Whole(ABC):\n    @abstractmethod\n    def loss(self): ...\n",
    "number.py": "Whole = 3\n",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in SOURCES.items():
        (tmp_path / f"symbench_test_{name}").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_references_are_followed_without_an_import(modules: None) -> None:
    for name in ("Json", "Pi", "Inner", "Other", "Whole", "File"):
        assert reference_fault(f"symbench_test_plain:{name}") is None
    assert reference_fault("symbench_test_plain:hidden") is not None
    misspelt = reference_fault("symbench_test_plain:Whol")
    assert misspelt == "the module symbench_test_plain has no Whol: did you mean 'Whole'?"
    assert reference_fault("symbench_test_raising:Whole") is None
    assert "symbench_test_plain" not in sys.modules
    assert "cannot be read (SyntaxError" in str(reference_fault("symbench_test_broken:Whole"))


def test_what_the_source_does_not_say_is_imported(modules: None) -> None:
    assert reference_fault("symbench_test_star:Whole") is None
    assert reference_fault("symbench_test_lazy:Whole") is None
    assert "has no Nothing" in str(reference_fault("symbench_test_star:Nothing"))
    assert "has no Nothing" in str(reference_fault("symbench_test_lazy:Nothing"))


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("raising", "cannot be imported (SystemExit: bye)"),
        ("abstract", "symbench_test_abstract:Whole lacks loss"),
        ("number", "symbench_test_number:Whole cannot be called"),
        ("broken", "cannot be imported (SyntaxError"),
        ("missing", "cannot be imported (No module named 'symbench_test_missing')"),
        ("star", None),
    ],
)
def test_what_cannot_be_called_says_so(modules: None, module: str, says: str | None) -> None:
    found = unusable(f"symbench_test_{module}:Whole")
    assert found == says or (says is not None and found is not None and says in found)


def test_an_implementation_has_a_module() -> None:
    for given in ("tasks.nbody:NBody", NBody, NBody.loss, partial(NBody)):
        assert module_of(given) == ("functools" if isinstance(given, partial) else "tasks.nbody")
