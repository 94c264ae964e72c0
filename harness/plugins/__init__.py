"""Plug-ins: tasks and methods of other packages, found by entry point and checked field by field (no torch)."""
