"""Moves records and histories from single files into segments, so that a million records are read in minutes.

A compaction can be killed at any moment. A segment is on disk, and at the address of a remote store, before the files
that it replaces are removed; until then a record is in both and counts once. Small segments are merged, so that there
are few. Files that cannot be read are left unchanged.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import polars as pl

from harness.errors import StoreError, SymbenchError
from harness.records.record_files import DAMAGE, parsed, run_of
from harness.records.segment_file import Kept, histories_of, write_segment
from harness.records.store import Store

SEGMENT_RECORDS = 50_000
"""The largest number of records in a segment; a segment with less than half of it is merged into another."""
WORTH = 10_000
"""A launch compacts its store at its end if there are at least this many files of records."""
_BATCH = 1000


@dataclass(frozen=True)
class Compacted:
    """The outcome of a compaction.

    Attributes:
        taken: Number of files of records that were moved into segments.
        segments: Number of segments of the store.
        left: Number of files of records that remain, since they cannot be read or sent.
    """

    taken: int
    segments: int
    left: int

    def __str__(self) -> str:
        left = f"; {self.left:,} files of records were left, since they cannot be read or sent" if self.left else ""
        return f"{self.taken:,} records were taken into segments; segments now: {self.segments:,}{left}."


class _File(NamedTuple):
    """The file of a record and its state when it was read."""

    path: Path
    state: tuple[int, int, int]

    def is_unchanged(self) -> bool:
        try:
            return _state(self.path) == self.state
        except FileNotFoundError:
            return False


class _Run(NamedTuple):
    """A run for a segment, and the files that are removed once it is there."""

    kept: Kept
    files: tuple[_File, ...] = ()


def compact(store: Store) -> Compacted:
    """Moves the records of a store into segments. The caller holds the store's lock.

    Raises:
        StoreError: A segment cannot be read or written, or the address cannot be reached. Segments that were
            completed remain, and no record is lost.
    """
    store.refresh()
    return _Compaction(store).run()


class _Compaction:
    def __init__(self, store: Store) -> None:
        self._store, self._segments = store, store.segments
        self._taken = 0
        self._covered: list[_File] = []

    def run(self) -> Compacted:
        self._sweep()
        small = self._small()
        fresh = self._files(sorted(self._store.record_files(), key=run_of))
        first = next(fresh, None)
        if first is not None or len(small) > 1:
            files = fresh if first is None else chain([first], fresh)
            self._write(_best(files, *(self._runs(segment, rows) for segment, rows in small.items())))
            self._remove_segments(small)
        self._remove(self._covered)
        return Compacted(self._taken, len(self._segments.names()), len(self._store.record_files()))

    def _write(self, runs: Iterator[_Run]) -> None:
        """Writes one segment after another, and removes the files of each as soon as it is in place."""
        while (first := next(runs, None)) is not None:
            self._store.check_lock()
            path = self._segments.new_path()
            files: list[_File] = []
            with self._store.sharing(path):
                _write(path, _noting(islice(chain([first], runs), SEGMENT_RECORDS), files))
            self._remove(files)

    def _files(self, paths: Sequence[Path]) -> Iterator[_Run]:
        """The readable records that are single files and in no segment yet."""
        for start in range(0, len(paths), _BATCH):
            part = paths[start : start + _BATCH]
            self._store.bring_histories(part)
            yield from filter(None, map(self._read, part))

    def _read(self, path: Path) -> _Run | None:
        digest, status = run_of(path)
        try:
            file = _File(path, _state(path))
            body = path.read_bytes()
            record = parsed(body, digest, status, path)
        except (OSError, SymbenchError, *DAMAGE):
            return None
        held = self._segments.has(digest, "succeeded") if status == "failed" else False
        if held or self._segments.find(digest, status) == body.decode():
            self._covered.append(file)
            return None
        try:
            history = self._store.history_of_file(digest, status)
        except SymbenchError:
            return None
        return _Run(Kept(digest, status, record.finished, body.decode(), history), (file,))

    def _small(self) -> dict[str, pl.DataFrame]:
        """The segments that are less than half full, with those of their records that count.

        Removes segments of which no record counts.
        """
        counting = self._segments.counting()
        if counting is None:
            return {}
        rows = {name: counting.filter(segment=name) for name in sorted(self._segments.names())}
        self._remove_segments([name for name, found in rows.items() if found.is_empty()])
        return {name: found for name, found in rows.items() if 0 < 2 * found.height < SEGMENT_RECORDS}

    def _remove_segments(self, names: Iterable[str]) -> None:
        paths = [self._segments.folder / name for name in names]
        self._store.remove([histories_of(path) for path in paths])
        self._store.remove(paths)

    def _runs(self, segment: str, rows: pl.DataFrame) -> Iterator[_Run]:
        return map(_Run, self._segments.runs(segment, rows))

    def _remove(self, files: Sequence[_File]) -> None:
        """Removes histories, then records: if the record is a file, a missing history is read from the segment."""
        paths = [file.path for file in files if file.is_unchanged()]
        self._store.remove([self._store.history_path(*run_of(path)) for path in paths])
        self._store.remove(paths)
        self._taken += len(paths)

    def _sweep(self) -> None:
        """Removes histories of segments that were not completed."""
        names = self._segments.names()
        for path in (self._segments.folder / "histories").glob("[!.]*"):
            if path.name not in names:
                path.unlink(missing_ok=True)


def _best(*streams: Iterable[_Run]) -> Iterator[_Run]:
    """Merges streams sorted by digest; of each run keeps the success, else the record of the first stream."""
    by_digest = attrgetter("kept.digest")
    for _, runs in groupby(heapq.merge(*streams, key=by_digest), by_digest):
        found = list(runs)
        best = next((run for run in found if run.kept.status == "succeeded"), found[0])
        yield _Run(best.kept, tuple(file for run in found for file in run.files))


def _noting(runs: Iterable[_Run], files: list[_File]) -> Iterator[Kept]:
    for run in runs:
        files.extend(run.files)
        yield run.kept


def _write(path: Path, runs: Iterable[Kept]) -> None:
    try:
        write_segment(path, runs)
    except OSError as error:
        raise StoreError(
            f"The segment {path} cannot be written ({error.strerror or error}): make room, then compact again."
        ) from error


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
