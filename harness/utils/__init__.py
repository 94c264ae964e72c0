"""Helpers that every package of the harness uses: atomic files, signals, redaction, short texts."""
