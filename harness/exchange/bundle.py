"""What a bundle is: a folder or a .zip of parquet files, and a manifest that holds the checksum of each.

``records.parquet`` has the columns ``digest`` and ``record``, the JSON of a run as its store holds it: settings, scores
and provenance. ``tables/*.parquet`` are the collated tables of these records. The ``id`` of a bundle is the SHA-256 of
its manifest's list of files: whoever changes a file makes another bundle, or one that is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import SymbenchError

FORMAT = 1
MANIFEST = "manifest.json"
RECORDS = "records.parquet"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_MANIFEST_BYTES = 1 << 24

Read = Callable[[str, int], bytes]
"""The bytes of a file of a bundle, at most so many and one more."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class File(_Part):
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(_Part):
    """``created`` is ISO 8601 in UTC."""

    format: int
    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    id: str
    created: str
    symbench_version: str | None
    runs: int
    files: dict[str, File]

    @property
    def source(self) -> str:
        """What tables call runs of this bundle."""
        return f"{self.name}-{self.id[:8]}"


def manifest_of(files: Mapping[str, bytes], *, name: str, created: str, version: str | None, runs: int) -> Manifest:
    listed = {path: File(sha256=_sha256(body), bytes=len(body)) for path, body in sorted(files.items())}
    return Manifest(
        format=FORMAT, name=name, id=_identity(listed), created=created, symbench_version=version, runs=runs,
        files=listed,
    )  # fmt: skip


def manifest_bytes(manifest: Manifest) -> bytes:
    return manifest.model_dump_json(indent=1).encode() + b"\n"


def read_bundle(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the files of a bundle, every one checked; nothing is unpacked to disk.

    Raises :class:`SymbenchError` for what is no bundle, a damaged or changed one, and a name that leads out of it.
    """
    try:
        if path.is_dir():
            return _checked(path, lambda name, most: _from_folder(path, name, most))
        with zipfile.ZipFile(path) as archive:
            _refuse_strange_names(path, archive)
            return _checked(path, lambda name, most: _from_zip(archive, name, most), set(archive.namelist()))
    except FileNotFoundError as error:
        raise SymbenchError(f"There is no bundle at {path}, or a file is missing in it ({error}).") from error
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError) as error:
        raise SymbenchError(f"The bundle {path} cannot be read ({error}): fetch it again.") from error


def is_bundle(path: Path) -> bool:
    """Whether ``path`` is meant to be a bundle, be it whole or not."""
    return (path / MANIFEST).is_file() or path.suffix == ".zip"


def _checked(path: Path, read: Read, held: set[str] | None = None) -> tuple[Manifest, dict[str, bytes]]:
    manifest = _manifest(path, read(MANIFEST, _MOST_MANIFEST_BYTES))
    for name in manifest.files:
        _refuse_strange_name(path, name)
    if extra := (held or set()) - manifest.files.keys() - {MANIFEST}:
        raise SymbenchError(f"The bundle {path} holds {min(extra)}, which its manifest does not name: not imported.")
    if RECORDS not in manifest.files or _identity(manifest.files) != manifest.id:
        raise SymbenchError(f"The manifest of {path} was changed: its id is not that of its files; not imported.")
    files = {}
    for name, file in manifest.files.items():
        files[name] = read(name, file.bytes)
        if _sha256(files[name]) != file.sha256:
            raise SymbenchError(f"The bundle {path} was changed or damaged: {name} has another checksum; not imported.")
    return manifest, files


def _manifest(path: Path, body: bytes) -> Manifest:
    try:
        values = json.loads(body)
        if isinstance(values, dict) and isinstance(values.get("format"), int) and values["format"] > FORMAT:
            raise SymbenchError(f"The bundle {path} has format {values['format']}: update symbench to read it.")
        return Manifest.model_validate(values)
    except (ValueError, ValidationError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise SymbenchError(f"{path} is no bundle of symbench: its {MANIFEST} cannot be read ({reason}).") from error


def _from_folder(folder: Path, name: str, most: int) -> bytes:
    """Links are not followed out of the bundle."""
    file = (folder / name).resolve(strict=True)
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise SymbenchError(f"The bundle {folder} names {name}, which lies outside of it: not imported.")
    with file.open("rb") as opened:
        return opened.read(most + 1)


def _from_zip(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    try:
        with archive.open(name) as opened:
            return opened.read(most + 1)
    except KeyError as error:
        raise FileNotFoundError(f"{name} is not in it") from error


def _refuse_strange_names(path: Path, archive: zipfile.ZipFile) -> None:
    names = [info.filename for info in archive.infolist()]
    for info in archive.infolist():
        _refuse_strange_name(path, info.filename)
        if stat.S_ISLNK(info.external_attr >> 16) or names.count(info.filename) > 1:
            raise SymbenchError(f"The bundle {path} holds {info.filename} twice or as a link: not imported.")


def _refuse_strange_name(path: Path, name: str) -> None:
    if name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
        raise SymbenchError(f"The bundle {path} names a file outside of it ({name}): not imported.")


def _identity(files: Mapping[str, File]) -> str:
    listed = {name: [file.sha256, file.bytes] for name, file in files.items()}
    return _sha256(json.dumps(listed, sort_keys=True).encode())[:16]


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
