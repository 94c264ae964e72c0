"""What is installed, pinned and shipped."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tasks.extras import EXTRAS
from tests.hiding import HIDING, WITH_THE_CORE

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("harness", "baselines", "tasks")
USERS = {  # the modules that may import the packages of each extra
    "graphs": "tasks.sources",
    "report": "harness.report.rendering",
    "cluster": ("harness.execution", "harness.search", "harness.tracking", "harness.doctor"),
    "search": "harness.search",
    "vision": ("baselines.bases.vit", "tasks.sources"),
}
ONLY_WITH_AN_EXTRA = (  # the modules that import one at their top; a command asks for the extra before
    "harness.execution.dispatch",
    "harness.execution.worker",
    "harness.report.figures",
    "harness.report.rendering.vector",
    "harness.search.callbacks",
    "harness.search.distinct",
    "harness.search.strategy",
    "harness.search.trial",
    "tasks.shapes",
    "tasks.sources.point_clouds",
    "tasks.sources.shape_families",
)
CUDA = re.compile(r"(nvidia-(?!ml-py$)|cuda-|triton)")
FOLDERS = {".ci", "baselines", "docs", "harness", "ray_configs", "results", "tasks", "tests"}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split("\n")
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return listed.stdout.splitlines()


def stated(*extras: str) -> list[Requirement]:
    """The requirements of the core, or of extras without the core, with those of the extras that they include."""
    texts = [text for extra in extras for text in PROJECT["optional-dependencies"][extra]]
    found = []
    for requirement in map(Requirement, texts if extras else PROJECT["dependencies"]):
        found += stated(*sorted(requirement.extras)) if requirement.name == PROJECT["name"] else [requirement]
    return found


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def needed(requirements: list[Requirement]) -> dict[str, Requirement]:
    """The requirements, and those of what they require, but for the parts of CUDA that torch may bring."""
    found: dict[str, Requirement] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen or CUDA.match(name):
            continue
        seen.add((name, frozenset(requirement.extras)))
        found[name] = requirement
        for text in distribution(requirement.name).requires or []:
            inner = Requirement(text)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return found


def test_constraints_pin_all_that_is_installed_with_the_project() -> None:
    wanted = needed([*stated(), *stated("test")])
    assert sorted(wanted.keys() - pins().keys()) == []
    assert sorted(pins().keys() - wanted.keys()) == []


def test_every_pin_is_exact_plain_and_within_its_range() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line
    for requirement in [*stated(), *stated("test")]:
        version = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_the_extra_all_has_every_extra_that_is_for_users() -> None:
    extras = PROJECT["optional-dependencies"].keys() - {"all", "dev", "docs", "test"}
    assert extras == EXTRAS.keys()
    assert names(stated("all")) == {name for extra in extras for name in names(stated(extra))}
    assert names(stated("all")) <= names(stated("test")) == names(stated("dev"))


def test_no_requirement_is_stated_twice() -> None:
    core = names(stated())
    for extra in EXTRAS:
        own = [text for text in PROJECT["optional-dependencies"][extra] if not text.startswith("symbench[")]
        assert not core & names([Requirement(text) for text in own]), extra


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_code_knows_which_packages_an_extra_has(extra: str) -> None:
    """``tasks.extras`` names exactly what pyproject.toml states, and packages that come with it."""
    provided = packages_distributions()
    own = {package: {canonicalize_name(owner) for owner in provided[package]} for package in EXTRAS[extra]}
    brought = needed(stated(extra)).keys()
    assert [package for package, owners in own.items() if not owners & brought] == []
    included = {
        name
        for text in PROJECT["optional-dependencies"][extra]
        if text.startswith("symbench[")
        for name in names(stated(*sorted(Requirement(text).extras)))
    }
    assert names(stated(extra)) - included - set().union(*own.values()) == set()


def test_every_import_is_a_dependency_of_the_core_or_of_the_extra_that_the_module_is_for() -> None:
    provided, core = packages_distributions(), names(stated())
    extra_of = {package: extra for extra, packages in EXTRAS.items() for package in packages}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for name in imported(path) - set(sys.stdlib_module_names) - set(PACKAGES):
                owners = {canonicalize_name(owner) for owner in provided.get(name, [])}
                if name in extra_of:
                    assert module.startswith(USERS[extra_of[name]]), f"{module} imports {name}"
                else:
                    assert owners & core, f"{module} imports {name}, which pyproject.toml does not state"


def test_what_is_hidden_from_tests_is_what_the_core_does_not_bring() -> None:
    brought, provided = needed(stated()).keys(), packages_distributions()
    packages = {package for packages in EXTRAS.values() for package in packages}
    assert {one for one in packages if {canonicalize_name(owner) for owner in provided[one]} & brought} == {
        *WITH_THE_CORE
    }


def test_modules_of_the_core_are_imported_without_the_extras() -> None:
    program = f"""
import importlib, json
failed = {{}}
for module in {modules()!r}:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        failed[module] = error.name.partition(".")[0]
print(json.dumps(failed))
"""
    words = [sys.executable, "-c", HIDING + program]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    failed = json.loads(done.stdout)
    assert sorted(module for module in failed if not module.startswith(ONLY_WITH_AN_EXTRA)) == []
    assert set(failed.values()) <= {package for packages in EXTRAS.values() for package in packages}


def modules() -> list[str]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if not name.startswith("harness.public") and not name.endswith("__main__")]


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_no_folder_beyond_the_agreed_ones() -> None:
    folders = {name.partition("/")[0] for name in tracked() if "/" in name}
    assert folders - FOLDERS == set()


def test_the_version_and_the_python_versions_are_stated_once() -> None:
    """The code has no version of its own, and the classifiers are the versions that are accepted."""
    code = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert [path for path in code if "__version__ =" in path.read_text()] == []
    minors = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"3\.\d+$", line)]
    assert minors and all(minor in SpecifierSet(PROJECT["requires-python"]) for minor in minors)


def test_every_folder_with_code_is_a_package() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path.parent


def test_data_files_of_packages_are_shipped(tmp_path: Path) -> None:
    """An installed copy, not only a checkout, has every file that the code reads."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    declared["harness.public.symbench"] = declared.pop("symbench")  # where the checkout has it
    shipped = {
        path
        for package, patterns in declared.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    data = [ROOT / name for name in tracked() if name.startswith(tuple(f"{package}/" for package in PACKAGES))]
    assert [str(path) for path in data if path.suffix not in (".py", ".pyi") and path not in shipped] == []


def test_a_release_runs_from_any_folder(tmp_path: Path) -> None:
    """The wheel, made from the sdist, holds the bundled suites, the types and the licence, and plans a suite."""
    source, wheels, installed = tmp_path / "source", tmp_path / "wheels", tmp_path / "installed"
    for name in tracked():
        if name.partition("/")[0] in (*PACKAGES, "ray_configs") or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    sdist = [sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"]
    subprocess.run(sdist, check=True, cwd=source, capture_output=True)
    (archive,) = tmp_path.glob("symbench-*.tar.gz")
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(archive)]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True, cwd=tmp_path)
    assert [package for package in (*PACKAGES, "symbench") if not (installed / package / "py.typed").is_file()] == []
    assert not (installed / "symbench.py").exists() and not (installed / "harness" / "public").exists()
    assert list(installed.glob("symbench-*.dist-info/licenses/LICENSE"))
    command = [sys.executable, "-c", "import harness; from harness.cli import main; print(harness.__file__); main()"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [*command, "plan", "quick"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed)) and "174" in done.stdout
    library = [sys.executable, "-c", "import symbench.errors; print(symbench.errors.SymbenchError, symbench.__file__)"]
    done = subprocess.run(library, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["<class", "'tasks.errors.SymbenchError'>", f"{installed}/symbench/__init__.py"]


def test_a_checkout_that_is_not_installed_has_the_library() -> None:
    program = "import sys, symbench.errors, symbench; print(symbench.__file__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(ROOT / "harness/public/symbench/__init__.py"), "False"], done.stderr


def test_the_library_lists_what_it_has() -> None:
    import symbench

    assert [name for name in symbench.__all__ if not hasattr(symbench, name)] == []
    assert set(symbench.__all__) <= set(dir(symbench))


def test_type_checkers_find_what_the_library_gives() -> None:
    """Names that are imported on first use are imported for type checkers from the same place."""
    import symbench

    source = ast.parse((ROOT / "harness" / "public" / "symbench" / "__init__.py").read_text())
    block = next(node for node in source.body if isinstance(node, ast.If))
    found = {one.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for one in node.names}
    assert found == symbench._EXPORTS


def test_one_version_and_one_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_pre_commit_runs_the_first_checks_of_make_test() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ntest:")[2].partition("\n\n")[0]
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()[1:]]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = [hook["entry"] for hook in hooks]
    assert entries == commands[: len(entries)]
    assert all(command.startswith(".venv/bin/pytest") for command in commands[len(entries) :])
