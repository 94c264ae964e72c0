"""The cards of a plug-in that is a single Python file (no torch).

The file is imported from what was read of it, under a module name made from its name and its content. Another process
that is sent the :class:`PluginFile` imports the same code without the file, and finds its classes under the same names.
The folder of the file is not searched for imports, so that nothing else has to be sent.

Every card at the top level of the file is registered, unless it is imported or part of a :class:`MethodCard` of the
file. A :class:`BaseCard` is a base model to be symmetrized; ``MethodCard(base=...)`` without a sampler is a network
that is equivariant by construction. The ``implementation`` of a card may name the file as ``file:Class``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.abc import ExecutionLoader
from importlib.util import decode_source, module_from_spec, spec_from_loader
from pathlib import Path, PurePath
from types import ModuleType
from typing import TypeVar

from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness.errors import PluginError
from harness.plugins.card_functions import error_summary
from harness.plugins.card_mistakes import card_mistake
from harness.plugins.plugin import Card
from harness.plugins.plugin_file import PluginFile
from tasks.cards import TaskCard

CARDS = (TaskCard, BaseCard, SamplerCard, MethodCard)
P = TypeVar("P", bound=TaskCard | BaseCard | SamplerCard)


def cards_of(file: PluginFile) -> Mapping[str, Card]:
    """Imports a file, unless this process has, and returns the cards that it registers by the names of its variables.

    Raises:
        PluginError: It cannot be imported, or has no card.
    """
    module = _imported(file)
    elsewhere = _cards_elsewhere(module)
    own: dict[int, tuple[str, Card]] = {}  # a card with two names counts once
    for name, value in vars(module).items():
        if issubclass(type(value), CARDS) and id(value) not in elsewhere:
            own.setdefault(id(value), (name, value))
    methods = [card for _, card in own.values() if isinstance(card, MethodCard)]
    parts = {id(part) for card in methods for part in (card.base, card.sampler)}
    found = {name: _with_own_module(card, file) for key, (name, card) in own.items() if key not in parts}
    if not found:
        what = "it has no TaskCard, BaseCard, SamplerCard or MethodCard at its top level, so it registers nothing"
        raise _unusable(file, what)
    return found


def _unusable(file: PluginFile, clause: str) -> PluginError:
    return PluginError(f"The plug-in file {file.path} cannot be used: {clause}.")


class _FromMemory(ExecutionLoader):
    """Imports a file from what was read of it; tracebacks and ``inspect`` show its lines."""

    def __init__(self, file: PluginFile) -> None:
        self._file = file

    def get_filename(self, fullname: str) -> str:
        return self._file.path

    def get_source(self, fullname: str) -> str:
        return decode_source(self._file.content)


def _imported(file: PluginFile) -> ModuleType:
    if file.module in sys.modules:
        return sys.modules[file.module]
    spec = spec_from_loader(file.module, loader := _FromMemory(file))
    assert spec is not None, "there is a loader"
    module = sys.modules[file.module] = module_from_spec(spec)
    try:
        loader.exec_module(module)
    except BaseException as error:  # an import may raise any error, also SystemExit
        del sys.modules[file.module]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _unusable(file, _why_not_imported(error, file)) from error
    return module


def _why_not_imported(error: BaseException, file: PluginFile) -> str:
    line, summary = _line(error, file), card_mistake(error) or error_summary(error)
    if isinstance(error, SyntaxError) and error.filename == file.path:
        line, summary = error.lineno, f"{type(error).__name__}: {error.msg}"
    root = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    beside = PurePath(file.path).parent
    if root and any(Path(beside, name).exists() for name in (f"{root}.py", root)):
        return f"line {line} imports {root}, which is beside it and not installed: put all code into the one file"
    return f"it cannot be imported ({f'line {line}: ' if line else ''}{summary})"


def _line(error: BaseException, file: PluginFile) -> int | None:
    """The line of the file at which an error was raised."""
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == file.path:
            line = step.tb_lineno
        step = step.tb_next
    return line


def _cards_elsewhere(module: ModuleType) -> set[int]:
    """The ids of the cards at the top level of all other modules, from which a module can only have imported them."""
    others = [vars(other) for other in [*sys.modules.values()] if isinstance(other, ModuleType) and other is not module]
    values = (value for names in others for value in [*names.values()])
    return {id(value) for value in values if issubclass(type(value), CARDS)}  # isinstance may run code of the value


def _with_own_module(card: Card, file: PluginFile) -> Card:
    """The card with the name of the file's module in place of ``file`` in ``file:Class``."""
    if not isinstance(card, MethodCard):
        return _own_part(card, file)
    sampler = card.sampler and _own_part(card.sampler, file)
    return replace(card, base=_own_part(card.base, file), sampler=sampler)


def _own_part(card: P, file: PluginFile) -> P:
    written: object = card.implementation
    stem, colon, name = written.partition(":") if isinstance(written, str) else ("", "", "")
    if not colon or stem != PurePath(file.path).stem:
        return card
    return replace(card, implementation=f"{file.module}:{name}")
