"""A suite's text: YAML with the line of every key, and ``--set`` on top of it (no models, no names)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.errors import SymbenchError

Loc = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which ``1e-3`` is a number, as YAML 1.2 and everybody expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class SuiteFile:
    """The values of a suite file after ``--set``, and where each of them was written."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self.path = path
        self._lines: dict[Loc, int] = {}
        self._overrides: dict[Loc, str] = {}
        self.data = self._read()
        for override in overrides:
            self._set(override)

    def where(self, loc: Loc) -> str:
        """The file and line, or the ``--set``, that gave the value at ``loc`` or the nearest one around it."""
        known = self._known(loc)
        if known in self._overrides:
            return f"--set {self._overrides[known]}"
        return f"{self.path}, line {self._lines[known]}" if known else str(self.path)

    def line(self, loc: Loc) -> int:
        """The line of the value at ``loc``, 0 where a ``--set`` gave it or the file as a whole is meant."""
        return self._lines.get(self._known(loc), 0)

    def _known(self, loc: Loc) -> Loc:
        lengths = range(len(loc), 0, -1)
        return next((loc[:n] for n in lengths if loc[:n] in self._overrides or loc[:n] in self._lines), ())

    def _read(self) -> dict[str, Any]:
        try:
            loader = _Loader(self.path.read_text(encoding="utf-8"))
            node = loader.get_single_node()
            if not isinstance(node, yaml.MappingNode):
                raise SymbenchError(f"{self.path}: a suite is a mapping with 'protocol' and 'experiments', not this.")
            self._refuse_twice(node, ())
            data = loader.construct_document(node)
        except OSError as error:
            raise SymbenchError(f"{self.path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise SymbenchError(f"{self.path} is no UTF-8 text (byte {error.start}): save it as UTF-8.") from error
        except yaml.MarkedYAMLError as error:
            raise SymbenchError(self._no_yaml(error)) from error
        except yaml.YAMLError as error:
            raise SymbenchError(f"{self.path}: this is no YAML: {' '.join(str(error).split())}.") from error
        self._lines = {loc: line for loc, line in _lines(node, ())}
        return data

    def _no_yaml(self, error: yaml.MarkedYAMLError) -> str:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        began = ""
        if error.context and error.context_mark:
            began = f" ({error.context} that began in line {error.context_mark.line + 1})"
        return f"{self.path}{line}: this is no YAML: {error.problem or error.context}{began}."

    def _refuse_twice(self, node: yaml.Node, around: tuple[int, ...]) -> None:
        """YAML lets the last of two equal keys win, and lets a list hold itself: neither is ever meant."""
        line = node.start_mark.line + 1
        if id(node) in around:
            raise SymbenchError(f"{self.path}, line {line}: this value contains itself.")
        inside = (*around, id(node))
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise SymbenchError(f"{self.path}, line {key.start_mark.line + 1}: '{key.value}' is given twice.")
                seen.add(str(key.value))
                self._refuse_twice(value, inside)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self._refuse_twice(value, inside)

    def _set(self, override: str) -> None:
        name, value = parsed(override)
        loc = self._place(name, value, override)
        for known in [*self._lines]:
            if known[: len(loc)] == loc:
                del self._lines[known]
        self._overrides[loc] = override

    def _place(self, name: str, value: Any, override: str) -> Loc:
        """Put ``value`` where the dotted ``name`` points, and give that place. Keys of a grid or a space hold dots."""
        inside: Any = self.data
        loc: Loc = ()
        rest = name
        while rest:
            head, _, tail = (rest, "", "") if loc[-1:] in (("grid",), ("space",)) else rest.partition(".")
            key: str | int = head
            if isinstance(inside, list):
                if not head.isdecimal() or int(head) >= len(inside):
                    size = f"is a list of {len(inside)}, counted from 0"
                    raise SymbenchError(f"--set {override}: '{'.'.join(map(str, loc))}' {size}.")
                key = int(head)
            elif not isinstance(inside, dict):
                raise SymbenchError(f"--set {override}: '{'.'.join(map(str, loc))}' has nothing inside to set.")
            elif inside.get(head) is None and tail:
                inside[head] = {}
            loc = (*loc, key)
            if not tail:
                inside[key] = value
            inside, rest = inside[key], tail
        return loc


def parsed(override: str) -> tuple[str, Any]:
    """The key and the value of ``key=value``, the latter read as YAML."""
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise SymbenchError(f"--set {override}: write it as --set key=value, for example --set seeds=1.")
    try:
        return name.strip(), yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise SymbenchError(f"--set {override}: the value is no YAML.") from error


def _lines(node: yaml.Node, loc: Loc) -> Iterator[tuple[Loc, int]]:
    """The line of every value; a mapping's value is where its key stands."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inside = (*loc, str(key.value))
            yield from _lines(value, inside)
            yield inside, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*loc, index), value.start_mark.line + 1
            yield from _lines(value, (*loc, index))
