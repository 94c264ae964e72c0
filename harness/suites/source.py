"""The text of a suite: its YAML with the line of every key, changed by ``--set`` (no models, no names)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.errors import SuiteError
from harness.suites.yaml_source import NotYaml, Unusable, parse
from harness.utils.text import shortened

Loc = tuple[str | int, ...]


class SuiteFile:
    """The values of a suite file after ``--set``, and the place of each of them."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self.path = path
        self._lines: dict[Loc, int] = {}
        self._overrides: dict[Loc, str] = {}
        self.data = self._read()
        for override in overrides:
            self._set(override)

    def where(self, loc: Loc) -> str:
        """The file and line, or the ``--set``, of the value at ``loc`` or else of the closest mapping around it."""
        known = self._known(loc)
        if known in self._overrides:
            return shown(self._overrides[known])
        return f"{self.path}, line {self._lines[known]}" if known else str(self.path)

    def line(self, loc: Loc) -> int:
        """The line of the value at ``loc``; 0 if it comes from ``--set`` or ``loc`` is the whole file."""
        return self._lines.get(self._known(loc), 0)

    def settings(self, loc: Loc) -> Iterator[tuple[str, str]]:
        """The section and name of every setting in the sections of the mapping at ``loc``."""
        inside: Any = self.data
        for key in loc:
            inside = inside[key]
        for section, values in inside.items():
            yield from ((section, name) for name in (values if isinstance(values, dict) else ()))

    def _known(self, loc: Loc) -> Loc:
        lengths = range(len(loc), 0, -1)
        return next((loc[:n] for n in lengths if loc[:n] in self._overrides or loc[:n] in self._lines), ())

    def _read(self) -> dict[str, Any]:
        try:
            data, node = parse(self.path.read_bytes().decode("utf-8"))
        except OSError as error:
            raise SuiteError(f"{self.path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise SuiteError(f"{self.path} is not UTF-8 text (byte {error.start}): save it as UTF-8.") from error
        except Unusable as error:
            line = f", line {error.line}" if error.line else ""
            raise SuiteError(f"{self.path}{line}: {error}.") from error
        if node is None or not isinstance(data, dict):
            raise SuiteError(f"{self.path}: a suite is a mapping with 'protocol' and 'experiments', not this.")
        self._lines = {loc: line for loc, line in _lines(node, ())}
        return data

    def _set(self, override: str) -> None:
        name, value = parsed(override)
        loc = self._place(name, value, override)
        for known in [*self._lines]:
            if known[: len(loc)] == loc:
                del self._lines[known]
        self._overrides[loc] = override

    def _place(self, name: str, value: Any, override: str) -> Loc:
        """Sets ``value`` at the dotted ``name`` and returns its place. Keys of a grid or a space contain dots."""
        inside: Any = self.data
        loc: Loc = ()
        rest = name
        while rest:
            head, _, tail = (rest, "", "") if loc[-1:] in (("grid",), ("space",)) else rest.partition(".")
            key: str | int = head
            if isinstance(inside, list):
                if head not in map(str, range(len(inside))):
                    size = f"is a list of {len(inside)}, counted from 0"
                    raise SuiteError(f"{shown(override)}: '{'.'.join(map(str, loc))}' {size}.")
                key = int(head)
            elif not isinstance(inside, dict):
                raise SuiteError(f"{shown(override)}: '{'.'.join(map(str, loc))}' has nothing inside to set.")
            elif inside.get(head) is None and tail:
                inside[head] = {}
            loc = (*loc, key)
            if not tail:
                inside[key] = value
            inside, rest = inside[key], tail
        return loc


def parsed(override: str) -> tuple[str, Any]:
    """The key and the value of ``key=value``; the value is read as YAML."""
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise SuiteError(f"{shown(override)}: write it as --set key=value, for example --set seeds=1.")
    try:
        return name.strip(), parse(text)[0]
    except NotYaml as error:
        raise SuiteError(f"{shown(override)}: the value is not YAML.") from error
    except Unusable as error:
        raise SuiteError(f"{shown(override)}: {error}.") from error


def shown(override: str) -> str:
    """A ``--set`` as text for messages."""
    return f"--set {shortened(override)}"


def _lines(node: yaml.Node, loc: Loc) -> Iterator[tuple[Loc, int]]:
    """The line of every value; for a value in a mapping, the line of its key."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inside = (*loc, str(key.value))
            yield from _lines(value, inside)
            yield inside, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*loc, index), value.start_mark.line + 1
            yield from _lines(value, (*loc, index))
