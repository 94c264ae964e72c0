"""The command line: it parses and prints; the work is done below it."""

from harness.cli.root import app, main

__all__ = ["app", "main"]
