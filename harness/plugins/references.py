"""Where ``module:name`` leads, found out without importing the module as far as its source tells (no torch)."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from typing import Any

from harness.plugins.card_functions import said
from harness.utils.text import nearest

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def misled(reference: Any) -> str | None:
    """Why ``reference`` leads nowhere, in one clause; ``None`` where it does not, as far as that can be seen.

    A module's parents are imported, and the module itself where its source does not say all of its names.
    """
    if not isinstance(reference, str) or not REFERENCE.fullmatch(reference):
        return "should be a text like 'package.module:Class'"
    module, _, name = reference.partition(":")
    spec, why = _attempt(lambda: importlib.util.find_spec(module))
    if spec is None:
        return f"there is no module {module}" + (f" ({why})" if why else "")
    known, why = _attempt(lambda: _names(spec))
    if why:
        return f"the module {module} cannot be read ({why})"
    if known is None:
        return unusable(reference)
    return None if name in known else f"the module {module} has no {name}: {nearest(name, known)}"


def unusable(reference: str) -> str | None:
    """Why what ``reference`` leads to cannot be called, in one clause; its module is imported."""
    module, _, name = reference.partition(":")
    loaded, why = _attempt(lambda: importlib.import_module(module))
    if why:
        return f"the module {module} cannot be imported ({why})"
    if not hasattr(loaded, name):
        return f"the module {module} has no {name}: {nearest(name, vars(loaded))}"
    found = getattr(loaded, name)
    if not callable(found):
        return f"{reference} cannot be called"
    if inspect.isabstract(found):
        return f"{reference} lacks {', '.join(sorted(found.__abstractmethods__))}"
    return None


def _attempt(what: Callable[[], Any]) -> tuple[Any, str | None]:
    """What it gives, or why it gives nothing."""
    try:
        return what(), None
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        return None, str(error)
    except BaseException as error:  # a module may raise anything while it is imported, SystemExit too
        return None, said(error)


def _names(spec: ModuleSpec) -> frozenset[str] | None:
    """What the source of a module binds at its top; ``None`` where there is no source, or it does not say all."""
    read = getattr(spec.loader, "get_source", None)
    source = read(spec.name) if read else None
    if source is None:
        return None
    names = list(_bound(ast.parse(source).body))
    return None if "*" in names or "__getattr__" in names else frozenset(names)


def _bound(statements: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, _SCOPES):
            yield statement.name
            continue
        for node in ast.walk(statement):
            if isinstance(node, _SCOPES):
                yield node.name
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.alias):
                yield node.asname or node.name.partition(".")[0]
            elif _is_dynamic(node):
                yield "*"


def _is_dynamic(node: ast.AST) -> bool:
    """Whether it may bind names that the source does not spell."""
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("globals", "vars", "exec", "setattr")
