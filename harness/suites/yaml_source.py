"""Reads YAML 1.2 (its core schema) with limits on size and depth, and keeps the node of every value (no files).

PyYAML parses the text. Its rules from YAML 1.1 for numbers, booleans, null and tags are replaced.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

MOST_BYTES = 1 << 20
MOST_DEPTH = 50
MOST_VALUES = 200_000
MOST_DIGITS = 100
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
"""Finite decimal numbers of YAML 1.2."""

TAG = "tag:yaml.org,2002:"
WORDS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        rf"{NUMBER.pattern}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),  # from YAML 1.1 and widely used: merges one mapping into another
}
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Unusable(ValueError):
    """A text that cannot be used: the reason as a clause, and its line (0 if it is not in one line)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(" ".join(reason.split()))
        self.line = line


class NotYaml(Unusable):
    """The text is not valid YAML."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(f"this is no YAML: {reason}", line)


def _scalar(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """The value of a null, boolean or number, with or without an explicit tag."""
    assert isinstance(node, yaml.ScalarNode)
    name, text = node.tag.removeprefix(TAG), node.value
    if not re.fullmatch(WORDS[name][0], text):
        raise Unusable(f"this is no {name}: {text[:MOST_DIGITS]!r}", _line(node))
    if len(text) > MOST_DIGITS and name in ("int", "float"):
        raise Unusable(f"a number has {len(text)} digits: {MOST_DIGITS} are the most", _line(node))
    match name:
        case "int":
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        case "float":
            return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        case _:
            return text.lower() == "true" if name == "bool" else None


class _Loader(yaml.SafeLoader):
    """The core schema only. Raises :class:`Unusable` for deep nesting, before Python's recursion limit is reached."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (so declared by PyYAML)
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        **{TAG + name: _scalar for name in ("null", "bool", "int", "float")},
        **{TAG + name: yaml.SafeLoader.construct_yaml_str for name in ("str", "merge")},
        TAG + "seq": yaml.SafeLoader.construct_yaml_seq,
        TAG + "map": yaml.SafeLoader.construct_yaml_map,
        None: yaml.SafeLoader.construct_undefined,
    }
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise Unusable(f"values are nested more than {MOST_DEPTH} deep", self.peek_event().start_mark.line + 1)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes every text that the loader would read as something else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (so declared by PyYAML)


for _name, (_pattern, _first) in WORDS.items():
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


def parse(text: str) -> tuple[Any, yaml.Node | None]:
    """The value of one YAML document and its node (``None`` for an empty text). Raises :class:`Unusable`."""
    if len(text) > MOST_BYTES:
        raise Unusable(f"it has {len(text):,} characters, and {MOST_BYTES:,} are the most")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        _Check().visit(node)
        return _unshared(loader.construct_document(node)), node
    except yaml.MarkedYAMLError as error:
        raise _located(error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYaml(f"the character U+{ord(text[error.position]):04X} is not allowed", line) from error
    except Unusable:
        raise
    except (ValueError, OverflowError) as error:  # raised by PyYAML for an escape such as "\Uffffffff"
        raise NotYaml("it holds an escape or a version out of range") from error


def _unshared(value: Any) -> Any:
    """A deep copy, so that values that an alias shares can be changed separately."""
    if isinstance(value, dict):
        return {key: _unshared(inside) for key, inside in value.items()}
    return [_unshared(inside) for inside in value] if isinstance(value, list) else value


def dump(value: Any) -> str:
    """A text that :func:`parse` reads as ``value``; the order of keys is kept."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _located(error: yaml.MarkedYAMLError) -> NotYaml:
    mark = error.problem_mark or error.context_mark
    began = ""
    if error.context and error.context_mark:
        began = f" ({error.context} that began in line {error.context_mark.line + 1})"
    return NotYaml(f"{error.problem or error.context}{began}", mark.line + 1 if mark else 0)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


class _Check:
    """Rejects duplicate keys, values that contain themselves, and aliases that expand to too many values."""

    def __init__(self) -> None:
        self._sizes: dict[int, tuple[int, int]] = {}

    def visit(self, node: yaml.Node, around: tuple[int, ...] = ()) -> tuple[int, int]:
        """The number of values of a node with its aliases expanded, and how deep they are nested."""
        if id(node) in around:
            raise Unusable("this value contains itself", _line(node))
        if id(node) not in self._sizes:
            self._sizes[id(node)] = self._measured(node, (*around, id(node)))
        values, height = self._sizes[id(node)]
        if values > MOST_VALUES:
            raise Unusable(f"with its aliases written out this holds more than {MOST_VALUES:,} values", _line(node))
        if len(around) + height > MOST_DEPTH:
            raise Unusable(f"values are nested more than {MOST_DEPTH} deep", _line(node))
        return values, height

    def _measured(self, node: yaml.Node, around: tuple[int, ...]) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            if found := UNPRINTABLE.search(node.value):
                raise Unusable(f"a text holds the character U+{ord(found[0]):04X}: leave it out", _line(node))
            return 1, 1
        if isinstance(node, yaml.MappingNode):
            self._check_keys(node)
        inside = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else node.value
        sizes = [self.visit(value, around) for value in inside]
        return 1 + sum(values for values, _ in sizes), 1 + max((height for _, height in sizes), default=0)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in (TAG + "str", TAG + "merge") or not isinstance(key, yaml.ScalarNode):
                given = f", not {key.value}" if isinstance(key, yaml.ScalarNode) else ""
                raise Unusable(f"a key should be a text{given[:MOST_DIGITS]}", _line(key))
            self._measured(key, ())
            if key.value in seen:
                raise Unusable(f"'{key.value}' is given twice", _line(key))
            seen.add(key.value)
