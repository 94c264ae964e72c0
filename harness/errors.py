"""Errors that a user can solve: the command line prints one sentence and no traceback."""


class SymbenchError(Exception):
    """An error with one sentence that says what is wrong and what to do."""
