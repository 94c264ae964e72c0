"""The errors of symbench. All are subclasses of :class:`SymbenchError`."""

from harness.errors import (
    BundleError,
    ClusterError,
    ConformanceError,
    DataError,
    DoesNotFit,
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
    "BundleError",
    "ClusterError",
    "ConformanceError",
    "DataError",
    "DoesNotFit",
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
