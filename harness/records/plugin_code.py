"""The code of the plug-ins of this process: their names, versions and a digest of their source (no torch).

Only the plug-ins whose cards a run uses can change its outcome. The code of a package consists of the packages or
single modules that contain its entry points and the implementations of its cards, and of those that its
``top_level.txt`` names. It is found as an import finds it, so that an editable install, a folder on the path and an
installed copy are treated in the same way. The digest of a plug-in file is that of its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, all_suffixes
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from harness import registry
from harness.plugins.plugin import Plugin
from harness.plugins.references import module_of
from harness.spec import RunSpec

OURS = frozenset({"harness", "baselines", "tasks"})


@dataclass(frozen=True, order=True, kw_only=True)
class Root:
    """A package or a single module: its dotted name and its path."""

    module: str
    path: Path

    def files(self) -> Iterator[tuple[str, Path]]:
        """The files that Python can import, each with its path relative to the folder that imports are searched in."""
        name = self.module.replace(".", "/")
        if not self.path.is_dir():
            yield name + self.path.suffix, self.path
            return
        for path in sorted(self.path.rglob("*")):
            inside = path.relative_to(self.path)
            if path.is_file() and path.name.endswith(tuple(all_suffixes())) and "__pycache__" not in inside.parts:
                yield f"{name}/{inside.as_posix()}", path


@dataclass(frozen=True, kw_only=True)
class PluginCode:
    """The code of one package or file that registers cards. A file has no ``roots``."""

    distribution: str
    version: str
    digest: str
    roots: tuple[Root, ...]

    def same(self, version: object, digest: object) -> bool:
        """Returns True if this code has that version and digest."""
        return (self.version, self.digest) == (version, digest)


def plugin_code() -> Mapping[str, PluginCode]:
    """The code of all plug-ins by package, including those that are left out.

    The digest of a package is computed once for each process, which runs the code that it read when it started.
    """
    by_package: dict[tuple[str, str], list[Plugin]] = {}
    for plugin in registry.plugins():
        by_package.setdefault((plugin.distribution, plugin.version), []).append(plugin)
    of_files = {
        file.name: PluginCode(distribution=file.name, version=file.version, digest=file.digest, roots=())
        for file in registry.files()
    }
    return {
        name: of_files.get(name) or code_of(name, version, _modules(plugins))
        for (name, version), plugins in by_package.items()
    }


@cache
def code_of(name: str, version: str, modules: frozenset[str]) -> PluginCode:
    """The code of one package whose cards and implementations are in these modules."""
    roots = tuple(sorted(set(_roots(name, modules))))
    return PluginCode(distribution=name, version=version, digest=_digest(roots), roots=roots)


def used_by(specs: Iterable[RunSpec]) -> Mapping[str, PluginCode]:
    """The code of the packages whose cards these runs use."""
    owners = {plugin.distribution for plugin in registry.plugins_of(specs)}
    return {name: code for name, code in plugin_code().items() if name in owners}


def described(spec: RunSpec) -> dict[str, Any]:
    """The plug-ins for the record of a run, as plain JSON values; ``used`` marks those whose cards the run uses."""
    used = used_by([spec])
    return {
        name: {"version": code.version, "digest": code.digest, "used": name in used}
        for name, code in plugin_code().items()
    }


def others_of(spec: RunSpec, provenance: Mapping[str, Any]) -> list[str]:
    """The packages used by a run whose code differs from that in its record, or is missing there.

    Args:
        spec: The run.
        provenance: The provenance of its record.
    """
    recorded = provenance.get("plugins")
    recorded = recorded if isinstance(recorded, Mapping) else {}
    differing = []
    for name, code in used_by([spec]).items():
        then = recorded.get(name)
        if not isinstance(then, Mapping) or not code.same(then.get("version"), then.get("digest")):
            differing.append(name)
    return differing


def _modules(plugins: Iterable[Plugin]) -> frozenset[str]:
    modules = {plugin.value.partition(":")[0].strip() for plugin in plugins if ":" in plugin.value}
    named = (module_of(one) for plugin in plugins if not plugin.fault for one in plugin.implementations)
    return frozenset(modules.union(named))


def _roots(name: str, modules: Iterable[str]) -> Iterator[Root]:
    modules = set(modules)
    with contextlib.suppress(PackageNotFoundError, OSError, UnicodeDecodeError):
        modules |= set((distribution(name).read_text("top_level.txt") or "").split())
    for module in modules:
        if module.partition(".")[0] not in OURS and (root := _root(module)):
            yield root


def _root(module: str) -> Root | None:
    """The outermost package of a module, or the module itself; namespace packages do not count."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        spec = _spec(name)
        if spec is None:
            return None
        if spec.origin and spec.origin not in ("built-in", "frozen", "namespace"):
            origin = Path(spec.origin)
            place = origin.parent if spec.submodule_search_locations is not None else origin
            archive = next((path for path in (place, *place.parents) if path.exists()), place)
            return Root(module=name, path=archive)
    return None


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a package that cannot be imported has no code
        return None


def _digest(roots: Iterable[Root]) -> str:
    digest = hashlib.sha256()
    for root in roots:
        for name, path in root.files():
            digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
