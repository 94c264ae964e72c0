"""What the shell offers when Tab is pressed: names of tasks, methods, suites, searches and settings (no torch)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import wraps
from typing import Any

import typer

VARIABLE = "_SYMBENCH_COMPLETE"
"""The environment variable that the shell sets when it asks for names."""

Offer = Callable[[typer.Context, str], list[str]]


def asked() -> bool:
    """Whether this process is one that the shell started to ask for names."""
    return VARIABLE in os.environ


def _offer(names: Callable[[typer.Context], Iterable[str]]) -> Offer:
    """Makes the function that Typer calls. It returns no name in place of an error, and logs nothing."""

    @wraps(names)
    def offer(context: typer.Context, incomplete: str) -> list[str]:
        logging.disable(logging.CRITICAL)
        try:
            return sorted({name for name in names(context) if name.startswith(incomplete)})
        except Exception:  # a plug-in or a file may raise any error, and the user is typing
            return []
        finally:
            logging.disable(logging.NOTSET)

    offer.__annotations__ = {"context": typer.Context, "incomplete": str}
    del offer.__wrapped__  # Typer reads the signature
    return offer


@_offer
def tasks(context: typer.Context) -> Iterable[str]:
    """The registered tasks."""
    from harness import registry

    return registry.tasks()


@_offer
def methods(context: typer.Context) -> Iterable[str]:
    """The registered methods; with ``--task`` those that fit it."""
    from harness import registry

    chosen = str(context.params.get("task"))
    if chosen not in registry.tasks():
        return registry.methods()
    task = registry.task(chosen)
    params = registry.resolved_task(task, {})
    return [name for name, method in registry.methods().items() if method.misfit(task, params) is None]


@_offer
def tasks_and_methods(context: typer.Context) -> Iterable[str]:
    """The registered tasks and methods."""
    from harness import registry

    return [*registry.tasks(), *registry.methods()]


@_offer
def suites(context: typer.Context) -> Iterable[str]:
    """The bundled suites; the shell itself completes files."""
    from harness.suites.loading import FOLDER

    return [file.stem for file in FOLDER.glob("*.yaml")]


@_offer
def searches(context: typer.Context) -> Iterable[str]:
    """The bundled searches."""
    from harness.search.loading import FOLDER

    return [file.stem for file in FOLDER.glob("*.yaml")]


@_offer
def tables(context: typer.Context) -> Iterable[str]:
    """The tables of a store."""
    from harness.collate.columns import ROWS

    return ROWS


@_offer
def filters(context: typer.Context) -> Iterator[str]:
    """The filters of ``--only`` for one task or one method."""
    from harness import registry

    yield from (f"task={name}" for name in registry.tasks())
    yield from (f"method={name}" for name in registry.methods())


@_offer
def settings(context: typer.Context) -> Iterator[str]:
    """The keys of ``--set``: of the method and task of the command if it names them, else all."""
    from harness import registry
    from harness.spec import Resources
    from tasks.protocol import Protocol

    named = {context.params.get("task"), context.params.get("target"), *context.args}  # args: before an option's value
    every_task, every_method = registry.tasks().values(), registry.methods().values()
    tasks = [card for card in every_task if card.name in named] or every_task
    methods = [card for card in every_method if card.name in named] or every_method
    sections: dict[str, list[Any]] = {
        "task_params": [task.settings for task in tasks],
        "base": [method.base.settings for method in methods],
        "sampler": [method.sampler.settings for method in methods if method.sampler],
        "settings": [Protocol],
    }
    if context.command.name != "check":
        sections["resources"] = [Resources]
        yield from ("protocol=", "seeds=")
    for section, kinds in sections.items():
        yield from (f"{section}.{item.name}=" for kind in dict.fromkeys(kinds) for item in fields(kind))
