"""The format of bundles: a folder or a .zip of Parquet files with a manifest of their checksums.

``records.parquet`` has the columns ``digest`` and ``record``, the JSON of a record (settings, scores, provenance).
``tables/*.parquet`` are the collated tables of these records. The ``id`` of a bundle is the SHA-256 of the list of
files in its manifest, so a changed file makes another bundle, or one that is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import BundleError
from harness.utils.text import first_line

FORMAT = 1
MANIFEST = "manifest.json"
RECORDS = "records.parquet"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_BYTES = 1 << 29
"""The largest size of all files of a bundle, and of all its records: a hundred thousand runs take 450 MB."""
MOST_RATIO = 100
"""The largest compression ratio of a .zip: Parquet files are compressed already, and their texts expand tenfold."""
MOST_FILES = 100
MOST_MANIFEST_BYTES = 1 << 20
_CHUNK = 1 << 16
_MOST_DIRECTORY_BYTES = 1 << 18
"""The largest directory of a .zip, far above that of a bundle."""
_FILE = re.compile(r"(records|tables/[a-z0-9_]+)\.parquet")
_ENCRYPTED = 1
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
)

Read = Callable[[str, int], bytes]
"""Reads a file of a bundle, given its name and a limit: at most one byte more than the limit."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class File(_Part):
    """The checksum and the size of a file of a bundle."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(_Part):
    """The manifest of a bundle.

    Attributes:
        format: The version of the format.
        name: The name that the exporter chose.
        id: The digest of the list of files.
        created: ISO 8601, in UTC.
        symbench_version: The version of symbench that wrote the bundle.
        runs: Number of records.
        files: Checksum and size of every file.
    """

    format: int
    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    id: str
    created: str
    symbench_version: str | None
    runs: int
    files: dict[str, File]

    @property
    def source(self) -> str:
        """The name of this bundle in the tables."""
        return f"{self.name}-{self.id[:8]}"


def manifest_of(files: Mapping[str, bytes], *, name: str, created: str, version: str | None, runs: int) -> Manifest:
    """Makes the manifest of a bundle with these ``files``."""
    listed = {path: File(sha256=_sha256(body), bytes=len(body)) for path, body in sorted(files.items())}
    return Manifest(
        format=FORMAT,
        name=name,
        id=_identity(listed),
        created=created,
        symbench_version=version,
        runs=runs,
        files=listed,
    )


def manifest_bytes(manifest: Manifest) -> bytes:
    """The content of the file of a manifest."""
    return manifest.model_dump_json(indent=1).encode() + b"\n"


def read_bundle(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Reads and checks the manifest and all files of a bundle; nothing is unpacked to disk.

    Raises:
        BundleError: It is no bundle, was changed or damaged, has a path that leads out of it, or exceeds the limits
            on size.
    """
    try:
        if path.is_dir():
            return _checked(path, lambda name, most: _from_folder(path, name, most), MOST_BYTES)
        with _opened(path) as opened, zipfile.ZipFile(opened) as archive:
            held = _names(path, archive)
            return _checked(path, lambda name, most: _from_zip(archive, name, most), most_bytes(path), held)
    except FileNotFoundError as error:
        raise BundleError(f"There is no bundle at {path}, or a file is missing in it ({error}).") from error
    except _UNREADABLE as error:
        raise BundleError(f"The bundle {path} cannot be read ({first_line(error)}): fetch it again.") from error


def most_bytes(path: Path) -> int:
    """The largest number of bytes that a bundle may have when it is read, independent of its manifest."""
    return MOST_BYTES if path.is_dir() else min(MOST_BYTES, MOST_RATIO * path.stat().st_size)


def is_bundle(path: Path) -> bool:
    """Returns True if ``path`` is a bundle, even a damaged one."""
    return (path / MANIFEST).is_file() or path.suffix == ".zip"


def _checked(path: Path, read: Read, most: int, held: set[str] | None = None) -> tuple[Manifest, dict[str, bytes]]:
    manifest = _manifest(path, read(MANIFEST, MOST_MANIFEST_BYTES))
    for name in manifest.files:
        _refuse_strange_name(path, name)
        if not _FILE.fullmatch(name):
            raise BundleError(
                f"The manifest of {path} names {_shown(name)}, which is no file of a bundle: not imported."
            )
    if extra := (held or set()) - manifest.files.keys() - {MANIFEST}:
        raise BundleError(
            f"The bundle {path} holds {_shown(min(extra))}, which its manifest does not name: not imported."
        )
    if RECORDS not in manifest.files or _identity(manifest.files) != manifest.id:
        raise BundleError(f"The manifest of {path} was changed: its id is not that of its files; not imported.")
    if len(manifest.files) > MOST_FILES or sum(file.bytes for file in manifest.files.values()) > most:
        raise _too_large(path)
    files = {}
    for name, file in manifest.files.items():
        files[name] = read(name, file.bytes)
        if _sha256(files[name]) != file.sha256:
            raise BundleError(f"The bundle {path} was changed or damaged: {name} has another checksum; not imported.")
    return manifest, files


def _too_large(path: Path) -> BundleError:
    return BundleError(f"The bundle {path} holds far more than its size allows: not imported.")


def _manifest(path: Path, body: bytes) -> Manifest:
    try:
        values = json.loads(body)
        if isinstance(values, dict) and isinstance(values.get("format"), int) and values["format"] > FORMAT:
            raise BundleError(f"The bundle {path} has format {values['format']}: update symbench to read it.")
        return Manifest.model_validate(values)
    except (ValueError, ValidationError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path} is no bundle of symbench: its {MANIFEST} cannot be read ({reason}).") from error


def _from_folder(folder: Path, name: str, most: int) -> bytes:
    """Links are not followed out of the bundle."""
    file = (folder / name).resolve(strict=True)
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise BundleError(f"The bundle {folder} names {name}, which is outside of it: not imported.")
    with file.open("rb") as opened:
        return opened.read(most + 1)


class _Sparing(io.BufferedReader):
    """A file with bounded reads: ``zipfile`` reads as many bytes of the directory as the archive says."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = _MOST_DIRECTORY_BYTES
        body = super().read(most + 1 if size is None or size < 0 else min(size, most + 1))
        if len(body) > most:
            raise OSError("its directory is longer than that of any bundle")
        return body


def _opened(path: Path) -> io.BufferedReader:
    if path.exists() and not path.is_file():
        raise OSError("it is neither a folder nor a file")
    return _Sparing(io.FileIO(path))


def _from_zip(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Reads a file in steps, since a single read would reserve memory for the whole limit."""
    try:
        with archive.open(name) as opened:
            found = bytearray()
            while len(found) <= most and (chunk := opened.read(min(_CHUNK, most + 1 - len(found)))):
                found += chunk
            return bytes(found)
    except KeyError as error:
        raise FileNotFoundError(f"{name} is not in it") from error


def _names(path: Path, archive: zipfile.ZipFile) -> set[str]:
    """The names of the files in an archive, without entries for folders, which some programs add."""
    entries = archive.infolist()
    names = Counter(info.filename for info in entries)
    if len(entries) > 2 * MOST_FILES:
        raise _too_large(path)
    for info in entries:
        _refuse_strange_name(path, info.filename)
        if stat.S_ISLNK(info.external_attr >> 16) or names[info.filename] > 1:
            raise BundleError(f"The bundle {path} holds {_shown(info.filename)} twice or as a link: not imported.")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(f"The bundle {path} is encrypted or packed in a way that is not read: not imported.")
    return {info.filename for info in entries if not info.is_dir()}


def _refuse_strange_name(path: Path, name: str) -> None:
    if name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
        raise BundleError(f"The bundle {path} names a file outside of it ({_shown(name)}): not imported.")


def _shown(name: str) -> str:
    """A short form of a name, which may be any text."""
    return repr(name)[:60]


def _identity(files: Mapping[str, File]) -> str:
    listed = {name: [file.sha256, file.bytes] for name, file in files.items()}
    return _sha256(json.dumps(listed, sort_keys=True).encode())[:16]


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
