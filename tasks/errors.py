"""The base of all errors that a user can solve, and those that tasks and methods raise (no torch)."""


class SymbenchError(Exception):
    """An error with one sentence that says what is wrong and what to do."""


class SettingsError(SymbenchError):
    """A setting, an argument or an option has a value that is not accepted."""


class DataError(SymbenchError):
    """Data is missing, damaged or not what it should be."""


class MissingExtra(SymbenchError, ImportError):
    """A package of an extra is not installed; the sentence has the command that installs it."""
