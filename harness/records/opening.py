"""Opens stores by their address: a folder, or an address that fsspec reads (``s3://bucket/folder``, ``gs://...``)."""

from __future__ import annotations

from pathlib import Path

from harness.errors import StoreError
from harness.records.layout import is_store
from harness.records.store import Store


def is_remote(address: str) -> bool:
    """Returns True if an address is neither a folder nor a ``file://`` URL."""
    return "://" in address and not address.startswith("file://")


def open_store(address: str | Path) -> Store:
    """Opens the store at ``address`` and creates it if there is none.

    Raises:
        StoreError: The store cannot be used.
    """
    if isinstance(address, str) and is_remote(address):
        from harness.records.remote import RemoteStore

        return RemoteStore(address)
    return Store(folder_of(address))


def existing_store(address: str | Path) -> Store | None:
    """Returns the store at ``address``, or None if there is none; creates no folder.

    Raises:
        StoreError: The address is a file, or it cannot be reached.
    """
    if isinstance(address, str) and is_remote(address):
        from harness.records.remote import RemoteStore

        store = RemoteStore(address)
        return store if store.exists() else None
    folder = folder_of(address)
    if folder.is_file():
        raise StoreError(f"{folder} is a file, and a store is a folder: choose another --store.")
    return Store(folder) if is_store(folder) else None


def folder_of(address: str | Path) -> Path:
    """The folder of a store on this machine: the store itself, or the mirror of a remote one."""
    if isinstance(address, str) and is_remote(address):
        from harness.records.remote import mirror

        return mirror(address.rstrip("/"))
    return Path(str(address).removeprefix("file://")).expanduser()
