"""Errors that a user can mend: the command line prints their one sentence and no traceback."""


class SymbenchError(Exception):
    """One clear sentence that says what is wrong and what to do."""
