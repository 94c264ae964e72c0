"""Checks implementations of cards: callables, and references ``module:name`` to them (no torch).

A reference is checked from the source of its module if possible, and else by importing it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from typing import Any

from harness.plugins.card_functions import error_summary
from harness.utils.text import nearest
from tasks.cards import Implementation

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def reference_fault(reference: Any) -> str | None:
    """Returns why ``reference`` does not exist or cannot be called, as a clause, or None if no error is found.

    The parent packages are imported; the module itself only if its source does not show all of its names.
    """
    if callable(reference):
        return unusable(reference)
    if not isinstance(reference, str) or not REFERENCE.fullmatch(reference):
        return "should be a class, a function or a text like 'package.module:Class'"
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


def module_of(implementation: Implementation) -> str:
    """The module of an implementation."""
    if isinstance(implementation, str):
        return implementation.partition(":")[0]
    return str(getattr(implementation, "__module__", None) or type(implementation).__module__)


def unusable(implementation: Implementation) -> str | None:
    """Returns why an implementation cannot be called, as a clause, or None if it can. Imports a reference."""
    if not isinstance(implementation, str):
        return _abstract(implementation, getattr(implementation, "__name__", "it"))
    module, _, name = implementation.partition(":")
    loaded, why = _attempt(lambda: importlib.import_module(module))
    if why:
        return f"the module {module} cannot be imported ({why})"
    if not hasattr(loaded, name):
        return f"the module {module} has no {name}: {nearest(name, vars(loaded))}"
    found = getattr(loaded, name)
    if not callable(found):
        return f"{implementation} cannot be called"
    return _abstract(found, implementation)


def _abstract(found: Any, name: str) -> str | None:
    """Returns which methods a class lacks, as a clause, or None if it is not abstract."""
    return f"{name} lacks {', '.join(sorted(found.__abstractmethods__))}" if inspect.isabstract(found) else None


def _attempt(what: Callable[[], Any]) -> tuple[Any, str | None]:
    """The result of ``what`` and None, or None and the reason of the error."""
    try:
        return what(), None
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        return None, str(error)
    except BaseException as error:  # an import may raise any error, also SystemExit
        return None, error_summary(error)


def _names(spec: ModuleSpec) -> frozenset[str] | None:
    """The names at the top level of a module; None if there is no source or it does not show all of them."""
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
    """Returns True for calls that may bind names that are not in the source."""
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("globals", "vars", "exec", "setattr")
