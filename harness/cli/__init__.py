"""The command line: it parses arguments and prints results; the work is done in the other packages."""

from harness.cli.root import app, main

__all__ = ["app", "main"]
