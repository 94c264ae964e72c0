"""Which module imports which: no cycles, and only from a floor to those below it.

All import statements count: those at the top of a module, those in functions and those for types alone
(``TYPE_CHECKING``), since a module that names a type of another one depends on it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("harness", "baselines", "tasks")
HEAVY = {"ray", "mlflow", "polars", "plotly", "pydantic", "typer", "rich"}
FLOORS = re.compile(r"^```text floors\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def files() -> dict[str, Path]:
    """Every module of the three packages by its dotted name."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.relative_to(ROOT)} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """The module of ours in which a dotted name is found."""
    return name if name in files() else module_of(name.rpartition(".")[0]) if "." in name else None


@cache
def graph() -> nx.DiGraph:
    """An edge from each module to each module that it imports."""
    edges = ((module, module_of(name)) for module, path in files().items() for name in imported(path))
    made = nx.DiGraph()
    made.add_nodes_from(files())
    made.add_edges_from((module, other) for module, other in edges if other not in (None, module))
    return made


@cache
def floors() -> dict[str, int]:
    """The number of the floor of each package and module in ARCHITECTURE.md's list, counted from the bottom."""
    blocks = FLOORS.findall((ROOT / "ARCHITECTURE.md").read_text())
    assert len(blocks) == 1, "ARCHITECTURE.md should have one block ```text floors"
    lines = [line.partition("#")[0].split() for line in blocks[0].splitlines()]
    listed = [(name, number) for number, names in enumerate(lines) for name in names]
    assert len(dict(listed)) == len(listed), "a name is listed twice"
    return dict(listed)


def entry_of(module: str) -> str:
    """The most specific entry of the list that covers a module."""
    entry = module
    while entry not in floors():
        entry, _, last = entry.rpartition(".")
        assert last and entry, f"{module} is on no floor of ARCHITECTURE.md"
    return entry


def cycles(graph: nx.DiGraph) -> list[str]:
    """One cycle, written out, of each group of nodes that reach each other."""
    tangled = [nodes for nodes in nx.strongly_connected_components(graph) if len(nodes) > 1]
    found = [[edge[0] for edge in nx.find_cycle(graph.subgraph(nodes))] for nodes in tangled]
    return [" -> ".join([*nodes, nodes[0]]) for nodes in found]


def test_no_modules_import_each_other() -> None:
    assert cycles(graph()) == []


def test_imports_only_go_down() -> None:
    wrong = []
    for module, other in graph().edges:
        above, below = entry_of(module), entry_of(other)
        if floors()[above] < floors()[below]:
            wrong.append(f"{module} (floor {above}) imports {other} (floor {below})")
    assert not wrong, "\n".join(wrong)


def test_no_entries_of_a_floor_import_each_other() -> None:
    """Neither do packages as a whole, unless the list puts their modules on several floors."""
    entries = nx.DiGraph((entry_of(module), entry_of(other)) for module, other in graph().edges)
    entries.remove_edges_from(list(nx.selfloop_edges(entries)))
    assert cycles(entries) == []


def test_every_floor_is_in_use() -> None:
    assert sorted(floors().keys() - set(map(entry_of, files()))) == []


def test_no_section_of_the_report_imports_another() -> None:
    sections = "harness.report.sections."
    wrong = [f"{one} -> {other}" for one, other in graph().edges if one.startswith(sections) and sections in other]
    assert wrong == []


def test_searches_are_imported_by_the_command_line_only() -> None:
    users = {one.split(".")[1] for one, other in graph().edges if other.startswith("harness.search")}
    assert users <= {"search", "cli"}


def test_tasks_baselines_and_training_run_without_the_heavy_packages() -> None:
    """They need torch and PyG, and no Ray, MLflow, Polars or command line."""
    for module, path in files().items():
        if module.startswith(("tasks", "baselines", "harness.training")):
            names = {name.partition(".")[0] for name in imported(path)}
            assert not names & HEAVY, f"{module} imports {names & HEAVY}"


def test_every_section_of_the_report_is_on_the_page() -> None:
    sections = {module for module in files() if module.startswith("harness.report.sections.")}
    assert sections <= set(graph().successors("harness.report.report"))


def test_imports_in_functions_and_for_types_are_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "if TYPE_CHECKING:\n    from harness.spec import Job\n"
        "def f():\n    from harness.report.sections import costs\n    import harness.report.report\n"
    )
    modules = [module_of(name) for name in imported(module)]
    assert sorted(map(str, modules)) == ["harness.report.report", "harness.report.sections.costs", "harness.spec"]


def test_a_cycle_is_found_and_named() -> None:
    graph = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    assert cycles(graph) in (["a -> b -> c -> a"], ["b -> c -> a -> b"], ["c -> a -> b -> c"])
    assert cycles(nx.DiGraph([("a", "b"), ("a", "c"), ("b", "c")])) == []
