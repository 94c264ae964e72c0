"""Writes a site and adds bundles to it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.bundles.exporting import export, write_bundle
from harness.errors import SiteError
from harness.records.store import Store
from harness.report.rendering.formats import counted
from harness.site.folder import MARKER, Marker, exchange, read_marker, workspace
from harness.site.pages import Site
from harness.site.rendering import rendered
from harness.site.sources import Source, own_records, read_source


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was written.

    Attributes:
        tasks: Number of pages of tasks.
        methods: Number of pages of methods.
        sources: The names of all sources, in the order in which they were added.
        added: The sources that were added, each with the number of its runs that no earlier source holds.
        known: The names of those of which the site had all runs already, in a bundle of the same name.
        replaced: The names of the sources that a later bundle of the same name replaced.
    """

    tasks: int
    methods: int
    sources: tuple[str, ...]
    added: Mapping[str, int]
    known: tuple[str, ...]
    replaced: tuple[str, ...]

    def sentences(self) -> Iterator[str]:
        """Sentences for the user."""
        for name, runs in self.added.items():
            yield f"{name}: added, with {counted(runs, 'run')} that no earlier bundle holds."
        for name in self.known:
            yield f"{name}: the site has all its runs already."
        for name in self.replaced:
            yield f"{name}: replaced, since a later bundle of this name holds all its runs."


def write_site(out: Path, *, stores: Sequence[tuple[str, Store]] = (), bundles: Sequence[Path] = ()) -> Outcome:
    """Writes all pages from the bundles of the site and from further stores and bundles, which are added to it.

    Args:
        out: The folder of the site, created if it does not exist.
        stores: Names and stores; each is exported as a bundle. Imported runs are left out.
        bundles: Bundles of ``symbench export``.

    Raises:
        SiteError: ``out`` holds files that are no site, it cannot be written, or there is nothing to show.
        BundleError: A bundle is damaged or was changed, or a store has no runs of its own. The site does not change.
    """
    marker = read_marker(out)
    with TemporaryDirectory() as folder:
        packed = [Path(folder, str(n), f"{bundle_name(name)}.zip") for n, (name, _) in enumerate(stores)]
        for path, (_, store) in zip(packed, stores, strict=True):
            export(store, path)
        fresh = [read_source(path) for path in (*packed, *bundles)]
    return _rewrite(out, marker, fresh)


def add_bundle(site: Path, bundle: Path) -> Outcome | None:
    """Verifies a bundle, adds it to a site and writes all pages again.

    Args:
        site: The folder of the site.
        bundle: A bundle of ``symbench export``.

    Returns:
        What was written; None if the site has all its runs under its name already, and nothing was changed.

    Raises:
        SiteError: There is no site, or it cannot be written.
        BundleError: The bundle is damaged or was changed. The site does not change.
    """
    marker = read_marker(site)
    if marker is None:
        raise SiteError(f"There is no site at {site}: write one with 'symbench site --out {site}'.")
    source = read_source(bundle)
    candidates = [site / name for name in marker.bundles if name.startswith(f"bundles/{source.manifest.name}-")]
    if any(read_source(path).replaces(source) for path in candidates if path.exists()):
        return None
    return _rewrite(site, marker, [source])


def bundle_name(name: str) -> str:
    """The name of the bundle of a store: its own, without what a name of a bundle cannot have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64] or "store"


def _rewrite(out: Path, marker: Marker | None, fresh: Sequence[Source]) -> Outcome:
    """Writes all files of a site beside it, then exchanges them for those of ``out``."""
    marker = marker or Marker()
    paths = _bundles(out, marker)
    sources, replaced = _merged([*map(read_source, paths), *fresh])
    if not sources:
        raise SiteError("There is nothing to show: name a store with --store or a bundle with --bundle.")
    added = [source for source in sources if source.file not in marker.bundles]
    site = Site(sources)
    with workspace(out) as stage:
        pages = []
        for path, text in rendered(site):
            pages.append(path)
            _write(stage / path, text)
        for source in added:
            write_bundle(stage / source.file, source.manifest, source.files)
        written = Marker(bundles=[source.file for source in sources], pages=pages)
        _write(stage / MARKER, written.model_dump_json(indent=1) + "\n")
        gone = {f"bundles/{path.name}" for path in paths} - {*written.bundles}
        exchange(stage, out, sorted({*marker.pages, *gone}))
    own = own_records(sources)
    return Outcome(
        tasks=len(site.tasks),
        methods=len(site.methods),
        sources=tuple(source.name for source in sources),
        added={source.name: len(own[source.name]) for source in added},
        known=tuple(source.name for source in fresh if source not in (*sources, *replaced)),
        replaced=tuple(source.name for source in replaced if source.file in marker.bundles),
    )


def _merged(candidates: Iterable[Source]) -> tuple[list[Source], list[Source]]:
    """The bundles that stay, each once and in order, and those that a later one replaces, which takes their place."""
    sources: list[Source] = []
    replaced: list[Source] = []
    for source in candidates:
        if any(other.replaces(source) for other in sources):
            continue
        earlier = [other for other in sources if source.replaces(other)]
        place = sources.index(earlier[0]) if earlier else len(sources)
        sources.insert(place, source)
        sources = [other for other in sources if other not in earlier]
        replaced += earlier
    files = Counter(source.file.lower() for source in sources)
    if taken := [source.name for source in sources if files[source.file.lower()] > 1]:
        raise SiteError(f"The site has another bundle called {taken[0]}: export this one under another --name.")
    return sources, replaced


def _bundles(folder: Path, marker: Marker) -> list[Path]:
    """The bundles of a site: those that it lists, in this order, then those that somebody put there."""
    there = {f"bundles/{path.name}": path for path in sorted((folder / "bundles").glob("*.zip"))}
    return [there[name] for name in dict.fromkeys([*marker.bundles, *there]) if name in there]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
