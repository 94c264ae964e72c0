"""Bundles of results that others can read, check and import: tables, records and a manifest of checksums."""
