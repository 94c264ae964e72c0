"""Makes the pages of the reference and those of files at the top of the checkout, for MkDocs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import symbench
from harness import registry
from harness.cli import app
from harness.settings_reference import Entry, entries
from tasks.protocol import Protocol
from tasks.settings import settings_of

ROOT = Path(__file__).resolve().parents[2]
TOP = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)#\s]*)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are no files of ``docs``."""
    pages: dict[str, str] = {name: (ROOT / name).read_text() for name in TOP}
    pages |= {f"reference/{name}.md": "\n".join(page()) + "\n" for name, page in PAGES.items()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Points links to pages of the site; a link to another file of the checkout becomes the name of the file."""
    source = ROOT if page.file.src_uri in TOP else ROOT / "docs"

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        path = (source / target).resolve()
        for folder in (ROOT / "docs", ROOT):
            name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ""
            if files.get_file_from_path(name):
                return f"[{text}]({name}{anchor})" if "/" not in page.file.src_uri else found[0]
        return f"`{path.relative_to(ROOT).as_posix()}`" if path.exists() else found[0]

    return LINK.sub(link, markdown)


def _python() -> Iterator[str]:
    """The public library, from its docstrings."""
    yield "# Python\n\nWhat `import symbench` gives."
    for name in symbench.__all__:
        value = getattr(symbench, name)
        if not isinstance(value, ModuleType):
            yield _documented(f"symbench.{name}", f"{value.__module__}.{value.__qualname__}", 2)
            continue
        yield f"\n## symbench.{name}\n\n{_first(value.__doc__)}"
        public = {inner: getattr(value, inner) for inner in value.__all__}
        for inner, one in public.items():
            if hasattr(one, "__qualname__"):
                yield _documented(f"symbench.{name}.{inner}", f"{one.__module__}.{one.__qualname__}", 3)
        if values := [f"`{inner}` ({one})" for inner, one in public.items() if not hasattr(one, "__qualname__")]:
            yield f"\nValues: {', '.join(values)}."


def _documented(title: str, place: str, level: int) -> str:
    options = {"heading_level": level, "heading": title, "toc_label": title}
    return f"\n::: {place}\n    options: {json.dumps(options)}\n"


def _commands() -> Iterator[str]:
    """Every command, from its help."""
    yield "# Commands\n\nOptions of all commands stand before the command: `symbench --plugin mine.py tasks`."
    root = typer.main.get_command(app)
    for name, command in sorted(root.commands.items()):
        yield from _command(f"symbench {name}", command)


def _command(path: str, command: Any) -> Iterator[str]:
    yield f"\n## {path}\n\n{_plain(command.help)}\n"
    rows = [(_usage(one), _plain(getattr(one, "help", ""))) for one in command.params if one.name != "help"]
    yield from _table(("argument or option", "meaning"), rows)
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _command(f"{path} {name}", inner)


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    value = "" if getattr(parameter, "is_flag", False) else f" {parameter.metavar or parameter.name.upper()}"
    return f"`{', '.join(parameter.opts)}{value}`"


def _tasks() -> Iterator[str]:
    """The settings of every task, from its card."""
    yield "# Settings of tasks\n\nA suite sets them under `task_params`."
    for name, card in registry.tasks().items():
        yield f"\n## {name}\n\n{card.title}. Symmetry: {card.group_name(card.params)}. Metric: `{card.metric}`.\n"
        yield from _settings(entry for entry in entries(name) if entry.section == "task_params")


def _methods() -> Iterator[str]:
    """The settings of every base model and sampler, from their cards."""
    yield "# Settings of methods\n\nA suite sets those of a base model under `base`, of a sampler under `sampler`."
    parts: Mapping[tuple[str, str], list[Entry]] = {}
    titles: dict[tuple[str, str], str] = {}
    for name, card in registry.methods().items():
        titles["base", card.base.name] = f"{card.base.title}. {card.base.source}"
        if card.sampler:
            titles["sampler", card.sampler.name] = f"{card.sampler.title}. {card.sampler.source}"
        for key in (("base", card.base.name), ("sampler", card.sampler.name if card.sampler else "")):
            parts = {**parts, key: [one for one in entries(name) if (one.section, one.owner) == key]}
    for (section, name), title in titles.items():
        yield f"\n## {name} ({'base model' if section == 'base' else 'sampler'})\n\n{title}.\n"
        yield from _settings(parts[section, name])


def _protocols() -> Iterator[str]:
    """The settings of training, from the class of protocols."""
    yield "# Settings of protocols\n\nA suite sets them under `settings`."
    yield "`symbench show TASK` prints the values of each protocol.\n"
    rows = [
        (f"`{one.name}`", _written(one.default), str(one.limit or "-"), one.meaning) for one in settings_of(Protocol)
    ]
    yield from _table(("name", "default", "accepted", "meaning"), rows)


def _settings(found: Iterable[Entry]) -> Iterator[str]:
    rows = [
        (f"`{one.setting.name}`", _written(one.setting.default), one.accepted or "-", one.setting.meaning or "-")
        for one in found
    ]
    yield from _table(("name", "default", "accepted", "meaning"), rows) if rows else iter(["It has no settings."])


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _written(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _plain(text: str | None) -> str:
    return " ".join((text or "").split()).replace("[", r"\[")


def _first(text: str | None) -> str:
    return (text or "").strip().partition("\n\n")[0]


PAGES: Mapping[str, Callable[[], Iterator[str]]] = {
    "python": _python,
    "commands": _commands,
    "tasks": _tasks,
    "methods": _methods,
    "protocols": _protocols,
}
"""The pages of the reference by their names."""
