"""Errors that a user can solve: the command line prints one sentence and no traceback (no torch).

All are subclasses of :class:`~tasks.errors.SymbenchError`, which ``symbench.errors`` has together with them.
"""

from tasks.errors import DataError, MissingExtra, SettingsError, SymbenchError


class UnknownName(SymbenchError):
    """No task, method, protocol, suite, run, ... has that name."""


class DoesNotFit(SymbenchError):
    """A method cannot be used on a task, or a sampler does not cover a group."""


class SuiteError(SymbenchError):
    """A suite or a search cannot be read, or something in it is wrong."""


class PluginError(SymbenchError):
    """A plug-in cannot be used."""


class StoreError(SymbenchError):
    """A store cannot be read or written, or is in use."""


class BundleError(SymbenchError):
    """A bundle cannot be read or written, or was changed."""


class SiteError(SymbenchError):
    """A site of results cannot be read or written."""


class ClusterError(SymbenchError):
    """Ray or a cluster cannot be used."""


class TrackingError(SymbenchError):
    """MLflow cannot be used."""


class NotEquivariant(SymbenchError, AssertionError):
    """A function is not as symmetric as it should be."""


class ConformanceError(SymbenchError, AssertionError):
    """A task, a base model, a sampler or a network does not do what its card says."""


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
    "SiteError",
    "StoreError",
    "SuiteError",
    "SymbenchError",
    "TrackingError",
    "UnknownName",
]
