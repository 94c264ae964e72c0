"""The errors of symbench. All are subclasses of :class:`SymbenchError`."""

from harness.errors import (
    ClusterError,
    DataError,
    Misfit,
    MissingExtra,
    NotEquivariant,
    PluginError,
    SettingsError,
    StoreError,
    SuiteError,
    SymbenchError,
    TrackingError,
    UnknownName,
)

__all__ = [
    "ClusterError",
    "DataError",
    "Misfit",
    "MissingExtra",
    "NotEquivariant",
    "PluginError",
    "SettingsError",
    "StoreError",
    "SuiteError",
    "SymbenchError",
    "TrackingError",
    "UnknownName",
]
