"""Bundles, sites and their pages for the tests of this folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from harness.bundles.exporting import export
from harness.records.record import Record
from harness.records.store import Store
from tests.harness.synthetic import default_provenance, make_record, write

VOID = {"meta", "link", "br", "input", "img", "path", "hr"}


def ran_on(records: Iterable[Record], day: str, commit: str) -> list[Record]:
    """The records as if they had run on another day with another commit."""
    return [
        replace(
            record,
            started=f"{day}T10:00:00+00:00",
            finished=f"{day}T10:{record.spec.seed:02d}:42+00:00",
            provenance={**default_provenance(), "git_commit": commit * 40},
        )
        for record in records
    ]


def results(value: float, methods: Sequence[str] = ("egnn", "gnn-ga"), seeds: int = 5) -> list[Record]:
    """Results on n-body, at least ``value``."""
    pairs = [(number, method, seed) for number, method in enumerate(methods) for seed in range(seeds)]
    return [
        make_record(method=method, seed=seed, value=value * (1 + number + seed / 20)) for number, method, seed in pairs
    ]


def store_of(root: Path, records: Iterable[Record]) -> Store:
    write(root, *records)
    return Store(root)


def bundle_of(folder: Path, name: str, records: Iterable[Record]) -> Path:
    """A new bundle in ``folder``."""
    out = folder / f"{name}.zip"
    number = len(list(folder.glob("store-*")))
    export(store_of(folder / f"store-{number}", records), out, name=name)
    return out


def files_of(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


class Parsed(HTMLParser):
    """A page: its links, ids, the texts of the cells of each table, and whether its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.unclosed: list[str] = []
        self.mistakes: list[str] = []
        self._table = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.links += [found[name] for name in ("href", "src") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        self.mistakes += [name for name in found if name.startswith("on")]
        if tag not in VOID:
            self.unclosed.append(tag)
        if tag == "table" and "id" in found:  # those of the answers have none
            self._table = found["id"]
            self.tables[self._table] = []
        elif tag == "tr" and self._table:
            self.tables[self._table].append([])
        elif tag in ("td", "th") and self._table:
            self.tables[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.unclosed or self.unclosed.pop() != tag:
            self.mistakes.append(f"</{tag}>")
        if tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        if self._table and self.tables[self._table] and self.tables[self._table][-1]:
            self.tables[self._table][-1][-1] += data


def pages_of(site: Path) -> dict[str, Parsed]:
    return {path.relative_to(site).as_posix(): Parsed(path.read_text("utf-8")) for path in site.rglob("*.html")}


def broken_links(site: Path) -> list[str]:
    """The links of all pages that lead nowhere or out of the site."""
    pages, found = pages_of(site), []
    for name, page in pages.items():
        for link in page.links:
            path, _, anchor = link.partition("#")
            target = ((site / name).parent / unquote(path)).resolve() if path else (site / name).resolve()
            inside = target.is_relative_to(site.resolve()) and target.is_file()
            to = target.relative_to(site.resolve()).as_posix() if inside else ""
            if link != "data:," and not (inside and (not anchor or anchor in pages[to].ids)):
                found.append(f"{name}: {link}")
    return found


def rows(page: Parsed, table: str) -> list[dict[str, str]]:
    """The rows of a table by the titles of their columns."""
    head, *body = page.tables[table]
    assert all(len(row) == len(head) for row in body)
    titles = [re.sub(r"\s+", " ", title).strip() for title in head]
    return [dict(zip(titles, (" ".join(text.split()) for text in row), strict=True)) for row in body]
