"""Stores by their addresses: a folder, or what fsspec reads (``s3://bucket/folder``, ``gs://...``)."""

from __future__ import annotations

from pathlib import Path

from harness.errors import SymbenchError
from harness.records.layout import is_store
from harness.records.store import Store


def is_remote(address: str) -> bool:
    return "://" in address and not address.startswith("file://")


def open_store(address: str | Path) -> Store:
    """The store at ``address``, made where there is none. Raises :class:`SymbenchError` where it cannot be used."""
    if isinstance(address, str) and is_remote(address):
        from harness.records.remote import RemoteStore

        return RemoteStore(address)
    return Store(folder_of(address))


def existing_store(address: str | Path) -> Store | None:
    """The store at ``address`` if there is one; a folder is not made. Raises :class:`SymbenchError` for a file."""
    if isinstance(address, str) and is_remote(address):
        from harness.records.remote import RemoteStore

        store = RemoteStore(address)
        return store if store.exists() else None
    folder = folder_of(address)
    if folder.is_file():
        raise SymbenchError(f"{folder} is a file, and a store is a folder: choose another --store.")
    return Store(folder) if is_store(folder) else None


def folder_of(address: str | Path) -> Path:
    """Where the files of a store are on this machine: the store itself, or the mirror of one that is elsewhere."""
    if isinstance(address, str) and is_remote(address):
        from harness.records.remote import mirror

        return mirror(address.rstrip("/"))
    return Path(str(address).removeprefix("file://")).expanduser()
