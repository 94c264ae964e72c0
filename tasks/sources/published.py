"""Published archives of PyTorch files: found or downloaded, checked, read without executing code, kept as arrays.

No checksums of these archives are published. An archive must therefore be complete (the CRC of every member), have the
number and mean size of graphs that its authors state, and match the file `<name>.sha256` if there is one. That file is
written when an archive passes these checks for the first time, so that later changes are noticed.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.sources import cache
from tasks.sources.splits import split_arrays

TIMEOUT_SECONDS = 30
MEAN_TOLERANCE = 0.01
Split = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Facts:
    """The facts that the authors state about a set: number of graphs, mean nodes and mean directed edges."""

    graphs: int
    mean_nodes: float
    mean_edges: float

    def fault(self, splits: Mapping[str, Split]) -> str | None:
        """Returns the reason if the arrays of all splits contradict these facts, else None."""
        count = sum(len(arrays["node_offset"]) - 1 for arrays in splits.values())
        if count != self.graphs:
            return f"it holds {count} graphs in place of {self.graphs}"
        for name, stated in (("node", self.mean_nodes), ("edge", self.mean_edges)):
            mean = sum(int(arrays[f"{name}_offset"][-1]) for arrays in splits.values()) / count
            if abs(mean - stated) > MEAN_TOLERANCE * stated:
                return f"a graph has {mean:.1f} {name}s on average in place of {stated:.1f}"
        return None


@dataclass(frozen=True)
class Archive:
    """A zip of files written by `torch.save`, which are converted to arrays once.

    Attributes:
        title: The name for people.
        name: The name of the file.
        url: The address of the file.
        members: Base names of the files in it that are read, in this order.
        facts: Facts to check.
    """

    title: str
    name: str
    url: str
    members: tuple[str, ...]
    facts: Facts

    def found(self, version: int) -> bool:
        """Returns True if a data folder has the archive or the arrays of this version."""
        return any(cache.find(name) for name in (self.name, self._arrays_name(version)))

    def arrays(
        self,
        version: int,
        splits: Sequence[str],
        fields: Sequence[str],
        unpack: Callable[[str, Iterator[Any]], Mapping[str, Split]],
    ) -> dict[str, dict[str, NDArray[Any]]]:
        """The arrays of each split, converted from the archive once.

        Args:
            version: The version of `unpack`.
            splits: The names of the splits.
            fields: The names of the arrays.
            unpack: Converts the loaded members to arrays by split and name, given the name of the file for messages.

        Raises:
            DataError: The archive is missing and cannot be downloaded, is damaged, or is not the published one.
        """
        return split_arrays(self._arrays_name(version), splits, fields, lambda: self._unpacked(unpack))

    def _arrays_name(self, version: int) -> str:
        return cache.versioned_name(Path(self.name).stem, version)

    def _unpacked(self, unpack: Callable[[str, Iterator[Any]], Mapping[str, Split]]) -> Mapping[str, Split]:
        path = self.obtain()
        try:
            made = unpack(str(path), self._members(path))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} is not laid out as {self.title} is ({error!r}); replace it.") from error
        if fault := self.facts.fault(made):
            raise DataError(f"{path} is not the published {self.title} ({fault}); replace it.")
        cache.obtain(self._checksum_name, lambda target: self._write_checksum(path, target))
        return made

    @property
    def _checksum_name(self) -> str:
        return f"{self.name}.sha256"

    def obtain(self) -> Path:
        """Returns the archive, which is downloaded if it is missing and checked if there is a checksum."""
        path = cache.obtain(self.name, self._download)
        checksum = cache.find(self._checksum_name)
        if checksum is not None and checksum.read_text().split(maxsplit=1)[:1] != [cache.sha256(path)]:
            raise DataError(f"{path} does not match {checksum}; replace it, or remove {checksum.name} if it is older.")
        return path

    def _write_checksum(self, path: Path, target: Path) -> None:
        target.write_text(f"{cache.sha256(path)}  {self.name}\n")  # as sha256sum writes it

    def _download(self, target: Path) -> None:
        try:
            with urllib.request.urlopen(self.url, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as file:
                shutil.copyfileobj(response, file)
                size = response.headers.get("Content-Length")
        except OSError as error:
            if cache.disk_is_full(error):
                raise
            raise DataError(
                f"{self.title} is in no data folder and cannot be downloaded ({error}): "
                f"put {self.name} from {self.url} into {cache.folders()[0]}."
            ) from error
        if (size is not None and target.stat().st_size != int(size)) or not zipfile.is_zipfile(target):
            raise DataError(f"The download of {self.name} from {self.url} was cut off or is no archive: try again.")

    def _members(self, path: Path) -> Iterator[Any]:
        """Yields the contents of the members."""
        try:
            with zipfile.ZipFile(path) as archive:
                places = {PurePosixPath(name).name: name for name in archive.namelist()}
                for member in self.members:
                    with archive.open(places[member]) as packed, tempfile.TemporaryFile() as file:
                        shutil.copyfileobj(packed, file)  # checks the CRC; torch needs a file with fast seeks
                        file.seek(0)
                        yield _tensors(path, member, file)
        except KeyError as error:
            raise DataError(f"{path} lacks {error}; replace it.") from error
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            if isinstance(error, OSError) and cache.disk_is_full(error):
                raise
            raise DataError(f"{path} is damaged ({error}); replace it.") from error


def _tensors(path: Path, member: str, file: IO[bytes]) -> Any:
    import torch  # imported here, since planning uses this module without torch

    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{member} in {path} is damaged or holds more than tensors, which would execute code; replace it."
        ) from error
