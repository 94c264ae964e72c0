"""Writes the package of a plug-in from a template."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from baselines import catalogue as baselines
from harness import renames
from harness.errors import SettingsError
from tasks.catalogue import TASKS

NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of plug-in.

    Attributes:
        group: Its entry point group.
        module: The module of its code and its card.
        article: What it is, with an article.
        card_module: The module that describes the fields of its card.
        code_module: The module that describes the interface of its code.
        tasks: The tasks of its suite, in which ``$name`` is its name.
        methods: The methods of its suite.
    """

    group: str
    module: str
    article: str
    card_module: str
    code_module: str
    tasks: str
    methods: str


KINDS: Mapping[str, Kind] = {
    "task": Kind(
        group="symbench.tasks",
        module="task",
        article="a task",
        card_module="tasks.cards",
        code_module="tasks.task",
        tasks="$name",
        methods="mlp-none, mlp-ga, gin",
    ),
    "base": Kind(
        group="symbench.bases",
        module="network",
        article="a base model",
        card_module="baselines.cards",
        code_module="baselines.bases.base_model",
        tasks="teacher_graph_invariant",
        methods="$name-none, $name-ga, mlp-ga",
    ),
    "sampler": Kind(
        group="symbench.samplers",
        module="sampler",
        article="a sampler",
        card_module="baselines.cards",
        code_module="baselines.samplers.sampler",
        tasks="teacher_graph_invariant",
        methods="mlp-$name, mlp-ga",
    ),
    "network": Kind(
        group="symbench.equivariant",
        module="network",
        article="an equivariant network",
        card_module="baselines.cards",
        code_module="baselines.model",
        tasks="teacher_graph_invariant",
        methods="$name, gin",
    ),
}
"""The kinds by the word that the command takes."""


def write(kind: str, name: str, parent: Path) -> Path:
    """Writes the package ``name`` into a new folder of that name in ``parent`` and returns the folder.

    Args:
        kind: A key of :data:`KINDS`.
        name: The name of the folder and the distribution. With underscores in place of dashes it is that of the
            package and of the card.
        parent: A folder, which is made if it does not exist.

    Raises:
        SettingsError: The kind or the name cannot be used, or the folder exists; nothing is written then.
    """
    if kind not in KINDS:
        raise SettingsError(f"There is no template '{kind}': choose one of {', '.join(KINDS)}.")
    package = package_name(name)
    folder = parent / name
    if os.path.lexists(folder):
        raise SettingsError(f"{folder} exists: choose another name, or another --folder.")
    texts = rendered(kind, name, package)
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{name}-") as unfinished:
        whole = Path(unfinished) / name
        for path, text in texts.items():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_text(text)
        whole.rename(folder)
    return folder


def package_name(name: str) -> str:
    """The name of the package and the card.

    Raises:
        SettingsError: It cannot be used.
    """
    package = name.replace("-", "_")
    if not NAME.fullmatch(name) or keyword.iskeyword(package) or keyword.issoftkeyword(package):
        raise SettingsError(f"'{name}' cannot be a Python package: take letters, digits, _ and -, such as my_net.")
    tasks, bases = (card.name for card in TASKS), (card.name for card in (*baselines.BASES, *baselines.EQUIVARIANT))
    samplers = (card.name for card in baselines.SAMPLERS)
    if package in (*tasks, *bases, *samplers) or package in renames.SAMPLERS or package == "all":
        raise SettingsError(f"'{package}' is a name that symbench uses: choose another one.")
    if package == "tests" or importlib.util.find_spec(package) is not None:
        raise SettingsError(f"There is a Python package '{package}' already: choose another name.")
    return package


def rendered(kind: str, name: str, package: str) -> dict[str, str]:
    """The text of each file of the package by its path."""
    about = KINDS[kind]
    values = vars(about) | {
        "name": package,
        "distribution": name,
        "title": " ".join(package.split("_")).capitalize(),
        "Class": "".join(word[:1].upper() + word[1:] for word in package.split("_")),
        "article_capital": about.article.capitalize(),
        "tasks": about.tasks.replace("$name", package),
        "methods": about.methods.replace("$name", package),
    }
    paths = {
        "README.md": "README.md",
        "pyproject.toml": "pyproject.toml",
        "suite.yaml": "suite.yaml",
        f"{package}/__init__.py": "init.py",
        f"{package}/{about.module}.py": f"{about.module}.py",
        "tests/test_conformance.py": "test_conformance.py",
    }
    return {path: Template(_template(kind, file)).substitute(values) for path, file in paths.items()}


def _template(kind: str, file: str) -> str:
    """The template of a kind, or the one that all kinds share."""
    folder = files("harness.templates") / "files"
    own = folder / kind / f"{file}.template"
    return (own if own.is_file() else folder / "common" / f"{file}.template").read_text()
