"""The report is built in layers: rendering, content, sections and the page. A layer imports only what is below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPORT = Path(__file__).parents[3] / "harness" / "report"
PACKAGE = "harness.report"
LAYERS = ("rendering", "content", "sections", "report", "")
"""From the lowest to the highest; the empty name is the package itself."""
MODULES = sorted(REPORT.rglob("*.py"))


def name_of(path: Path) -> str:
    """``sections.costs`` for ``harness/report/sections/costs.py``; empty for the package itself."""
    parts = path.relative_to(REPORT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in MODULES}


def layer(name: str) -> int:
    return LAYERS.index(name.split(".")[0])


def imports(path: Path) -> Iterator[str]:
    """The modules of the report that a module imports anywhere in its code, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            if target == PACKAGE or target.startswith(f"{PACKAGE}."):
                yield longest_module(target.removeprefix(PACKAGE).removeprefix("."))


def longest_module(name: str) -> str:
    """``content.titles`` for ``content.titles.arrow``: the imported name without what is inside the module."""
    while name not in NAMES:
        name = name.rpartition(".")[0]
    return name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_its_own_layer_or_a_lower_one(path: Path) -> None:
    name = name_of(path)
    higher = [other for other in imports(path) if layer(other) > layer(name)]
    assert not higher, f"{name} imports {higher}"


@pytest.mark.parametrize("path", sorted((REPORT / "sections").glob("*.py")), ids=name_of)
def test_a_section_imports_no_other_section(path: Path) -> None:
    others = [other for other in imports(path) if other.startswith("sections")]
    assert not others, f"{name_of(path)} imports {others}"


def test_no_two_modules_import_each_other() -> None:
    graph = {name_of(path): {*imports(path)} for path in MODULES}
    finished: set[str] = set()

    def visit(name: str, chain: tuple[str, ...]) -> None:
        assert name not in chain, f"import cycle: {' > '.join((*chain, name))}"
        if name not in finished:
            for other in graph[name]:
                visit(other, (*chain, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


def test_imports_inside_functions_are_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from harness.report.sections import costs\n    import harness.report.report\n")
    assert [*imports(module)] == ["sections.costs", "report"]


def test_every_section_is_on_the_page() -> None:
    sections = {name for name in NAMES if name.startswith("sections.")}
    assert {*imports(REPORT / "report.py")} >= sections
